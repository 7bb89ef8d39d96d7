"""`@task`: the decorator for one step of a flow, with its own retries, timeout, cache and record."""

import functools
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from controller.sdk import event_writer, task_cache
from controller.sdk.argument_binding import bound, bound_to, is_coroutine_function
from controller.sdk.flow_options import check, check_function
from controller.sdk.futures import Future, Futures, futures_in, resolve, run_ids
from controller.sdk.retries import Delay, Hook, Policy, call_hooks, perform, perform_async
from controller.sdk.run_context import LiveRun
from controller.sdk.run_states import (
    CANCELLED,
    SUCCEEDED,
    MissingContextError,
    Skip,
    State,
    failure,
    failure_before_start,
)

if TYPE_CHECKING:
    from datetime import timedelta

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class unmapped:
    """A wrapper for an argument of `task.map` that every call gets as a whole: `load.map(days, unmapped([1, 2]))`.

    Use it for an iterable that must not be mapped over. Strings, bytes, mappings and values that are not iterable are
    never mapped over.
    """

    def __init__(self, value: Any) -> None:
        self.value = value


class Task(Generic[P, R]):
    """A task, as made by `@task`. `fn` is the undecorated function, for tests."""

    def __init__(self, fn: Callable[P, R], **options: Any) -> None:
        check_function("task", fn)
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.tags: tuple[str, ...] = tuple(options.get("tags") or ())
        self._options = {**options, "tags": self.tags}
        self.name: str = options.get("name") or str(getattr(fn, "__name__", type(fn).__name__))
        self.key = f"{getattr(fn, '__module__', '')}.{getattr(fn, '__qualname__', self.name)}"
        self.description: str | None = options.get("description") or getattr(fn, "__doc__", None)
        self.retries: int = options.get("retries") or 0
        self.log_prints: bool | None = options.get("log_prints")
        self.cache_key_fn: task_cache.CacheKey | None = options.get("cache_key_fn")
        self.cache_expiration: timedelta | None = options.get("cache_expiration")
        self.is_async = is_coroutine_function(fn)
        self._hooks: Sequence[Hook] = tuple(options.get("on_failure") or ())
        self._policy = Policy(
            retries=self.retries,
            delay=options.get("retry_delay_seconds") or 0,
            jitter=options.get("retry_jitter_factor") or 0,
            condition=options.get("retry_condition_fn"),
            timeout=options.get("timeout_seconds"),
        )

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    def __get__(self, instance: Any, owner: type | None = None) -> "Task[..., R]":
        """Bind a task that is defined in a class to the instance, as Python does with a method."""
        return self if instance is None else Task(bound_to(self.fn, instance, owner), **self._options)

    def with_options(self, **changes: Any) -> "Task[P, R]":
        """Return a copy of this task with some options of `@task` changed. Raises TypeError or ValueError, like it."""
        check("task", changes)
        return Task(self.fn, **{**self._options, **changes})

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the task and return its value, or raise its error.

        Futures among the arguments, also in lists, tuples, sets and mappings, are waited for and replaced by their
        results; so are those in `wait_for=[…]`, which the function does not get. Raises UpstreamFailedError if one of
        them did not succeed, Skip if those were only skipped because they had nothing to do, and TimedOutError after
        `timeout_seconds`.
        """
        wait_for = _pop_wait_for(kwargs)
        run = self._new_run()
        if self.is_async:
            return self._run_async(run, args, kwargs, wait_for)  # type: ignore[return-value]
        args, kwargs = self._resolve(run, args, kwargs, wait_for)
        return self._perform(run, args, kwargs)  # type: ignore[no-any-return]

    @overload
    def submit(self: "Task[..., Coroutine[Any, Any, T]]", *args: Any, **kwargs: Any) -> Future[T]: ...
    @overload
    def submit(self: "Task[..., T]", *args: Any, **kwargs: Any) -> Future[T]: ...
    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Start the task concurrently with the flow and return its future.

        The task runs in a thread, or on the flow's event loop if both are async. It starts when the futures among its
        arguments and in `wait_for=[…]` have ended; if one of them did not succeed, it is skipped. Raises
        MissingContextError outside of a flow.
        """
        wait_for = _pop_wait_for(kwargs)
        run = self._new_run()
        pool = run.pool
        if pool is None:
            raise MissingContextError(f"{self.name}.submit() works only inside a flow: call {self.name}() instead")
        future: Future[Any] = Future(run, futures_in([args, kwargs, wait_for]))
        run.set_state(run.state)
        pool.add(future)
        if self.is_async and (loop := _running_loop()) is not None:
            future.run_on_loop(loop, self._run_on_loop(future, args, kwargs))
            return future
        context = copy_context()
        future.set_work(lambda: context.run(self._run_in_thread, future, args, kwargs))
        _start_after(future, lambda: pool.submit(future.run_work))
        return future

    @overload
    def map(self: "Task[..., Coroutine[Any, Any, T]]", *args: Any, **kwargs: Any) -> Futures[T]: ...
    @overload
    def map(self: "Task[..., T]", *args: Any, **kwargs: Any) -> Futures[T]: ...
    def map(self, *args: Any, **kwargs: Any) -> Futures[Any]:
        """Submit the task once per item of its iterable arguments, and return the list of futures.

        Iterables are taken in parallel, as `zip` does; other arguments, and those in `unmapped`, are the same in every
        call. An argument that is a future is waited for. Raises ValueError if no argument is iterable, or if the
        lengths differ, and MissingContextError outside of a flow.
        """
        wait_for = _pop_wait_for(kwargs)
        positional = [_items(value) for value in args]
        named = {name: _items(value) for name, value in kwargs.items()}
        lengths = {len(items) for items in (*positional, *named.values()) if isinstance(items, list)}
        if len(lengths) != 1:
            problem = "got iterables of different lengths" if lengths else "needs at least one iterable argument"
            raise ValueError(f"{self.name}.map() {problem}")
        futures = Futures[Any]()
        for index in range(lengths.pop()):
            own = [_at(items, index) for items in positional]
            own_named = {name: _at(items, index) for name, items in named.items()}
            futures.append(self.submit(*own, **own_named, wait_for=wait_for))
        return futures

    def _new_run(self) -> LiveRun:
        return LiveRun(self, self.name, self.tags, kind="task", log_prints=self.log_prints)

    def _resolve(self, run: LiveRun, args: Any, kwargs: Any, wait_for: Any) -> tuple[Any, Any]:
        """Return the arguments with futures replaced by results. If an upstream task failed, end the run and raise."""
        if run.pool is None or not (run.pool.futures or wait_for):
            return args, kwargs
        run.needs = run_ids(futures_in([args, kwargs, wait_for]))
        try:
            resolve(wait_for)
            return resolve(args), resolve(kwargs)
        except (RuntimeError, ValueError, Skip) as error:
            run.set_state(failure_before_start(error))
            raise

    def _perform(self, run: LiveRun, args: Any, kwargs: Any) -> Any:
        key = self._cache_key(run, args, kwargs)
        if key is not None and (entry := task_cache.find(key))[0]:
            return self._from_cache(run, entry[1])
        try:
            value = perform(self, run, self._policy, lambda: self.fn(*args, **kwargs))
        except BaseException as error:
            self._record_failure(run, error)
            raise
        if key is not None:
            task_cache.keep(key, value, self.cache_expiration)
        return value

    async def _perform_async(self, run: LiveRun, args: Any, kwargs: Any) -> Any:
        key = self._cache_key(run, args, kwargs)
        if key is not None and (entry := task_cache.find(key))[0]:
            return self._from_cache(run, entry[1])
        call: Any = lambda: self.fn(*args, **kwargs)  # noqa: E731
        try:
            value = await perform_async(self, run, self._policy, call)
        except BaseException as error:
            self._record_failure(run, error)
            raise
        if key is not None:
            task_cache.keep(key, value, self.cache_expiration)
        return value

    async def _run_async(self, run: LiveRun, args: Any, kwargs: Any, wait_for: Any) -> Any:
        for need in futures_in([args, kwargs, wait_for]):
            await need.wait_async()
        args, kwargs = self._resolve(run, args, kwargs, wait_for)
        return await self._perform_async(run, args, kwargs)

    async def _run_on_loop(self, future: Future[Any], args: Any, kwargs: Any) -> None:
        """Run a submitted async task on the event loop that it was submitted from, and finish its future."""
        for need in future.needs:
            await need.wait_async()
        if not all(need.run.state.is_completed() for need in future.needs):
            future.set_work(lambda: None)
            future.skip()
            return
        semaphore = future.run.pool.semaphore if future.run.pool is not None else None
        try:
            if semaphore is None:
                value = await self._perform_async(future.run, resolve(args), resolve(kwargs))
            else:
                async with semaphore:
                    value = await self._perform_async(future.run, resolve(args), resolve(kwargs))
        except BaseException as error:
            if not future.run.state.is_final:
                future.run.set_state(failure(error) if isinstance(error, Exception) else CANCELLED)
            future.finish(error=error)
            if not isinstance(error, Exception):
                raise
        else:
            future.finish(value)

    def _run_in_thread(self, future: Future[Any], args: Any, kwargs: Any) -> None:
        """Run a submitted task in this thread, and finish its future."""
        try:
            args, kwargs = resolve(args), resolve(kwargs)
            if self.is_async:
                import asyncio

                value = asyncio.run(self._perform_async(future.run, args, kwargs))
            else:
                value = self._perform(future.run, args, kwargs)
        except BaseException as error:
            if not future.run.state.is_final:
                future.run.set_state(failure(error) if isinstance(error, Exception) else CANCELLED)
            future.finish(error=error)
            if event_writer.is_stopped() and not isinstance(error, Exception):
                raise
        else:
            future.finish(value)

    def _cache_key(self, run: LiveRun, args: Any, kwargs: Any) -> str | None:
        if self.cache_key_fn is None:
            return None
        parameters: Mapping[str, Any] = bound(self.fn, args, kwargs)
        run.parameters = dict(parameters)
        return self.cache_key_fn(run, parameters)

    def _from_cache(self, run: LiveRun, value: Any) -> Any:
        run.cached = True
        run.set_state(SUCCEEDED)
        return value

    def _record_failure(self, run: LiveRun, error: BaseException) -> None:
        from controller.sdk.run_logger import log_failure, log_skip

        if isinstance(error, Skip):
            log_skip(run)
            return
        log_failure(run)
        if run.state.name != CANCELLED.name:
            call_hooks(self._hooks, self, run)


