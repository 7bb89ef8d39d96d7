"""The descriptor of a remote attempt: it becomes readable when its handle must be checked."""

import os
import threading
from contextlib import suppress


class WakeSignal:
    """An eventfd(2). `set` may be called from any thread, also after `close`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptor: int | None = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int | None:
        """Return the descriptor; None once it is closed."""
        return self._descriptor

    def set(self) -> None:
        """Make the descriptor readable."""
        with self._lock:
            if self._descriptor is not None:
                with suppress(BlockingIOError):
                    os.eventfd_write(self._descriptor, 1)

    def clear(self) -> None:
        """Wait for the next `set`."""
        with self._lock:
            if self._descriptor is not None:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._descriptor)

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
