"""Is there room to record what happens? The engine asks with every tick, and tells when that changes.

A full disk is a condition of the controller, `StorageFull`, which is told through a file whose space is taken already.
It is over once there is some space and a transaction is on disk again; that is told once, as an event too.
"""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from controller.clock import Clock
from controller.errors import StorageFullError
from controller.model.status import Condition, ConditionType, Event, EventSeverity
from controller.store import Store, events

log = logging.getLogger(__name__)

LEAST_BYTES = 64 << 10
"""With less than this on the disk of the state it is as good as full."""
ENOUGH_BYTES = 1 << 20
"""With so much again it is no longer full."""


class Storage:
    """Knows whether the disk is full. Used by the engine's thread."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        directory: Path | None = None,
        tell: Callable[[Sequence[Condition]], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._directory = directory
        self._tell = tell
        self._is_full = False

    def failed(self, error: Exception) -> None:
        """Something could not be written."""
        if isinstance(error, StorageFullError):
            self._fill(error.message)

    def check(self, *, is_tick: bool) -> None:
        """Look at the disk, and tell if it became full, or is not full any more. Raises StateError."""
        free = self._free() if is_tick or self._is_full else None
        if not self._is_full:
            if free is not None and free < LEAST_BYTES:
                self._fill(f"The disk of {self._directory} has only {free} bytes free.")
            return
        if free is not None and free < ENOUGH_BYTES:
            return
        message = "The disk of the state directory has free space again."
        event = Event(
            time=self._clock.now(),
            severity=EventSeverity.INFO,
            reason="StorageRecovered",
            message=message,
            about="controller",
        )
        with self._store.write() as tx:
            events.append(tx, [event])
        self._is_full = False
        self._tell(())
        log.info(message)

    def _fill(self, why: str) -> None:
        if self._is_full:
            return
        self._is_full = True
        log.error("The disk of the state directory is full", extra={"reason": StorageFullError.reason, "error": why})
        message = f"{why} Runs and changes can't be recorded. Free some space; the controller retries automatically."
        condition = Condition(
            type=ConditionType.STORAGE_FULL,
            status=True,
            reason=StorageFullError.reason,
            message=message,
            last_transition_time=self._clock.now(),
        )
        self._tell([condition])

    def _free(self) -> int | None:
        """How many bytes this process may still write there; None where nobody can say."""
        if self._directory is None:
            return None
        try:
            found = os.statvfs(self._directory)
        except OSError:
            return None
        return found.f_frsize * (found.f_bfree if os.geteuid() == 0 else found.f_bavail)
