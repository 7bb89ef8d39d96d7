"""Signals that end the controller, waiting for one of them, and the end of a process that does not stop."""

import contextlib
import logging
import os
import signal
import threading
import weakref

from controller.runs.executors.local.supervisor.poll import ready

log = logging.getLogger(__name__)

_TERMINAL_SIGNALS = frozenset({signal.SIGTSTP, signal.SIGCONT})
"""Signals that the live view handles. The interpreter writes their numbers to the wakeup pipe too."""


class StopSignal:
    """A request to stop the controller, made by a signal or by a part that failed. Create it before anything else."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._is_set = False
        for number in numbers:
            # Signals that were ignored at start remain ignored: nohup depends on this.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: None)
        if numbers:
            # The interpreter itself writes to the pipe. A handler in Python would only run in the main thread, which
            # sleeps in `wait`, and the kernel may deliver the signal to another thread.
            signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        else:
            for descriptor in (self._read, self._write):
                weakref.finalize(self, os.close, descriptor).atexit = False  # the end of the process closes it

    def set(self) -> None:
        """Request the stop. May be called from any thread."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"e")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the request. Return False after `timeout` seconds, or earlier on a signal of the terminal."""
        if self._is_set:
            return True
        if not ready([self._read], timeout):
            return False
        with contextlib.suppress(BlockingIOError):
            self._is_set = bool(set(os.read(self._read, 64)) - _TERMINAL_SIGNALS)
        return self._is_set

    def clear(self) -> None:
        """Discard the request, so that `wait` waits for the next one."""
        self._is_set = False
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read, 64):
                pass


def exit_after(seconds: float | None) -> threading.Event:
    """Exit the process after `seconds` (None: never), even while it waits for threads, unless the event is set."""
    cancelled = threading.Event()

    def end() -> None:
        if not cancelled.wait(seconds):
            log.critical("A part of the controller does not stop; exiting anyway", extra={"seconds": seconds})
            logging.shutdown()
            os._exit(1)

    if seconds is not None:
        threading.Thread(target=end, name="last resort", daemon=True).start()
    return cancelled
