"""Reports a pass that does not finish in time, so that an outdated status is not mistaken for the current one.

The reconciler's thread marks the beginning and the end of each pass. The engine's thread checks the deadline, because
a thread that hangs can't report itself.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from controller.clock import Clock
from controller.errors import StateError
from controller.model.status import Event, EventSeverity
from controller.store import Store, events, source_status
from controller.time_format import in_utc

log = logging.getLogger(__name__)


class PassDeadline:
    """Marks the source as overdue while a pass takes longer than `deadline`. Safe to use from several threads."""

    def __init__(self, store: Store, clock: Clock, deadline: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._deadline = deadline
        self._lock = threading.Lock()
        self._began: tuple[datetime, float] | None = None
        with store.read() as tx:
            recorded = source_status.find(tx)
        self._is_marked = recorded is not None and recorded.overdue_since is not None

    @property
    def is_overdue(self) -> bool:
        """Whether the current pass has not finished in time, as of the last check."""
        return self._is_marked

    @contextmanager
    def watch_pass(self) -> Iterator[None]:
        """Measure the pass that runs in this context."""
        with self._lock:
            self._began = (self._clock.now(), self._clock.monotonic())
        try:
            yield
        finally:
            with self._lock:
                self._began = None
                if self._is_marked:
                    self._unmark()

    def check(self) -> None:
        """Report the current pass once if it has not finished in time. Raises StateError."""
        with self._lock:
            if self._began is None or self._is_marked:
                return
            since, began = self._began
            seconds = self._clock.monotonic() - began
            if seconds <= self._deadline.total_seconds():
                return
            message = f"The pass that began at {in_utc(since)} has not finished; schedules keep firing."
            event = Event(
                time=self._clock.now(),
                severity=EventSeverity.ERROR,
                reason="PassOverdue",
                message=message,
                about="source",
            )
            with self._store.write() as tx:
                source_status.mark_overdue(tx, since)
                events.append(tx, [event])
            self._is_marked = True
        log.error("The pass has not finished in time; schedules keep firing", extra={"seconds": round(seconds)})

    def _unmark(self) -> None:
        try:
            with self._store.write() as tx:
                source_status.mark_overdue(tx, None)
        except StateError as error:
            log.error("Could not record that the overdue pass has finished", extra={"error": error.message})
            return
        self._is_marked = False
        log.info("The overdue pass has finished")
