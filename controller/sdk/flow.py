"""`@flow`: the function that a deployment runs. It may call tasks and other flows, which are recorded below it."""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, ParamSpec, TypeVar, overload

from controller.sdk import event_writer
from controller.sdk.argument_binding import bound_to, is_coroutine_function
from controller.sdk.flow_options import ConcurrencyLimit, check, check_function
from controller.sdk.futures import futures_in, resolved
from controller.sdk.retries import Delay, Hook, Policy, call_hooks, perform, perform_async
from controller.sdk.run_context import LiveRun
from controller.sdk.run_states import failure
from controller.sdk.task_pool import TaskPool

P = ParamSpec("P")
R = TypeVar("R")


class Flow(Generic[P, R]):
    """A flow. `fn` is the function itself."""

    def __init__(self, fn: Callable[P, R], **options: Any) -> None:
        check_function("flow", fn)
        functools.update_wrapper(self, fn)
        self.fn = fn
        self._options = options
        function_name = getattr(fn, "__name__", type(fn).__name__)
        self.name: str = options.get("name") or function_name.replace("_", "-")
        self.version: str | None = options.get("version")
        self.description: str | None = options.get("description") or getattr(fn, "__doc__", None)
        self.flow_run_name: str | None = options.get("flow_run_name")
        self.retries: int = options.get("retries") or 0
        self.validate_parameters = options.get("validate_parameters", True) is not False
        self.log_prints: bool | None = options.get("log_prints")
        self.is_async = is_coroutine_function(fn)
        limit = options.get("concurrency")
        self.concurrency = ConcurrencyLimit(limit) if isinstance(limit, int) else limit
        self._hooks: dict[str, Sequence[Hook]] = {
            name: tuple(options.get(name) or ()) for name in ("on_completion", "on_failure")
        }
        self._policy = Policy(
            retries=self.retries,
            delay=options.get("retry_delay_seconds") or 0,
            timeout=options.get("timeout_seconds"),
        )

    def __repr__(self) -> str:
        return f"<Flow {self.name}>"

    def __get__(self, instance: Any, owner: type | None = None) -> "Flow[..., R]":
        """A flow that is defined in a class is bound like a method."""
        return self if instance is None else Flow(bound_to(self.fn, instance, owner), **self._options)

    def with_options(self, **changes: Any) -> "Flow[P, R]":
        """The same flow with other options of `@flow`."""
        check("flow", changes)
        return Flow(self.fn, **{**self._options, **changes})

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run it here and now: what it returns, or raises. Parameters are checked against its type hints first."""
        run = LiveRun(self, self.name, kind="flow", log_prints=self.log_prints)
        if self.is_async:
            return self._awaited(run, args, kwargs)  # type: ignore[return-value]
        with self._telling(run):
            given, named = self._given(run, args, kwargs)
            return perform(self, run, self._policy, lambda: self._body(run, given, named))  # type: ignore[no-any-return]

    async def _awaited(self, run: LiveRun, args: Any, kwargs: Any) -> Any:
        for need in futures_in([args, kwargs]):
            await need.ended()
        with self._telling(run):
            given, named = self._given(run, args, kwargs)
            return await perform_async(self, run, self._policy, lambda: self._body_async(run, given, named))

    def _given(self, run: LiveRun, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """The arguments as the function gets them."""
        try:
            args, kwargs = resolved(args), resolved(kwargs)
            if self.validate_parameters:
                from controller.sdk.argument_coercion import coerce_call

                args, kwargs = coerce_call(self.fn, args, kwargs)
        except Exception as error:
            run.move(failure(error))
            raise
        run.parameters = kwargs
        if self.flow_run_name is not None and run.parent is None:
            from controller.sdk.run_name import tell_name

            tell_name(run, self.flow_run_name, self.fn, args, kwargs)
        return args, kwargs

    def _body(self, run: LiveRun, args: Any, kwargs: Any) -> Any:
        """One attempt: the function, and all that it has submitted."""
        run.scope = scope = TaskPool(self.concurrency)
        try:
            value = self.fn(*args, **kwargs)
        except BaseException:
            scope.cancel()
            if not event_writer.is_stopped():
                scope.finish()
            raise
        scope.finish()
        value = resolved_value(value, scope)
        scope.check()
        return value

    async def _body_async(self, run: LiveRun, args: Any, kwargs: Any) -> Any:
        run.scope = scope = TaskPool(self.concurrency)
        try:
            value = await self.fn(*args, **kwargs)  # type: ignore[misc]
        except BaseException:
            scope.cancel()
            if not event_writer.is_stopped():
                await scope.finish_on_loop()
            raise
        await scope.finish_on_loop()
        value = resolved_value(value, scope)
        scope.check()
        return value

    @contextmanager
    def _telling(self, run: LiveRun) -> Iterator[None]:
        try:
            yield
        except BaseException:
            if not run.state.is_completed():
                from controller.sdk.run_logger import log_failure

                log_failure(run)
                call_hooks(self._hooks["on_failure"], self, run)
            raise
        call_hooks(self._hooks["on_completion"], self, run)


def resolved_value(value: Any, scope: TaskPool) -> Any:
    """What a flow returns, with results in place of futures. Raises what the first that failed has raised."""
    if not scope.futures:
        return value
    for future in futures_in(value):
        future.result()
    return resolved(value)


@overload
def flow(fn: Callable[P, R], /) -> Flow[P, R]: ...
@overload
def flow(
    *,
    name: str | None = None,
    version: str | None = None,
    description: str | None = None,
    flow_run_name: str | None = None,
    retries: int = 0,
    retry_delay_seconds: Delay = 0,
    timeout_seconds: float | None = None,
    validate_parameters: bool = True,
    concurrency: ConcurrencyLimit | int | None = None,
    log_prints: bool | None = None,
    on_completion: Sequence[Hook] = (),
    on_failure: Sequence[Hook] = (),
) -> Callable[[Callable[P, R]], Flow[P, R]]: ...
def flow(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a flow. `concurrency`: how many submitted tasks run at once."""
    check("flow", options)
    return (lambda fn: Flow(fn, **options)) if fn is None else Flow(fn, **options)
