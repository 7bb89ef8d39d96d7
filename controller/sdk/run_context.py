"""The flow and task runs of this process, as a tree, and the events about them. `flow` and `task` create the runs.

A run knows its parent and the task pool of the flow that it belongs to. The current run is in a context variable, so
that threads, coroutines and nested calls each have their own.
"""

import itertools
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from controller.sdk import event_writer
from controller.sdk.run_states import PENDING, RUNNING, State, visible

if TYPE_CHECKING:
    from controller.sdk.task_pool import TaskPool

MAX_NEEDS = 100
"""The number of upstream tasks that an event lists; it has to fit into one line."""

_ids = itertools.count(1)
_numbers: "dict[str, itertools.count[int]]" = {}

current: ContextVar["LiveRun | None"] = ContextVar("current", default=None)
tags_here: ContextVar[tuple[str, ...]] = ContextVar("tags_here", default=())


class LiveRun:
    """One run of a flow or task in this process; hooks get it as `run`.

    `label` is the name with a number, such as `load-3`, as in the log and in `controller runs show`. `needs` are the
    ids of the task runs that it depends on.
    """

    __slots__ = (
        *(
            "_is_reported",
            "attempt",
            "cached",
            "id",
            "kind",
            "label",
            "log_prints",
            "name",
            "needs",
            "owner",
            "parameters",
            "parent",
            "pool",
        ),
        *("state", "tags"),
    )

    def __init__(
        self, owner: Any, name: str, tags: tuple[str, ...] = (), *, kind: str, log_prints: bool | None
    ) -> None:
        self.id = next(_ids)
        self.kind = kind
        self.owner = owner
        self.parameters: dict[str, Any] = {}
        self.needs: tuple[int, ...] = ()
        self.name = name
        self.parent: LiveRun | None = current.get()
        self.pool: TaskPool | None = None if self.parent is None else self.parent.pool
        self.tags = tuple(dict.fromkeys((*tags_here.get(), *tags)))
        self.state = PENDING
        self.attempt = 0
        self.cached = False
        self._is_reported = False
        if log_prints is None:
            log_prints = self.parent is not None and self.parent.log_prints
        elif log_prints:
            from controller.sdk.run_logger import redirect_prints

            redirect_prints()
        self.log_prints: bool = log_prints
        self.label = f"{visible(name)}-{next(_numbers.setdefault(name, itertools.count(1)))}"

    def start_attempt(self) -> None:
        """Count an attempt and set the state to running."""
        self.attempt += 1
        self.set_state(RUNNING)

    def set_state(self, state: State) -> None:
        """Set the state, and report it to the controller if there is one."""
        self.state = state
        if event_writer.is_enabled():
            self._report(state)

    def _report(self, state: State) -> None:
        event: dict[str, Any] = {"id": self.id, "state": state.name, "attempt": self.attempt, "at": time.time()}
        if not self._is_reported:
            self._is_reported = True
            event["parent"] = None if self.parent is None else self.parent.id
            event.update(kind=self.kind, name=self.name, label=self.label)
            if self.tags:
                event["tags"] = list(self.tags)
            if self.needs:
                event["needs"] = list(self.needs[:MAX_NEEDS])
        if state.message:
            event["reason"] = state.message
        if self.cached:
            event["cached"] = True
        event_writer.write_task_event(event)


class tags:
    """A context manager that adds tags to all flows and tasks that are called in its block.

    `with tags("nightly", "eu"):` returns the set of all tags that apply in the block. Blocks can be nested.
    """

    def __init__(self, *names: str) -> None:
        self._names = names
        self._tokens: list[Any] = []

    def __enter__(self) -> frozenset[str]:
        self._tokens.append(tags_here.set(tuple(dict.fromkeys((*tags_here.get(), *self._names)))))
        return frozenset(tags_here.get())

    def __exit__(self, *_: object) -> None:
        tags_here.reset(self._tokens.pop())
