"""A descriptor that becomes readable when the engine must do something: take a turn, or check a remote attempt."""

import os
import threading
from contextlib import suppress


class WakeSignal:
    """An eventfd(2). `set` may be called from any thread, also after `close`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        """Return the descriptor; -1 once it is closed, as sockets do."""
        return self._descriptor

    def set(self) -> None:
        """Make the descriptor readable."""
        with self._lock:
            if self._descriptor >= 0:
                with suppress(BlockingIOError):
                    os.eventfd_write(self._descriptor, 1)

    def clear(self) -> None:
        """Wait for the next `set`."""
        with self._lock:
            if self._descriptor >= 0:
                with suppress(BlockingIOError):
                    os.eventfd_read(self._descriptor)

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
