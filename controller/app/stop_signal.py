"""Signals that end the controller, waiting for one of them, and the end of a process that does not stop."""

import contextlib
import logging
import os
import signal
import threading
import weakref

from controller.runs.executors.local.supervisor.poll import ready

log = logging.getLogger(__name__)

_FAILED = ord("f")
_WANTED = ord("w")
_TERMINAL_SIGNALS = frozenset({signal.SIGTSTP, signal.SIGCONT})
"""Signals that the live view handles. The interpreter writes their numbers to the wakeup pipe too."""


class StopSignal:
    """A request to stop the controller, made by a signal or by a part that failed. Create it before anything else."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._is_set = False
        self._is_wanted = False
        self._caught: list[signal.Signals] = []
        for number in numbers:
            # Signals that were ignored at start remain ignored: nohup depends on this.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: None)
                self._caught.append(number)
        if numbers:
            # The interpreter itself writes to the pipe. A handler in Python would only run in the main thread, which
            # sleeps in `wait`, and the kernel may deliver the signal to another thread.
            signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        else:
            for descriptor in (self._read, self._write):
                weakref.finalize(self, os.close, descriptor).atexit = False  # the end of the process closes it

    def set(self) -> None:
        """Request the stop for somebody, like a signal. May be called from any thread."""
        self._put(_WANTED)

    def fail(self) -> None:
        """Request the stop because a part failed. May be called from any thread."""
        self._put(_FAILED)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the request. Return False after `timeout` seconds, or earlier on a signal of the terminal."""
        if self._is_set:
            return True
        if not ready([self._read], timeout):
            return False
        self._is_set = self._take()
        return self._is_set

    def clear(self) -> None:
        """Discard the request, so that `wait` waits for the next one."""
        while ready([self._read], 0):
            self._take()
        self._is_set = False

    def release(self) -> bool:
        """Give the signals their default action, and return whether a signal or a person has requested the stop.

        A process that executes another program calls this first, so that no signal gets lost in between.
        """
        for number in self._caught:
            signal.signal(number, signal.SIG_DFL)
        while ready([self._read], 0):
            self._take()
        return self._is_wanted

    def _put(self, request: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, bytes([request]))

    def _take(self) -> bool:
        """Take requests out of the pipe. Return whether there were any."""
        requests: set[int] = set()
        with contextlib.suppress(BlockingIOError):
            requests = set(os.read(self._read, 64)) - _TERMINAL_SIGNALS
        self._is_wanted = self._is_wanted or bool(requests - {_FAILED})
        return bool(requests)


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