def _start_after(future: Future[Any], start: Callable[[], None]) -> None:
    """Call `start` when all upstream tasks have succeeded. If one of them ended otherwise, skip the task."""
    pending = set(map(id, future.needs))

    def handle_end(need: Future[Any]) -> None:
        pending.discard(id(need))
        if not pending:
            if all(need.run.state.is_completed() for need in future.needs):
                start()
            else:
                future.skip()

    if not pending:
        start()
    for need in {id(need): need for need in future.needs}.values():
        need.add_done_callback(functools.partial(handle_end, need))


def _pop_wait_for(kwargs: dict[str, Any]) -> list[Any]:
    """Remove `wait_for` from the arguments, as the function does not get it, and return it as a list.

    Raises TypeError for anything but a future or an iterable.
    """
    wait_for = kwargs.pop("wait_for", None)
    if wait_for is None or isinstance(wait_for, Future):
        return [] if wait_for is None else [wait_for]
    if isinstance(wait_for, str | bytes | Mapping) or not isinstance(wait_for, Iterable):
        raise TypeError(f"wait_for must be a future or a list of futures, not a {type(wait_for).__name__}")
    return list(wait_for)


def _items(value: Any) -> Any:
    """Return a list of the items to map over, or the value in `unmapped`."""
    if isinstance(value, unmapped):
        return value
    if isinstance(value, Future):
        value = value.result()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return unmapped(value)
    return list(value)


