"""The task runs and subflow runs of an attempt, parsed from the lines of `events.jsonl`.

`store.task_reports` reads the lines, `store.task_trees` stores the resulting tree, and `queries` returns it. The flow
writes these lines, so they are untrusted input: invalid lines are ignored, and the size of the tree is bounded.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from controller.model.artifacts import Artifact
from controller.records import dataclass

MAX_TASK_RUNS = 10_000

_FINAL = frozenset(("succeeded", "failed", "timed_out", "cancelled", "crashed", "skipped"))
_STATES = _FINAL | {"pending", "running", "retrying"}
_KINDS = ("flow", "task")
_MAX_TEXT = 400
_MAX_TAGS = 16
_MAX_NEEDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRun:
    """One call of a task or of a flow. All times are aware UTC datetimes.

    - `id`: unique within the attempt of the run. `parent` is the id of the calling flow or task.
    - `label`: the name with a number, as in the log.
    - `needs`: the ids of the earlier calls whose futures were passed as arguments.
    - `attempt`: the number of the call's own last attempt.
    """

    id: int
    parent: int | None
    kind: str
    name: str
    label: str
    state: str
    attempt: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    cached: bool = False
    reason: str | None = None
    tags: tuple[str, ...] = ()
    needs: tuple[int, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether the call has ended."""
        return self.state in _FINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTree:
    """The task runs of one attempt in the order of their creation, with its artifacts and the `name` of the run.

    `dropped` is the number of task runs beyond MAX_TASK_RUNS.
    """

    runs: tuple[TaskRun, ...] = ()
    dropped: int = 0
    artifacts: tuple[Artifact, ...] = ()
    name: str | None = None

    def end_unfinished(self, state: str) -> "TaskTree":
        """Return the tree after the process ended with `state`: unfinished task runs end too.

        They become `cancelled` or `timed_out` like the run, and `crashed` in all other cases.
        """
        final_state = state if state in ("cancelled", "timed_out") else "crashed"
        reason = "the run ended before this task"
        runs = (run if run.is_final else replace(run, state=final_state, reason=reason) for run in self.runs)
        return replace(self, runs=tuple(runs))

    def end_at(self, end: datetime | None) -> "TaskTree":
        """Return the tree after the process ended at this time: task runs that were started have an end."""
        runs = [replace(run, finished_at=end) if run.started_at and not run.finished_at else run for run in self.runs]
        return replace(self, runs=tuple(runs))


def replay(lines: Iterable[bytes]) -> TaskTree:
    """Return the tree of the task runs that these lines describe. Never raises."""
    runs: dict[int, TaskRun] = {}
    dropped = 0
    for event in _events(lines):
        run = runs.get(event["id"])
        if run is not None:
            runs[run.id] = _update(run, event)
        elif len(runs) >= MAX_TASK_RUNS:
            dropped += "name" in event
        elif "name" in event:
            runs[event["id"]] = _update(_new(event, runs), event)
    return TaskTree(runs=tuple(runs[number] for number in sorted(runs)), dropped=dropped)


def _events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            event = json.loads(line)["task"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(event, dict) and _is_number(event.get("id")) and event.get("state") in _STATES:
            yield event


def _new(event: dict[str, Any], earlier: dict[int, TaskRun]) -> TaskRun:
    parent, tags, needs = event.get("parent"), event.get("tags"), event.get("needs")
    name = _text(event["name"]) or "?"
    return TaskRun(
        id=event["id"],
        # A parent must have a smaller id than its children, so that there are no cycles.
        parent=parent if _is_number(parent) and parent in earlier and parent < event["id"] else None,
        kind=event["kind"] if event.get("kind") in _KINDS else "task",
        name=name,
        label=_text(event.get("label")) or name,
        state="pending",
        tags=tuple(_text(tag) for tag in tags[:_MAX_TAGS]) if isinstance(tags, list) else (),
        needs=_valid_needs(needs, event["id"], earlier) if isinstance(needs, list) else (),
    )


def _valid_needs(needs: list[Any], number: int, earlier: dict[int, TaskRun]) -> tuple[int, ...]:
    """Return those of `needs` that are existing calls with an id below `number`, so that there are no cycles."""
    return tuple(need for need in needs[:_MAX_NEEDS] if _is_number(need) and need in earlier and need < number)


def _update(run: TaskRun, event: dict[str, Any]) -> TaskRun:
    state: str = event["state"]
    at = _instant(event.get("at"))
    attempt: Any = event.get("attempt")
    return replace(
        run,
        state=state,
        attempt=attempt if _is_number(attempt) else run.attempt,
        started_at=run.started_at or (at if state != "pending" and state != "skipped" else None),
        finished_at=at if state in _FINAL else None,
        cached=run.cached or event.get("cached") is True,
        reason=_text(event.get("reason")) or None,
    )


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


def _text(value: Any) -> str:
    """Return at most _MAX_TEXT characters, with lone surrogates escaped, because databases reject them."""
    return value[:_MAX_TEXT].encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else ""


def _instant(seconds: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
