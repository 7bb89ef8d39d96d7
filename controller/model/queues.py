"""Which waiting run is next, and what do the others wait for? Pure: `runs` acts on it, `queries` tell it.

The order: priority first; among equals the deployments take turns, and within one the run that was made first.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from controller.model.runs import RunId, RunState, Trigger
from controller.time_format import in_utc

EVERYTHING = "*"
"""The name under which the limit of the whole controller stands among those of the queues."""

SHORTAGE = "waiting: "
"""How the reason of a run begins that waits because the machine is short of something; what that is follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedRun:
    """What matters of a run that is pending or retrying. See `Run` for the fields."""

    id: RunId
    deployment: str
    state: RunState
    trigger: Trigger
    queue: str
    priority: int
    serial: bool
    attempt: int
    attempts: int
    not_before: datetime | None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is under way.

    `limits` and `running` (runs that are launched or run) are by queue, EVERYTHING for all of them; no limit is none.
    `busy` names a run that is under way, or between two attempts, by deployment; `held` gives the reasons of holds.
    """

    limits: Mapping[str, int] = field(default_factory=dict)
    running: Mapping[str, int] = field(default_factory=dict)
    busy: Mapping[str, RunId] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)


def schedule_queue(
    waiting: Iterable[QueuedRun], load: Load, now: datetime, turns: Mapping[str, int] | None = None
) -> Iterator[tuple[QueuedRun, str | None]]:
    """Each in its order, with what it waits for; None where it can start, and it is then counted as started.

    `turns` says when each deployment had its last turn, by a number that grows; whoever never had one is first.
    """
    running, busy = Counter(load.running), dict(load.busy)
    for one in in_order(waiting, turns or {}):
        reason = _obstacle(one, load, running, busy, now)
        if reason is None:
            running.update((one.queue, EVERYTHING))
            busy[one.deployment] = one.id
        yield one, reason


def in_order(waiting: Iterable[QueuedRun], turns: Mapping[str, int]) -> list[QueuedRun]:
    """By priority; then everybody's first, everybody's second, and so on, who has waited longest for a turn first."""
    seen: Counter[tuple[str, int]] = Counter()
    ranked = []
    for one in sorted(waiting, key=lambda one: one.id):
        mine = (one.deployment, one.priority)
        ranked.append((-one.priority, seen[mine], turns.get(one.deployment, -1), one.id, one))
        seen[mine] += 1
    ranked.sort(key=lambda rank: rank[:4])
    return [rank[4] for rank in ranked]


def _obstacle(
    one: QueuedRun, load: Load, running: Mapping[str, int], busy: Mapping[str, RunId], now: datetime
) -> str | None:
    if one.not_before is not None and one.not_before > now:
        time = in_utc(one.not_before)
        is_retry = one.state is RunState.RETRYING
        return f"attempt {one.attempt + 1} of {one.attempts} starts at {time}" if is_retry else f"starts at {time}"
    if one.deployment in load.held and one.trigger is Trigger.SCHEDULE and not one.attempt:
        return f"held: {load.held[one.deployment]}"
    if one.serial and one.deployment in busy:
        return f"run {busy[one.deployment][-12:]} of this deployment has not finished"
    for name, words in ((one.queue, f"queue {one.queue} is full"), (EVERYTHING, "--max-running reached")):
        limit = load.limits.get(name)
        if limit is not None and running.get(name, 0) >= limit:
            return f"{words} ({running.get(name, 0)} of {limit})"
    return None


def wanted(one: QueuedRun) -> str | None:
    """What the machine is short of, so that this run waits though it has a place; None if nothing is known of that."""
    is_short = one.reason is not None and one.reason.startswith(SHORTAGE)
    return one.reason.removeprefix(SHORTAGE) if is_short and one.reason is not None else None
