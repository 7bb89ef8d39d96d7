"""`@task`: one step of a flow, with its own retries, timeout, cache and record."""

import functools
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from controller.sdk import event_writer, task_cache
from controller.sdk.argument_binding import bound, bound_to, is_coroutine_function
from controller.sdk.flow_options import check, check_function
from controller.sdk.futures import Future, Futures, futures_in, ids_of, resolved
from controller.sdk.retries import Delay, Hook, Policy, call_hooks, perform, perform_async
from controller.sdk.run_context import LiveRun
from controller.sdk.run_states import CANCELLED, SUCCEEDED, MissingContextError, State, failure

if TYPE_CHECKING:
    from datetime import timedelta

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class unmapped:
    """An argument of `map` that every call gets whole."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Task(Generic[P, R]):
    """A function whose calls are recorded. `fn` is the function itself."""

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
        """A task that is defined in a class is bound like a method."""
        return self if instance is None else Task(bound_to(self.fn, instance, owner), **self._options)

    def with_options(self, **changes: Any) -> "Task[P, R]":
        """The same task with other options of `@task`."""
        check("task", changes)
        return Task(self.fn, **{**self._options, **changes})

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it here and now; the value, or what it raises. Futures among the arguments are waited for."""
        wait_for = _needs(kwargs)
        run = self._run()
        if self.is_async:
            return self._awaited(run, args, kwargs, wait_for)  # type: ignore[return-value]
        given = self._resolved(run, args, kwargs, wait_for)
        return self._perform(run, *given)  # type: ignore[no-any-return]

    @overload
    def submit(self: "Task[..., Coroutine[Any, Any, T]]", *args: Any, **kwargs: Any) -> Future[T]: ...
    @overload
    def submit(self: "Task[..., T]", *args: Any, **kwargs: Any) -> Future[T]: ...
    def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run it beside the flow: in a thread, or on the flow's loop if both are async.

        Futures among the arguments, and those of `wait_for=[…]`, come first; if one does not succeed this is skipped.
        Raises MissingContextError outside of a flow.
        """
        wait_for = _needs(kwargs)
        run = self._run()
        scope = run.scope
        if scope is None:
            raise MissingContextError(f"{self.name}.submit() is for use in a flow: who else would wait for it?")
        future: Future[Any] = Future(run, futures_in([args, kwargs, wait_for]))
        run.move(run.state)
        scope.add(future)
        if self.is_async and (loop := _running_loop()) is not None:
            future.follow(loop, self._on_loop(future, args, kwargs))
            return future
        context = copy_context()
        future.offer(lambda: context.run(self._work, future, args, kwargs))
        _start_after(future, lambda: scope.put(future.go))
        return future

    @overload
    def map(self: "Task[..., Coroutine[Any, Any, T]]", *args: Any, **kwargs: Any) -> Futures[T]: ...
    @overload
    def map(self: "Task[..., T]", *args: Any, **kwargs: Any) -> Futures[T]: ...
    def map(self, *args: Any, **kwargs: Any) -> Futures[Any]:
        """Submit it once for each item of its iterable arguments, side by side; others are the same in every call."""
        wait_for = _needs(kwargs)
        positional = [_items(value) for value in args]
        named = {name: _items(value) for name, value in kwargs.items()}
        lengths = {len(items) for items in (*positional, *named.values()) if isinstance(items, list)}
        if len(lengths) != 1:
            what = "arguments of different lengths" if lengths else "no argument to go through"
            raise ValueError(f"{self.name}.map() got {what}")
        found = Futures[Any]()
        for index in range(lengths.pop()):
            own = [_at(items, index) for items in positional]
            own_named = {name: _at(items, index) for name, items in named.items()}
            found.append(self.submit(*own, **own_named, wait_for=wait_for))
        return found

    def _run(self) -> LiveRun:
        return LiveRun(self, self.name, self.tags, kind="task", log_prints=self.log_prints)

    def _resolved(self, run: LiveRun, args: Any, kwargs: Any, wait_for: Any) -> tuple[Any, Any]:
        """The arguments with results in place of futures. A run whose upstream failed ends here."""
        if run.scope is None or not (run.scope.futures or wait_for):
            return args, kwargs
        run.needs = ids_of(futures_in([args, kwargs, wait_for]))
        try:
            resolved(wait_for)
            return resolved(args), resolved(kwargs)
        except (RuntimeError, ValueError) as error:
            run.move(failure(error))
            raise

    def _perform(self, run: LiveRun, args: Any, kwargs: Any) -> Any:
        key = self._cache_key(run, args, kwargs)
        if key is not None and (found := task_cache.find(key))[0]:
            return self._from_cache(run, found[1])
        try:
            value = perform(self, run, self._policy, lambda: self.fn(*args, **kwargs))
        except BaseException:
            self._failed(run)
            raise
        if key is not None:
            task_cache.keep(key, value, self.cache_expiration)
        return value

    async def _perform_async(self, run: LiveRun, args: Any, kwargs: Any) -> Any:
        key = self._cache_key(run, args, kwargs)
        if key is not None and (found := task_cache.find(key))[0]:
            return self._from_cache(run, found[1])
        call: Any = lambda: self.fn(*args, **kwargs)  # noqa: E731
        try:
            value = await perform_async(self, run, self._policy, call)
        except BaseException:
            self._failed(run)
            raise
        if key is not None:
            task_cache.keep(key, value, self.cache_expiration)
        return value

    async def _awaited(self, run: LiveRun, args: Any, kwargs: Any, wait_for: Any) -> Any:
        for need in futures_in([args, kwargs, wait_for]):
            await need.ended()
        given = self._resolved(run, args, kwargs, wait_for)
        return await self._perform_async(run, *given)

    async def _on_loop(self, future: Future[Any], args: Any, kwargs: Any) -> None:
        """What a submitted coroutine does, on the loop that it was submitted from."""
        for need in future.needs:
            await need.ended()
        if not all(need.run.state.is_completed() for need in future.needs):
            future.offer(lambda: None)
            future.refuse()
            return
        places = future.run.scope.places if future.run.scope is not None else None
        try:
            if places is None:
                value = await self._perform_async(future.run, resolved(args), resolved(kwargs))
            else:
                async with places:
                    value = await self._perform_async(future.run, resolved(args), resolved(kwargs))
        except BaseException as error:
            if not future.run.state.is_final:
                future.run.move(failure(error) if isinstance(error, Exception) else CANCELLED)
            future.settle(error=error)
            if not isinstance(error, Exception):
                raise
        else:
            future.settle(value)

    def _work(self, future: Future[Any], args: Any, kwargs: Any) -> None:
        """What a thread does for a submitted call."""
        try:
            given, named = resolved(args), resolved(kwargs)
            if self.is_async:
                import asyncio

                value = asyncio.run(self._perform_async(future.run, given, named))
            else:
                value = self._perform(future.run, given, named)
        except BaseException as error:
            if not future.run.state.is_final:
                future.run.move(failure(error) if isinstance(error, Exception) else CANCELLED)
            future.settle(error=error)
            if event_writer.is_stopped() and not isinstance(error, Exception):
                raise
        else:
            future.settle(value)

    def _cache_key(self, run: LiveRun, args: Any, kwargs: Any) -> str | None:
        if self.cache_key_fn is None:
            return None
        parameters: Mapping[str, Any] = bound(self.fn, args, kwargs)
        run.parameters = dict(parameters)
        return self.cache_key_fn(run, parameters)

    def _from_cache(self, run: LiveRun, value: Any) -> Any:
        run.cached = True
        run.move(SUCCEEDED)
        return value

    def _failed(self, run: LiveRun) -> None:
        from controller.sdk.run_logger import log_failure

        log_failure(run)
        call_hooks(self._hooks, self, run)


def _start_after(future: Future[Any], start: Callable[[], None]) -> None:
    """Start it once all that it needs has ended, or have it skipped."""
    left = set(map(id, future.needs))

    def one_less(need: Future[Any]) -> None:
        left.discard(id(need))
        if not left:
            if all(need.run.state.is_completed() for need in future.needs):
                start()
            else:
                future.refuse()

    if not left:
        start()
    for need in {id(need): need for need in future.needs}.values():
        need.when_done(functools.partial(one_less, need))


def _needs(kwargs: dict[str, Any]) -> list[Any]:
    """What `wait_for` of a call names, which is no argument of the function. Raises TypeError."""
    given = kwargs.pop("wait_for", None)
    if given is None or isinstance(given, Future):
        return [] if given is None else [given]
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise TypeError(f"wait_for is a future or a list of futures, not a {type(given).__name__}")
    return list(given)


def _items(value: Any) -> Any:
    """A list of what is gone through, or the value in `unmapped`."""
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
    """Make a function a task. `retry_delay_seconds`: a number, one for each retry, or a function of their number."""
    check("task", options)
    return (lambda fn: Task(fn, **options)) if fn is None else Task(fn, **options)
