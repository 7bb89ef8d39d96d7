"""What `task.submit` gives back: a value that is not there yet. Made by `task`, waited for by users and by `task_pool`.

A thread of the pool that waits for a task which no thread has begun does it itself, so that tasks which submit tasks
can't use up all threads and wait for each other.
"""

import sys
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator
from typing import Any, Generic, TypeVar

from controller.sdk.run_context import LiveRun, current
from controller.sdk.run_states import CANCELLED, State, UpstreamFailedError, failure

R = TypeVar("R")
_HEADROOM = 200


class Future(Generic[R]):
    """The result of a task that was submitted."""

    def __init__(self, run: LiveRun, needs: "Iterable[Future[Any]]") -> None:
        self.run = run
        self.needs = list(needs)
        run.needs = ids_of(self.needs)
        self.error: BaseException | None = None
        self.is_seen = False
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
        """How it stands. Whoever asks for a failure's state is taken to know of it."""
        if self.done():
            self._see()
        return self.run.state

    @property
    def has_failed_unseen(self) -> bool:
        """Whether it did not succeed, and neither its result nor its state was asked for since."""
        return self.done() and not self.is_seen and not self.run.state.is_completed()

    def done(self) -> bool:
        """Whether it has ended."""
        return self._done.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for its end; False after `timeout` seconds without it."""
        if not self._done.is_set():
            here = current.get()
            if here is not None and here.kind == "task" and timeout is None:
                self.help()
            stuck = self._on_loop_of_here()
            if stuck is not None:
                raise RuntimeError(
                    f"{stuck.run.label} runs on this very loop: await {'it' if stuck is self else self.run.label}"
                )
        return self._done.wait(timeout)

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """Its value, once that is there. Raises what the task raised, TimeoutError after `timeout` seconds.

        With `raise_on_failure=False` the exception itself is returned.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"{self.run.label} has not ended within {timeout} s")
        return self._outcome(raise_on_failure)

    def __await__(self) -> Generator[Any, Any, R]:
        yield from self.ended().__await__()
        return self._outcome(True)

    async def ended(self) -> None:
        """Wait for its end on the running loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        waiter = loop.create_future()

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def call() -> None:
            loop.call_soon_threadsafe(wake)

        self.when_done(call)
        await waiter

    def when_done(self, callback: Callable[[], None]) -> None:
        """Call this at its end, from whatever thread that is in; at once if it has ended."""
        with self._lock:
            if not self._done.is_set():
                self._callbacks.append(callback)
                return
        callback()

    def cancel(self) -> bool:
        """Keep it from being begun; False if it has been."""
        if self._task is not None:
            return bool(self._task.cancel())
        if self._claim() is None:
            return False
        self.run.move(CANCELLED)
        self.is_seen = True
        self.settle(error=RuntimeError(f"{self.run.label} was cancelled"))
        return True

    def offer(self, work: Callable[[], None]) -> None:
        """What is to be done for it, by whoever comes first: a thread, or somebody who waits for it."""
        self._work = work

    def follow(self, loop: Any, steps: Coroutine[Any, Any, None]) -> None:
        """These steps are done for it on this loop, which must not wait for it."""

        def ended(_: Any) -> None:
            if not self.done():  # it was cancelled before its first step
                self.run.move(CANCELLED)
                self.settle(error=RuntimeError(f"{self.run.label} was cancelled"))

        self._loop = loop
        self._task = loop.create_task(steps)
        self._task.add_done_callback(ended)

    def go(self) -> None:
        """Do the work, unless somebody does or has."""
        work = self._claim()
        if work is not None:
            work()

    def help(self) -> None:
        """Do the work here if nobody has begun with it, and that of all that it needs."""
        for need in self.needs:
            need.help()
        if all(need.done() for need in self.needs):
            if self._work is not None and _is_deep():
                raise RecursionError(f"{self.run.label} is waited for by too many tasks that wait for each other")
            self.go()

    def settle(self, value: Any = None, error: BaseException | None = None) -> None:
        """It has ended like this."""
        with self._lock:
            self._value, self.error = value, error
            self._done.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def refuse(self) -> None:
        """It needs what did not succeed, and is not run."""
        if self._claim() is not None:
            error = UpstreamFailedError(f"not run: {blocker(self.needs)}")
            self.run.move(failure(error))
            self.settle(error=error)

    def _on_loop_of_here(self) -> "Future[Any] | None":
        """What has to be done before it ends by the loop that runs in this thread, and so can't be waited for here."""
        left: list[Future[Any]] = [self]
        seen = set()
        while left:
            one = left.pop()
            if one.done() or id(one) in seen:
                continue
            seen.add(id(one))
            if one._loop is not None and one._loop is _running_loop():
                return one
            left += one.needs
        return None

    def _claim(self) -> Callable[[], None] | None:
        with self._lock:
            work, self._work = self._work, None
        return work

    def _see(self) -> None:
        """Somebody knows how it ended, and so why: what it needed is known of too."""
        if not self.is_seen:
            self.is_seen = True
            for need in self.needs if isinstance(self.error, UpstreamFailedError) else ():
                need._see()

    def _outcome(self, raise_on_failure: bool) -> R:
        self._see()
        if self.error is not None:
            if raise_on_failure:
                raise self.error
            return self.error  # type: ignore[return-value]
        value: R = self._value
        return value


