"""Does a pass end in time? One that hangs is told, so that nobody takes what is shown for the present state.

The reconciler's thread says when a pass begins and ends. The engine's thread asks now and then, since a thread that
hangs cannot tell.
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


class Overdue:
    """Marks the source while a pass takes longer than `deadline`. Safe to use from several threads."""

    def __init__(self, store: Store, clock: Clock, deadline: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._deadline = deadline
        self._lock = threading.Lock()
        self._began: tuple[datetime, float] | None = None
        with store.read() as tx:
            known = source_status.find(tx)
        self._is_marked = known is not None and known.overdue_since is not None

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Within, a pass is made."""
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
        """Say it, once, if the pass that is being made has not ended in time. Raises StateError."""
        with self._lock:
            if self._began is None or self._is_marked:
                return
            since, began = self._began
            seconds = self._clock.monotonic() - began
            if seconds <= self._deadline.total_seconds():
                return
            message = f"The pass that began at {in_utc(since)} has not ended; schedules go on."
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
        log.error("The pass has not ended in time; schedules go on", extra={"seconds": round(seconds)})

    def _unmark(self) -> None:
        try:
            with self._store.write() as tx:
                source_status.mark_overdue(tx, None)
        except StateError as error:
            log.error("The end of a pass could not be recorded", extra={"error": error.message})
            return
        self._is_marked = False
        log.info("The pass that was overdue has ended")
