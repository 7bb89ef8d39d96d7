"""Checks whether the disk of the state is full. The engine calls it with every tick.

A full disk is reported as the condition `StorageFull`, in a file whose space was allocated before. The condition ends
when there is enough space and a transaction could be written; then the event `StorageRecovered` is recorded.
"""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from controller.clock import Clock
from controller.errors import StorageFullError
from controller.model.status import Condition, ConditionStatus, ConditionType, Event, EventSeverity
from controller.store import Store, events

log = logging.getLogger(__name__)

LEAST_BYTES = 64 << 10
"""The disk is treated as full if it has less free space than this."""
ENOUGH_BYTES = 1 << 20
"""The disk is no longer treated as full once it has this much free space."""


class StorageMonitor:
    """Keeps track of whether the disk is full. Used by the engine's thread.

    `publish` receives the conditions that hold whenever they change.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        directory: Path | None = None,
        publish: Callable[[Sequence[Condition]], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._directory = directory
        self._publish = publish
        self._is_full = False

    def record_failure(self, error: Exception) -> None:
        """Record that a write failed. Only StorageFullError counts."""
        if isinstance(error, StorageFullError):
            self._fill(error.message)

    def check(self, *, is_tick: bool) -> None:
        """Check the disk, and publish the condition if it became full or is no longer full. Raises StateError."""
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
        self._publish(())
        log.info(message)

    def _fill(self, cause: str) -> None:
        if self._is_full:
            return
        self._is_full = True
        log.error("The disk of the state directory is full", extra={"reason": StorageFullError.reason, "error": cause})
        message = f"{cause} Runs and changes can't be recorded. Free some space; the controller retries automatically."
        condition = Condition(
            type=ConditionType.STORAGE_FULL,
            status=ConditionStatus.TRUE,
            reason=StorageFullError.reason,
            message=message,
            last_transition_time=self._clock.now(),
        )
        self._publish([condition])

    def _free(self) -> int | None:
        """Return how many bytes this process may still write to the disk; None if unknown."""
        if self._directory is None:
            return None
        try:
            disk = os.statvfs(self._directory)
        except OSError:
            return None
        return disk.f_frsize * (disk.f_bfree if os.geteuid() == 0 else disk.f_bavail)
