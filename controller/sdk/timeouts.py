"""Timeouts for synchronous code. Used by `retries` for each attempt of a flow or task.

In the main thread, a timer signal (SIGALRM) interrupts the code. In any other thread, an exception is set from outside;
it is raised when a call into C returns. Coroutines use `asyncio.timeout` instead, or `AsyncTimeout` on Python 3.10.
"""

import signal
import threading
from typing import Any

from controller.sdk.run_states import TimedOutError


class _TimeUp(BaseException):
    """The internal exception for a timeout; a BaseException, so that user code does not catch it by mistake."""

    def __init__(self, deadline: "Deadline | None" = None) -> None:
        super().__init__("its time is up")
        self.deadline = deadline


class Deadline:
    """A context manager that raises TimedOutError if its block takes longer than `seconds`; None means no limit.

    `label` is the name of the flow or task run, for the message.
    """

    def __init__(self, seconds: float | None, label: str) -> None:
        self._seconds = seconds
        self._label = label
        self._timer: _SignalTimer | _ThreadTimer | None = None

    def __enter__(self) -> None:
        if self._seconds is None:
            return
        kind = _SignalTimer if threading.current_thread() is threading.main_thread() else _ThreadTimer
        self._timer = kind(self, self._seconds)
        self._timer.start()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._timer is None:
            return
        has_expired = self._timer.stop()
        is_ours = isinstance(error, _TimeUp) and error.deadline in (self, None)
        if is_ours or (has_expired and error is None):
            raise TimedOutError(f"{self._label} ran longer than its timeout of {self._seconds:g} s") from None


class _SignalTimer:
    """A timer for the main thread. An enclosing timer that expires earlier is left in place."""

    def __init__(self, deadline: Deadline, seconds: float) -> None:
        self._deadline = deadline
        self._seconds = seconds
        self._outer_seconds = 0.0
        self._outer_handler: Any = None
        self._is_started = False
        self._has_expired = False

    def start(self) -> None:
        self._outer_seconds = signal.getitimer(signal.ITIMER_REAL)[0]
        if 0 < self._outer_seconds <= self._seconds:
            return
        self._is_started = True
        self._outer_handler = signal.signal(signal.SIGALRM, self._expire)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def _expire(self, *_: object) -> None:
        self._has_expired = True
        raise _TimeUp(self._deadline)

    def stop(self) -> bool:
        """Restore the enclosing timer with its remaining time. Return whether this timer has expired."""
        if self._is_started:
            remaining = signal.setitimer(signal.ITIMER_REAL, 0)[0]
            signal.signal(signal.SIGALRM, self._outer_handler)
            if self._outer_seconds:
                used = self._seconds - remaining
                signal.setitimer(signal.ITIMER_REAL, max(self._outer_seconds - used, 0.001))
        return self._has_expired


class _ThreadTimer:
    """A timer for any other thread."""

    def __init__(self, deadline: Deadline, seconds: float) -> None:  # noqa: ARG002 - here _TimeUp is raised as a class
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._is_stopped = False
        self._has_expired = False
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def start(self) -> None:
        self._timer.start()

    def _expire(self) -> None:
        with self._lock:
            if not self._is_stopped:
                self._has_expired = True
                _set_async_exception(self._thread, _TimeUp)

    def stop(self) -> bool:
        """Stop the timer, and catch an exception that was not raised yet. Return whether the timer has expired."""
        try:
            with self._lock:
                self._is_stopped = True
            # The block may have caught the exception already, so it is set again and raised here. If it were cleared
            # instead, CPython 3.11 and 3.12 would look for it for ever, and would hang in the next traced call.
            while self._has_expired:
                _set_async_exception(self._thread, _TimeUp)
        except _TimeUp:
            if not self._has_expired:  # that of an enclosing timer
                raise
        self._timer.cancel()
        return self._has_expired


class AsyncTimeout:
    """`asyncio.timeout` for Python 3.10: raises TimeoutError if its block takes longer than `seconds`."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._end: float | None = None
        self._timer: Any = None
        self._has_expired = False

    async def __aenter__(self) -> "AsyncTimeout":
        import asyncio

        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if self._seconds is not None and task is not None:
            self._end = loop.time() + self._seconds
            self._timer = loop.call_at(self._end, self._expire, task)
        return self

    def _expire(self, task: Any) -> None:
        self._has_expired = True
        task.cancel()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        import asyncio

        if self._timer is not None:
            self._timer.cancel()
        if self._has_expired and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def when(self) -> float | None:
        """Return the end, in seconds of the event loop's clock; None without a limit."""
        return self._end

    def expired(self) -> bool:
        """Return whether the block took too long."""
        return self._has_expired


def _set_async_exception(thread: int, error: type[BaseException]) -> None:
    """Raise an exception in another thread at its next bytecode instruction."""
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))
