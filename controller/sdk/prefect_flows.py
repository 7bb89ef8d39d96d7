"""Runs Prefect's flows without its server: calls of its flows and tasks become plain calls of their functions.

The flow's process calls `free` when the flow was made with Prefect's `@flow`; it patches the `prefect` that the flow
itself has imported. Everything that Prefect does around a call (records, retries, caches, states) is left out; retries
and timeouts are set in the deployment instead.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


class FinishedCall:
    """The future that `task.submit` returns. The task has already been called when the future is constructed."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._error: Exception | None = None
        self._value: Any = None
        try:
            self._value = call()
        except Exception as error:  # noqa: BLE001 - `result` raises it
            self._error = error

    def result(self, timeout: float | None = None, raise_on_failure: bool = True, **_: Any) -> Any:  # noqa: ARG002
        """Return the value, or raise the error of the call; with `raise_on_failure=False`, return the error."""
        if self._error is None:
            return self._value
        if raise_on_failure:
            raise self._error
        return self._error

    def wait(self, timeout: float | None = None, **_: Any) -> "FinishedCall":  # noqa: ARG002
        """Return at once: the call has ended."""
        return self


class FinishedCalls(list[FinishedCall]):
    """The list of futures that `task.map` returns."""

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[Any]:
        """Return the values of all calls, in order; see `FinishedCall.result`."""
        return [call.result(timeout, raise_on_failure) for call in self]

    def wait(self, timeout: float | None = None) -> None:
        """Return at once: all calls have ended."""


def free() -> None:
    """Patch Prefect's flows, tasks and loggers in this process, so that they work without a server."""
    flows, tasks = sys.modules.get("prefect.flows"), sys.modules.get("prefect.tasks")
    if flows is not None:
        flows.Flow.__call__ = _call
    if tasks is not None:
        tasks.Task.__call__ = _call
        tasks.Task.submit = _submit
        tasks.Task.map = _map
    _free_loggers()


def resolve_futures(value: Any) -> Any:
    """Return a value with the futures in it, also in lists and tuples, replaced by their results."""
    if isinstance(value, FinishedCall):
        return value.result()
    if type(value) in (list, tuple, FinishedCalls):
        return [resolve_futures(item) for item in value]
    return value


def _call(self: Any, *args: Any, **kwargs: Any) -> Any:
    for name in ("wait_for", "return_state"):
        kwargs.pop(name, None)
    return self.fn(
        *[resolve_futures(value) for value in args], **{name: resolve_futures(value) for name, value in kwargs.items()}
    )


def _submit(self: Any, *args: Any, **kwargs: Any) -> FinishedCall:
    return FinishedCall(lambda: _run_coroutine(_call(self, *args, **kwargs)))


def _map(self: Any, *args: Any, **kwargs: Any) -> FinishedCalls:
    for name in ("wait_for", "return_state", "deferred"):
        kwargs.pop(name, None)
    positional = [_items(value) for value in args]
    named = {name: _items(value) for name, value in kwargs.items()}
    lengths = [len(items) for items in (*positional, *named.values()) if isinstance(items, list)]
    calls = FinishedCalls()
    for index in range(min(lengths, default=0)):
        own = [_at(items, index) for items in positional]
        calls.append(_submit(self, *own, **{name: _at(items, index) for name, items in named.items()}))
    return calls


def _items(value: Any) -> Any:
    """Return a list of the items to map over, or a tuple of one value that is the same in all calls (`unmapped`)."""
    if type(value).__name__ == "unmapped":
        return (value.value,)
    value = resolve_futures(value)
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return (value,)
    return list(value)


def _at(items: Any, index: int) -> Any:
    return items[0] if isinstance(items, tuple) else items[index]


def _run_coroutine(value: Any) -> Any:
    """Run a coroutine to its end in a thread with its own event loop, as the flow's loop may be running and blocked."""
    if not hasattr(value, "cr_code"):
        return value
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, value).result()


def _free_loggers() -> None:
    """Make `get_run_logger` return a logger that writes to the run's log.

    Prefect returns the logger `null` if its own loggers are disabled, so disable those and give `null` a handler.
    """
    import logging

    class Null(logging.Logger):
        """A logger that can't be disabled: Prefect disables it on each call of `get_run_logger`."""

        @property
        def disabled(self) -> bool:
            """Always False."""
            return False

        @disabled.setter
        def disabled(self, _: bool) -> None: ...

    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).disabled = True
    logger = logging.getLogger("null")
    vars(logger).pop("disabled", None)
    logger.__class__ = Null
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s.%(msecs)03d | %(levelname)-7s | %(message)s", "%H:%M:%S"))
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
