"""Futures: the results of submitted tasks. `task` creates them; users and `task_pool` wait for them.

If a thread of the pool waits for a task that no thread has started, it runs that task itself. Otherwise, tasks that
submit tasks could occupy all threads and wait for each other forever.
"""

import sys
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from typing import Any, Generic, TypeVar

from controller.sdk.run_context import LiveRun, current
from controller.sdk.run_states import CANCELLED, Skip, State, UpstreamFailedError, failure_before_start

R = TypeVar("R")
_HEADROOM = 200
"""Stack frames to keep free for one more task and for the report of its end."""


class Future(Generic[R]):
    """The result of a submitted task, as returned by `task.submit` and in the list that `task.map` returns.

    In an async flow, `await` it. A future that is an argument of another task is replaced by its result.
    """

    def __init__(self, run: LiveRun, needs: "Iterable[Future[Any]]") -> None:
        self.run = run
        self.needs = list(needs)
        run.needs = run_ids(self.needs)
        self.error: BaseException | None = None
        self.is_observed = False
        self._value: Any = None
        self._work: Callable[[], None] | None = None
        self._loop: Any = None
        self._task: Any = None
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Future of {self.run.label}: {self.run.state.name}>"

    @property
    def state(self) -> State:
        """The state of the task run. Reading the state of a failed task marks the failure as handled."""
        if self.done():
            self._mark_observed()
        return self.run.state

    @property
    def has_unobserved_failure(self) -> bool:
        """Whether the task failed, and neither its result nor its state was read since. A Skip is not a failure."""
        is_handled = self.is_observed or isinstance(self.error, Skip)
        return self.done() and not is_handled and not self.run.state.is_completed()

    def done(self) -> bool:
        """Return whether the task has ended."""
        return self._done.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the task ends; return False if it has not ended after `timeout` seconds.

        Raises RuntimeError if the task runs on the event loop of this thread, which a blocking wait would stop.
        """
        if not self._done.is_set():
            run = current.get()
            if run is not None and run.kind == "task" and timeout is None:
                self.run_here()
            blocked = self._find_on_this_loop()
            if blocked is not None:
                raise RuntimeError(
                    f"{blocked.run.label} runs on this event loop: await {'it' if blocked is self else self.run.label}"
                )
        return self._done.wait(timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """Wait until the task ends and return its value.

        Raises the task's error, or TimeoutError after `timeout` seconds. With `raise_on_failure=False`, the task's
        error is returned instead.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"{self.run.label} did not end within {timeout} s")
        return self._outcome(raise_on_failure)

    def __await__(self) -> Generator[Any, Any, R]:
        yield from self.wait_async().__await__()
        return self._outcome(True)

    async def wait_async(self) -> None:
        """Wait until the task ends, on the running event loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        waiter = loop.create_future()

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def call() -> None:
            loop.call_soon_threadsafe(wake)

        self.add_done_callback(call)
        await waiter

    def add_done_callback(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the task ends, in the thread in which it ends; at once if it has ended already."""
        with self._lock:
            if not self._done.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def cancel(self) -> bool:
        """Cancel the task. Return False if a thread has already started it.

        An async task that runs on the flow's event loop is cancelled even if it has started.
        """
        if self._task is not None:
            return bool(self._task.cancel())
        if self._claim() is None:
            return False
        self.run.set_state(CANCELLED)
        self.is_observed = True
        self.finish(error=RuntimeError(f"{self.run.label} was cancelled"))
        return True

    def set_work(self, work: Callable[[], None]) -> None:
        """Set the function that runs the task. It is called once: by a thread of the pool, or by one that waits."""
        self._work = work

    def run_on_loop(self, loop: Any, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run the task as a coroutine on this event loop, whose thread must then not block on the future."""

        def handle_end(_: Any) -> None:
            if not self.done():  # it was cancelled before its first step
                self.run.set_state(CANCELLED)
                self.finish(error=RuntimeError(f"{self.run.label} was cancelled"))

        self._loop = loop
        self._task = loop.create_task(coroutine)
        self._task.add_done_callback(handle_end)

    def run_work(self) -> None:
        """Run the task, unless another thread has started it."""
        work = self._claim()
        if work is not None:
            work()

    def run_here(self) -> None:
        """Run the task and those that it depends on in this thread, as far as no other thread has started them.

        Raises RecursionError if the stack of this thread is nearly used up.
        """
        for need in self.needs:
            need.run_here()
        if all(need.done() for need in self.needs):
            if self._work is not None and _is_stack_nearly_full():
                raise RecursionError(f"{self.run.label}: too many nested tasks are waiting for each other")
            self.run_work()

    def finish(self, value: Any = None, error: BaseException | None = None) -> None:
        """Set the result or the error, and call the callbacks."""
        with self._lock:
            self._value, self.error = value, error
            self._done.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def skip(self) -> None:
        """End without running the task, because a task that it depends on did not succeed."""
        if self._claim() is not None:
            error = upstream_error(self.needs)
            self.run.set_state(failure_before_start(error))
            self.finish(error=error)

    def _find_on_this_loop(self) -> "Future[Any] | None":
        """Return the future, this one or one that it depends on, that runs on the event loop of this thread.

        A blocking wait here would be a deadlock: it keeps that loop from running the task.
        """
        pending: list[Future[Any]] = [self]
        visited = set()
        while pending:
            future = pending.pop()
            if future.done() or id(future) in visited:
                continue
            visited.add(id(future))
            if future._loop is not None and future._loop is _running_loop():
                return future
            pending += future.needs
        return None

    def _claim(self) -> Callable[[], None] | None:
        with self._lock:
            work, self._work = self._work, None
        return work

    def _mark_observed(self) -> None:
        """Note that user code has read the outcome; for a skipped task, that covers the failures that caused it."""
        if not self.is_observed:
            self.is_observed = True
            for need in self.needs if isinstance(self.error, UpstreamFailedError) else ():
                need._mark_observed()

    def _outcome(self, raise_on_failure: bool) -> R:
        self._mark_observed()
        if self.error is not None:
            if raise_on_failure:
                raise self.error
            return self.error  # type: ignore[return-value]
        value: R = self._value
        return value


class Futures(list[Future[R]]):
    """The list of futures that `task.map` returns, in the order of the items."""

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[R]:
        """Return the results of all tasks, in order; `timeout` in seconds applies to each. See `Future.result`."""
        return [future.result(timeout, raise_on_failure) for future in self]

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for all tasks, up to `timeout` seconds for each; return whether all of them have ended."""
        done = [future.wait(timeout) for future in self]
        return all(done)


_OUTCOMES = {"skipped": "was skipped", "cancelled": "was cancelled", "timed_out": "timed out"}


def upstream_error(needs: Iterable[Future[Any]]) -> Exception:
    """Return the error of a task that is not run because some of these tasks did not succeed.

    Its cause is the error of the first one, so that a traceback shows both. If all of those had nothing to do, it is a
    Skip with the reason of the first one.
    """
    unfinished = [need for need in needs if not need.run.state.is_completed()]
    failed = [need for need in unfinished if not isinstance(need.error, Skip)]
    if not failed:
        return Skip(unfinished[0].run.state.message or "")
    run = failed[0].run
    error = UpstreamFailedError(f"not run: upstream task {run.label} {_OUTCOMES.get(run.state.name, run.state.name)}")
    error.__cause__ = failed[0].error if isinstance(failed[0].error, Exception) else None
    return error


_COLLECTIONS = (list, tuple, set, dict, Futures)


def futures_in(value: Any) -> Iterator[Future[Any]]:
    """Yield the futures in a value and in nested lists, tuples, sets and mappings, which may contain themselves."""
    pending = [value]
    visited: set[int] | None = None
    while pending:
        item = pending.pop()
        if isinstance(item, Future):
            yield item
        elif type(item) in _COLLECTIONS and item:
            visited = set() if visited is None else visited
            if id(item) not in visited:
                visited.add(id(item))
                items = list(item.values() if type(item) is dict else item)
                pending.extend(reversed(items))


def run_ids(needs: "Iterable[Future[Any]]") -> tuple[int, ...]:
    """Return the ids of the task runs behind these futures, without duplicates."""
    return tuple(dict.fromkeys(need.run.id for need in needs))


def resolve(value: Any) -> Any:
    """Return the value with its futures replaced by their results, after waiting for them.

    A value without futures is returned as the same object, so that a task can modify its arguments. Raises
    `upstream_error` if a task did not succeed, and ValueError for futures in a collection that contains itself.
    """
    if next(futures_in(value), None) is None:
        return value
    return _resolve(value, ())


def _resolve(value: Any, parents: tuple[int, ...]) -> Any:
    """Resolve one item; `parents` are the ids of the collections around it."""
    if isinstance(value, Future):
        if not value.wait() or not value.run.state.is_completed():
            raise upstream_error([value])
        return value.result()
    if type(value) not in _COLLECTIONS:
        return value
    if id(value) in parents:
        raise ValueError("a collection that contains itself can't contain futures")
    parents = (*parents, id(value))
    if type(value) is dict:
        return {key: _resolve(item, parents) for key, item in value.items()}
    kind: Any = list if type(value) is Futures else type(value)
    return kind([_resolve(item, parents) for item in value])


def _is_stack_nearly_full() -> bool:
    """Return whether this thread's stack may be too short to run one more task and to report its end."""
    try:
        sys._getframe(sys.getrecursionlimit() - _HEADROOM)
    except ValueError:
        return False
    return True


def _running_loop() -> Any:
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
