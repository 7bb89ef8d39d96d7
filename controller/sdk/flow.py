"""`@flow`: the decorator for the function that a deployment runs.

A flow may call tasks and other flows; in a run of the controller, they are recorded as its children.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, ParamSpec, TypeVar, overload

from controller.sdk import event_writer
from controller.sdk.argument_binding import bound_to, is_coroutine_function
from controller.sdk.flow_options import ConcurrencyLimit, check, check_function
from controller.sdk.futures import futures_in, resolve
from controller.sdk.retries import Delay, Hook, Policy, call_hooks, perform, perform_async
from controller.sdk.run_context import LiveRun
from controller.sdk.run_states import Skip, failure_before_start, find_skip
from controller.sdk.task_pool import TaskPool

P = ParamSpec("P")
R = TypeVar("R")


class Flow(Generic[P, R]):
    """A flow, as made by `@flow`. `fn` is the undecorated function, for tests."""

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
        """Bind a flow that is defined in a class to the instance, as Python does with a method."""
        return self if instance is None else Flow(bound_to(self.fn, instance, owner), **self._options)

    def with_options(self, **changes: Any) -> "Flow[P, R]":
        """Return a copy of this flow with some options of `@flow` changed. Raises TypeError or ValueError, like it."""
        check("flow", changes)
        return Flow(self.fn, **{**self._options, **changes})

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the flow in this process. Return what the function returns, or raise what it raises.

        First, the parameters are checked against the type hints and converted; ParameterError lists the mismatches.
        The flow ends when all the tasks that it has submitted have ended. Raises TimedOutError after `timeout_seconds`,
        TasksFailedError if a submitted task failed and neither its result nor its state was read, and Skip if the flow
        or a task that it called had nothing to do.
        """
        run = LiveRun(self, self.name, kind="flow", log_prints=self.log_prints)
        if self.is_async:
            return self._run_async(run, args, kwargs)  # type: ignore[return-value]
        with self._reporting(run):
            args, kwargs = self._prepare(run, args, kwargs)
            return perform(self, run, self._policy, lambda: self._body(run, args, kwargs))  # type: ignore[no-any-return]

    async def _run_async(self, run: LiveRun, args: Any, kwargs: Any) -> Any:
        for need in futures_in([args, kwargs]):
            await need.wait_async()
        with self._reporting(run):
            args, kwargs = self._prepare(run, args, kwargs)
            return await perform_async(self, run, self._policy, lambda: self._body_async(run, args, kwargs))

    def _prepare(self, run: LiveRun, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return the arguments for the function: futures resolved, values converted. Also reports the run's name."""
        try:
            args, kwargs = resolve(args), resolve(kwargs)
            if self.validate_parameters:
                from controller.sdk.argument_coercion import coerce_call

                args, kwargs = coerce_call(self.fn, args, kwargs)
        except Exception as error:
            run.set_state(failure_before_start(error))
            raise
        run.parameters = kwargs
        if self.flow_run_name is not None and run.parent is None:
            from controller.sdk.run_name import report_name

            report_name(run, self.flow_run_name, self.fn, args, kwargs)
        return args, kwargs

    def _body(self, run: LiveRun, args: Any, kwargs: Any) -> Any:
        """Run one attempt: call the function, then wait for the tasks that it has submitted."""
        run.pool = pool = TaskPool(self.concurrency)
        try:
            value = self.fn(*args, **kwargs)
        except BaseException as error:
            pool.cancel()
            if not event_writer.is_stopped():
                pool.finish()
                if find_skip(error) is not None:
                    pool.check()
            raise
        pool.finish()
        return resolve_returned(value, pool)

    async def _body_async(self, run: LiveRun, args: Any, kwargs: Any) -> Any:
        run.pool = pool = TaskPool(self.concurrency)
        try:
            value = await self.fn(*args, **kwargs)  # type: ignore[misc]
        except BaseException as error:
            pool.cancel()
            if not event_writer.is_stopped():
                await pool.finish_async()
                if find_skip(error) is not None:
                    pool.check()
            raise
        await pool.finish_async()
        return resolve_returned(value, pool)

    @contextmanager
    def _reporting(self, run: LiveRun) -> Iterator[None]:
        """Log a failure or a skip, and call the hooks when the flow run ends; a skip calls none."""
        try:
            yield
        except Skip:
            from controller.sdk.run_logger import log_skip

            log_skip(run)
            raise
        except BaseException:
            if not run.state.is_completed():
                from controller.sdk.run_logger import log_failure

                log_failure(run)
                call_hooks(self._hooks["on_failure"], self, run)
            raise
        call_hooks(self._hooks["on_completion"], self, run)


def resolve_returned(value: Any, pool: TaskPool) -> Any:
    """Replace the futures in a flow's return value with their results.

    Raises the error of the first failed task among them, TasksFailedError if a task of the pool failed and neither its
    result nor its state was read, or else the Skip of a task among them.
    """
    if not pool.futures:
        return value
    skip = None
    for future in futures_in(value):
        try:
            future.result()
        except Skip as error:
            skip = skip or error
    pool.check()
    if skip is not None:
        raise skip
    return resolve(value)


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
    """Decorate a function as a flow: `@flow`, or `@flow(retries=2, timeout_seconds=60)`.

    - `name`: the flow's name; by default the function's name with `-` for `_`.
    - `version`, `description`: free text; the default description is the docstring.
    - `flow_run_name`: a template for the name of each run, such as `"load-{region}"`.
    - `retries`, `retry_delay_seconds`: how many times to retry in the same process, and the delay before each retry:
      one number, a list with one number per retry, or a function of the number of retries that returns such a list.
    - `timeout_seconds`: raise TimedOutError in an attempt that takes longer.
    - `validate_parameters`: whether to check and convert the arguments according to the type hints.
    - `concurrency`: how many submitted tasks may run at the same time, a number or a ConcurrencyLimit; by default 32
      threads, and no limit for async tasks of an async flow.
    - `log_prints`: whether `print` writes to the run's logger; None means the same as in the calling flow.
    - `on_completion`, `on_failure`: functions `hook(flow, run, state)` to call when the flow has succeeded, or failed.

    Raises TypeError or ValueError for an invalid option. See docs/flows.md.
    """
    check("flow", options)
    return (lambda fn: Flow(fn, **options)) if fn is None else Flow(fn, **options)