def _at(items: Any, index: int) -> Any:
    return items.value if isinstance(items, unmapped) else items[index]


def _running_loop() -> Any:
    import sys

    if "asyncio" not in sys.modules:
        return None
    return sys.modules["asyncio"]._get_running_loop()


@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    name: str | None = None,
    description: str | None = None,
    tags: Iterable[str] | None = None,
    retries: int = 0,
    retry_delay_seconds: Delay = 0,
    retry_jitter_factor: float | None = None,
    retry_condition_fn: Callable[[Any, LiveRun, State], bool] | None = None,
    timeout_seconds: float | None = None,
    cache_key_fn: task_cache.CacheKey | None = None,
    cache_expiration: "timedelta | None" = None,
    log_prints: bool | None = None,
    on_failure: Sequence[Hook] = (),
) -> Callable[[Callable[P, R]], Task[P, R]]: ...
def task(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Decorate a function as a task: `@task`, or `@task(retries=3, timeout_seconds=30)`.

    - `name`: the task's name; by default the function's name.
    - `description`: free text; the default is the docstring.
    - `tags`: tags of each run of the task, in addition to those of the `with tags(…)` blocks around the call.
    - `retries`, `retry_delay_seconds`: how many times to retry, and the delay before each retry: one number, a list
      with one number per retry (the last one applies to all further retries), or a function of the number of retries
      that returns such a list.
    - `retry_jitter_factor`: lengthen each delay by a random fraction; 0.5 adds up to 50 %.
    - `retry_condition_fn`: a function `f(task, run, state)`; if it returns False, the task is not retried.
    - `timeout_seconds`: raise TimedOutError in an attempt that takes longer.
    - `cache_key_fn`: a function `f(run, parameters)` that returns a key or None. Within this process, a call with the
      key of an earlier call returns that call's result. See `task_input_hash`.
    - `cache_expiration`: a timedelta after which a cached result is no longer used; by default it does not expire.
    - `log_prints`: whether `print` writes to the run's logger; None means the same as in the calling flow.
    - `on_failure`: functions `hook(task, run, state)` to call after the last attempt has failed.

    Raises TypeError or ValueError for an invalid option. See docs/flows.md.
    """
    check("task", options)
    return (lambda fn: Task(fn, **options)) if fn is None else Task(fn, **options)