class Futures(list[Future[R]]):
    """What `task.map` gives back."""

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[R]:
        """All results."""
        return [future.result(timeout, raise_on_failure) for future in self]

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for all; False if one took longer than `timeout` seconds."""
        done = [future.wait(timeout) for future in self]
        return all(done)


def blocker(needs: Iterable[Future[Any]]) -> str:
    """The first of these that did not succeed, in words."""
    one = next(need for need in needs if not need.run.state.is_completed())
    return f"{one.run.label}, which it needs, {'was ' if one.run.state.name == 'skipped' else ''}{one.run.state.name}"


_COLLECTIONS = (list, tuple, set, dict, Futures)


def futures_in(value: Any) -> Iterator[Future[Any]]:
    """The futures in a value, and in the lists, tuples, sets and mappings in it, which may contain themselves."""
    left = [value]
    seen: set[int] | None = None
    while left:
        one = left.pop()
        if isinstance(one, Future):
            yield one
        elif type(one) in _COLLECTIONS and one:
            seen = set() if seen is None else seen
            if id(one) not in seen:
                seen.add(id(one))
                items = list(one.values() if type(one) is dict else one)
                left.extend(reversed(items))


def ids_of(needs: "Iterable[Future[Any]]") -> tuple[int, ...]:
    """The runs behind these, each once."""
    return tuple(dict.fromkeys(need.run.id for need in needs))


def resolved(value: Any) -> Any:
    """The same value with results in place of futures. Waits. Raises UpstreamFailedError.

    What holds no future is the very same object: a task may be given something to change. Raises ValueError for futures
    in a collection that contains itself.
    """
    if next(futures_in(value), None) is None:
        return value
    return _resolved(value, ())


def _resolved(value: Any, above: tuple[int, ...]) -> Any:
    """`above` are the collections that it is in."""
    if isinstance(value, Future):
        if not value.wait() or not value.run.state.is_completed():
            raise UpstreamFailedError(f"not run: {blocker([value])}")
        return value.result()
    if type(value) not in _COLLECTIONS:
        return value
    if id(value) in above:
        raise ValueError("a collection that contains itself can't have futures in it")
    above = (*above, id(value))
    if type(value) is dict:
        return {key: _resolved(item, above) for key, item in value.items()}
    kind: Any = list if type(value) is Futures else type(value)
    return kind([_resolved(item, above) for item in value])


def _is_deep() -> bool:
    """Whether the stack of this thread may be too short for one more task, and for telling how it ended."""
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
