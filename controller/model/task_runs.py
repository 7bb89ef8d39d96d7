"""What a flow has said of its tasks and subflows, as values, and how lines of `events.jsonl` become them.

`store.task_reports` reads the lines, `store.task_trees` keeps what they come to, `queries` shows it. The lines are a
flow's own words: what is no such line is left out, and what comes out is a tree of bounded size whatever they say.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from controller.model.artifacts import Artifact

MAX_TASK_RUNS = 10_000

_FINAL = frozenset(("succeeded", "failed", "timed_out", "cancelled", "crashed", "skipped"))
_STATES = _FINAL | {"pending", "running", "retrying"}
_KINDS = ("flow", "task")
_MAX_TEXT = 400
_MAX_TAGS = 16
_MAX_NEEDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRun:
    """One call of a task or flow. `id` counts within the attempt of its run; `parent` is what called it.

    `label` is its name with a number, as in the log. `needs` are the earlier calls whose futures it was given.
    `attempt` counts its own tries. All times are aware UTC instants.
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
        """Whether it has ended."""
        return self.state in _FINAL


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskTree:
    """The task runs of one attempt in the order in which they were made; `dropped`: how many more there were.

    With them whatever else the flow has said: what it shows, and what this run of it is called.
    """

    runs: tuple[TaskRun, ...] = ()
    dropped: int = 0
    artifacts: tuple[Artifact, ...] = ()
    name: str | None = None

    def ended(self, state: str) -> "TaskTree":
        """The same once the process has ended: what had not ended by itself ended with it."""
        left = state if state in ("cancelled", "timed_out") else "crashed"
        reason = "the run ended before this task"
        runs = (one if one.is_final else replace(one, state=left, reason=reason) for one in self.runs)
        return replace(self, runs=tuple(runs))


def replay(lines: Iterable[bytes]) -> TaskTree:
    """What these lines come to. Never raises."""
    found: dict[int, TaskRun] = {}
    dropped = 0
    for event in _events(lines):
        known = found.get(event["id"])
        if known is not None:
            found[known.id] = _moved(known, event)
        elif len(found) >= MAX_TASK_RUNS:
            dropped += "name" in event
        elif "name" in event:
            found[event["id"]] = _moved(_new(event, found), event)
    return TaskTree(runs=tuple(found[number] for number in sorted(found)), dropped=dropped)


def _events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            event = json.loads(line)["task"]
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(event, dict) and _is_number(event.get("id")) and event.get("state") in _STATES:
            yield event


def _new(event: dict[str, Any], found: dict[int, TaskRun]) -> TaskRun:
    parent, tags, needs = event.get("parent"), event.get("tags"), event.get("needs")
    name = _text(event["name"]) or "?"
    return TaskRun(
        id=event["id"],
        # A parent is made before its children: like this it can be no circle.
        parent=parent if _is_number(parent) and parent in found and parent < event["id"] else None,
        kind=event["kind"] if event.get("kind") in _KINDS else "task",
        name=name,
        label=_text(event.get("label")) or name,
        state="pending",
        tags=tuple(_text(tag) for tag in tags[:_MAX_TAGS]) if isinstance(tags, list) else (),
        needs=_earlier(needs, event["id"], found) if isinstance(needs, list) else (),
    )


def _earlier(needs: list[Any], number: int, found: dict[int, TaskRun]) -> tuple[int, ...]:
    """Those of these calls that are known and were made before: like this there is no circle of them either."""
    return tuple(one for one in needs[:_MAX_NEEDS] if _is_number(one) and one in found and one < number)


def _moved(run: TaskRun, event: dict[str, Any]) -> TaskRun:
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
    """Bounded, and without lone surrogates, which no database takes."""
    return value[:_MAX_TEXT].encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else ""


def _instant(seconds: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
