"""Prefect's own flows without its server: calls of its flows and tasks become calls of their functions.

The flow's process calls `free` once it has found a flow that was made with Prefect's `@flow`, with the `prefect` that
the flow itself has imported. What Prefect would do around a call (records, retries, caches, states) is not done: what
is wanted of that is said in the deployment.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


class Done:
    """What `task.submit` gives back: it has been called already."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._error: Exception | None = None
        self._value: Any = None
        try:
            self._value = call()
        except Exception as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._error = error

    def result(self, timeout: float | None = None, raise_on_failure: bool = True, **_: Any) -> Any:  # noqa: ARG002
        """The value, or what was raised."""
        if self._error is None:
            return self._value
        if raise_on_failure:
            raise self._error
        return self._error

    def wait(self, timeout: float | None = None, **_: Any) -> "Done":  # noqa: ARG002
        """Nothing is left to wait for."""
        return self


class Doings(list[Done]):
    """What `task.map` gives back."""

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> list[Any]:
        """All values."""
        return [one.result(timeout, raise_on_failure) for one in self]

    def wait(self, timeout: float | None = None) -> None:
        """Nothing is left to wait for."""


def free() -> None:
    """Do so from now on, in this process."""
    flows, tasks = sys.modules.get("prefect.flows"), sys.modules.get("prefect.tasks")
    if flows is not None:
        flows.Flow.__call__ = _call
    if tasks is not None:
        tasks.Task.__call__ = _call
        tasks.Task.submit = _submit
        tasks.Task.map = _map
    _free_loggers()


def returned(value: Any) -> Any:
    """What a flow returns, with values in place of what it has submitted."""
    if isinstance(value, Done):
        return value.result()
    if type(value) in (list, tuple, Doings):
        return [returned(item) for item in value]
    return value


def _call(self: Any, *args: Any, **kwargs: Any) -> Any:
    for name in ("wait_for", "return_state"):
        kwargs.pop(name, None)
    return self.fn(*[returned(value) for value in args], **{name: returned(value) for name, value in kwargs.items()})


def _submit(self: Any, *args: Any, **kwargs: Any) -> Done:
    return Done(lambda: _finished(_call(self, *args, **kwargs)))


def _map(self: Any, *args: Any, **kwargs: Any) -> Doings:
    for name in ("wait_for", "return_state", "deferred"):
        kwargs.pop(name, None)
    positional = [_items(value) for value in args]
    named = {name: _items(value) for name, value in kwargs.items()}
    lengths = [len(items) for items in (*positional, *named.values()) if isinstance(items, list)]
    found = Doings()
    for index in range(min(lengths, default=0)):
        own = [_at(items, index) for items in positional]
        found.append(_submit(self, *own, **{name: _at(items, index) for name, items in named.items()}))
    return found


def _items(value: Any) -> Any:
    """A list of what is gone through; in a tuple what is the same for all, as `unmapped` says."""
    if type(value).__name__ == "unmapped":
        return (value.value,)
    value = returned(value)
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return (value,)
    return list(value)


def _at(items: Any, index: int) -> Any:
    return items[0] if isinstance(items, tuple) else items[index]


def _finished(value: Any) -> Any:
    """The value of a coroutine, in a loop of its own: the flow's may be running, and has to wait."""
    if not hasattr(value, "cr_code"):
        return value
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, value).result()


def _free_loggers() -> None:
    """`get_run_logger` gives the logger `null` where Prefect's own are disabled; that one writes to the run's log."""
    import logging

    class Null(logging.Logger):
        """Can't be disabled, which Prefect does each time."""

        @property
        def disabled(self) -> bool:
            """Never."""
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
