"""Stopping a flow's process: SIGTERM raises an exception, so that the flow can clean up within the grace period.

The flow's process imports this before the flow's own modules. `Stop` is the signal handler; it sets `is_stopped` in the
module that `event_writer` reads.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # typeshed has no stub of it
import _thread
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
    from typing import Any

_NAMES = {_signal.SIGTERM: "SIGTERM", _signal.SIGINT: "SIGINT"}
"""The signals that stop a flow. `signal` has enums of them, which a new interpreter takes long to create."""


class RunStopped(BaseException):
    """The run was cancelled or exceeded its timeout. Raised once, in the main thread of the flow.

    A BaseException, so that `except Exception` in user code does not catch it.
    """


class Stop:
    """The handler of SIGTERM in a flow's process: raises RunStopped, or cancels the main task of a running event loop.

    `finally` and `with` blocks and atexit functions run as usual. Threads are not waited for afterwards: they end with
    the process. Child processes that the flow forks get the default handler back. The signal is blocked during a fork,
    because Python discards signals that a child receives before it runs Python code. A handler that the flow installs
    replaces this one.
    """

    def __init__(self, mark: types.ModuleType) -> None:
        self._mark = mark
        self.is_asked = self.is_over = self._was_lost = False
        self._pid = os.getpid()
        self.number = _signal.SIGTERM
        self._hook = sys.unraisablehook
        self._before: dict[int, Any] = {}
        self._masks: dict[int, Any] = {}  # by thread, during a fork

    def __repr__(self) -> str:
        return "<stops the run>"

    @property
    def reason(self) -> str:
        """The reason for the end of the run, worded as for a process that was killed by a signal."""
        return f"ended by {_NAMES[self.number]} (signal {self.number})"

    def install(self, *, is_interactive: bool) -> None:
        """Install the handler for SIGTERM and, with `is_interactive` (`controller execute`), for SIGINT.

        A signal that is ignored or already has another handler keeps it.
        """
        for number in (_signal.SIGTERM, _signal.SIGINT) if is_interactive else (_signal.SIGTERM,):
            if _signal.getsignal(number) in (_signal.SIG_DFL, _signal.default_int_handler):
                self._before[number] = _signal.signal(number, self)
        os.register_at_fork(before=self._block, after_in_parent=self._unblock, after_in_child=self._begin_child)

    def _block(self) -> None:
        # The handler may raise after either call, so the old mask must be saved before the signals are blocked.
        self._masks[_thread.get_ident()] = _signal.pthread_sigmask(_signal.SIG_BLOCK, ())
        _signal.pthread_sigmask(_signal.SIG_BLOCK, self._before)

    def _unblock(self) -> None:
        mask = self._masks.pop(_thread.get_ident(), None)
        if mask is not None:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)

    def _begin_child(self) -> None:
        self._uninstall()
        self._unblock()

    def _uninstall(self) -> None:
        for number, before in self._before.items():
            if _signal.getsignal(number) is self:
                _signal.signal(number, before)

    def __call__(self, number: int, frame: types.FrameType | None) -> None:
        """Handle the signal. Raises RunStopped or KeyboardInterrupt unless an event loop takes care of the end."""
        if os.getpid() != self._pid:  # a forked child in which `_uninstall` has not run yet
            self._uninstall()
            os.kill(os.getpid(), number)
            return
        if self._was_lost:
            self._was_lost = False
        elif self.is_asked or (self.is_over and not waits_for_threads(frame)):
            return  # the flow is already cleaning up
        else:
            self._begin(number)
            if cancel_main_task():
                if runs_forever(frame):
                    stop_loop()
                return
        raise KeyboardInterrupt if self.number == _signal.SIGINT else RunStopped("the run was stopped")

    def _begin(self, number: int) -> None:
        self.is_asked = True
        self.number = number
        vars(self._mark)["is_stopped"] = True
        if "threading" in sys.modules:
            vars(sys.modules["threading"])["_shutdown"] = lambda: None
        self._hook, sys.unraisablehook = sys.unraisablehook, self._lose
        try:
            os.write(2, b"[controller: stopping the flow (%s)]\n" % _NAMES[number].encode())
        except OSError:
            return

    def _lose(self, unraisable: Any) -> None:
        """Send the signal again if RunStopped was lost: Python drops exceptions in finalizers and some callbacks."""
        if not isinstance(unraisable.exc_value, RunStopped | KeyboardInterrupt):
            self._hook(unraisable)
        elif not self.is_over:
            self._was_lost = True
            _thread.start_new_thread(self._resend_signal, ())

    def _resend_signal(self) -> None:
        import time

        while self._was_lost and not self.is_over:
            time.sleep(0.01)
            os.kill(self._pid, self.number)

    def has_raised(self, error: BaseException) -> bool:
        """Return whether this error ended the flow because of the signal, and is not an error of the flow itself."""
        asyncio = sys.modules.get("asyncio")
        kinds = (RunStopped, KeyboardInterrupt, *([asyncio.CancelledError] if asyncio else []))
        return self.is_asked and isinstance(error, kinds)


def waits_for_threads(frame: types.FrameType | None) -> bool:
    """Return whether the interpreter is shutting down and waits for threads."""
    while frame is not None:
        if frame.f_code.co_name == "_shutdown" and frame.f_globals.get("__name__") == "threading":
            return True
        frame = frame.f_back
    return False


def cancel_main_task() -> bool:
    """Cancel the main task of the event loop in this thread; return False if no loop is running.

    An exception raised inside the loop would end only the task or callback that happens to run, not the flow.
    """
    events = sys.modules.get("asyncio.events")
    loop = None if events is None else events._get_running_loop()
    if loop is None:
        return False
    tasks = [task for task in sys.modules["asyncio"].all_tasks(loop) if not task.done()]
    main = [task for task in tasks if "_run_until_complete_cb" in repr(getattr(task, "_callbacks", None))]
    for task in main or tasks:
        task.cancel()
    if getattr(loop, "_default_executor", None) is not None:
        loop._default_executor = None  # its threads may all be busy, and cleanup may need one
    if isinstance(loop, sys.modules["asyncio"].BaseEventLoop):
        # asyncio.run would wait for threads, also for those of an executor that is being created at this moment.
        vars(loop)["shutdown_default_executor"] = _do_not_wait
    loop.call_soon_threadsafe(lambda: None)  # wake the loop
    return True


async def _do_not_wait(*_: Any) -> None:
    """Replace `shutdown_default_executor` of a loop: threads end with the process."""


def runs_forever(frame: types.FrameType | None) -> bool:
    """Return whether the event loop was started with `run_forever`, so that it has no main task that could end it."""
    functions = set()
    while frame is not None:
        if frame.f_globals.get("__name__") == "asyncio.base_events":
            functions.add(frame.f_code.co_name)
        frame = frame.f_back
    return "run_forever" in functions and "run_until_complete" not in functions


def stop_loop() -> None:
    """Stop the running event loop once all of its tasks have ended."""
    asyncio = sys.modules["asyncio"]
    loop = asyncio.get_running_loop()
    ended = asyncio.gather(*asyncio.all_tasks(loop), return_exceptions=True)
    ended.add_done_callback(lambda _: loop.stop())


def forget_stop(error: BaseException) -> None:
    """Remove RunStopped from the context of an error, so that the traceback of a failed cleanup does not show it."""
    link: BaseException | None = error
    for _ in range(100):
        if link is None or isinstance(link.__context__, RunStopped):
            break
        link = link.__context__
    if link is not None:
        link.__context__ = None
