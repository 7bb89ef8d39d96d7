"""A limit of time for code that does not know of it. `retries` uses it around each attempt of a flow or task.

In the main thread it is an alarm, which interrupts whatever Python is doing; in another thread an exception that is set
from outside, which waits for a call into C to return. Coroutines have `asyncio.timeout` instead.
"""

import signal
import threading
from typing import Any

from controller.sdk.run_states import TimedOutError


class _TimeUp(BaseException):
    """Goes through `except Exception` of user code."""

    def __init__(self, deadline: "Deadline | None" = None) -> None:
        super().__init__("its time is up")
        self.deadline = deadline


class Deadline:
    """`with Deadline(seconds, what):` raises TimedOutError once it has taken so long; None is no limit."""

    def __init__(self, seconds: float | None, what: str) -> None:
        self._seconds = seconds
        self._what = what
        self._kind: _Alarm | _Bell | None = None

    def __enter__(self) -> None:
        if self._seconds is None:
            return
        kind = _Alarm if threading.current_thread() is threading.main_thread() else _Bell
        self._kind = kind(self, self._seconds)
        self._kind.set()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._kind is None:
            return
        has_rung = self._kind.stop()
        is_ours = isinstance(error, _TimeUp) and error.deadline in (self, None)
        if is_ours or (has_rung and error is None):
            raise TimedOutError(f"{self._what} ran longer than its timeout of {self._seconds:g} s") from None


class _Alarm:
    """For the main thread. One that would ring before ours, from around us, is left in place."""

    def __init__(self, deadline: Deadline, seconds: float) -> None:
        self._deadline = deadline
        self._seconds = seconds
        self._left = 0.0
        self._before: Any = None
        self._is_set = False
        self._has_rung = False

    def set(self) -> None:
        self._left = signal.getitimer(signal.ITIMER_REAL)[0]
        if 0 < self._left <= self._seconds:
            return
        self._is_set = True
        self._before = signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def _ring(self, *_: object) -> None:
        self._has_rung = True
        raise _TimeUp(self._deadline)

    def stop(self) -> bool:
        if self._is_set:
            left = signal.setitimer(signal.ITIMER_REAL, 0)[0]
            signal.signal(signal.SIGALRM, self._before)
            if self._left:
                used = self._seconds - left
                signal.setitimer(signal.ITIMER_REAL, max(self._left - used, 0.001))
        return self._has_rung


class _Bell:
    """For any other thread."""

    def __init__(self, deadline: Deadline, seconds: float) -> None:  # noqa: ARG002 - the exception is a class there
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._is_over = False
        self._has_rung = False
        self._timer = threading.Timer(seconds, self._ring)
        self._timer.daemon = True

    def set(self) -> None:
        self._timer.start()

    def _ring(self) -> None:
        with self._lock:
            if not self._is_over:
                self._has_rung = True
                _raise_in(self._thread, _TimeUp)

    def stop(self) -> bool:
        with self._lock:
            self._is_over = True
            if self._has_rung:
                _raise_in(self._thread, None)
        self._timer.cancel()
        return self._has_rung


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    import ctypes

    given = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), given)
