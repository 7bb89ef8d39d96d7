"""Which flow or task runs here and now, below which, and what is told of it. `flow` and `task` make these.

The tree of one process: a run knows its parent and the flow that it belongs to. It is found through a context
variable, so that threads, coroutines and nested calls each have their own.
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
"""Of more it is not told: a report is short."""

_ids = itertools.count(1)
_numbers: "dict[str, itertools.count[int]]" = {}

current: ContextVar["LiveRun | None"] = ContextVar("current", default=None)
tags_here: ContextVar[tuple[str, ...]] = ContextVar("tags_here", default=())


class LiveRun:
    """One run of a flow or task in this process. `label` is its name with a number, as in logs and in `runs show`.

    `needs` are the ids of the runs whose futures it was given.
    """

    __slots__ = (
        *(
            "_is_known",
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
        ),
        *("scope", "state", "tags"),
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
        self.scope: TaskPool | None = None if self.parent is None else self.parent.scope
        self.tags = tuple(dict.fromkeys((*tags_here.get(), *tags)))
        self.state = PENDING
        self.attempt = 0
        self.cached = False
        self._is_known = False
        if log_prints is None:
            log_prints = self.parent is not None and self.parent.log_prints
        elif log_prints:
            from controller.sdk.run_logger import take_prints

            take_prints()
        self.log_prints: bool = log_prints
        self.label = f"{visible(name)}-{next(_numbers.setdefault(name, itertools.count(1)))}"

    def begin(self) -> None:
        """An attempt begins."""
        self.attempt += 1
        self.move(RUNNING)

    def move(self, state: State) -> None:
        """It is in this state now."""
        self.state = state
        if event_writer.is_on():
            self._report(state)

    def _report(self, state: State) -> None:
        event: dict[str, Any] = {"id": self.id, "state": state.name, "attempt": self.attempt, "at": time.time()}
        if not self._is_known:
            self._is_known = True
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
        event_writer.send(event)


class tags:
    """Every flow and task that is called within has these tags too."""

    def __init__(self, *names: str) -> None:
        self._names = names
        self._tokens: list[Any] = []

    def __enter__(self) -> frozenset[str]:
        self._tokens.append(tags_here.set(tuple(dict.fromkeys((*tags_here.get(), *self._names)))))
        return frozenset(tags_here.get())

    def __exit__(self, *_: object) -> None:
        tags_here.reset(self._tokens.pop())
