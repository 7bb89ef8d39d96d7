"""The order of waiting runs, and what each of them waits for. Pure: `runs` acts on the result, `queries` returns it.

Runs with a higher priority come first. At equal priority the deployments take turns, and within a deployment the oldest
run comes first; redo runs come after all others.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from enum import StrEnum

from controller.model.runs import AUTOMATIC, Run, RunId, RunState, Trigger
from controller.records import dataclass
from controller.time_format import in_utc

EVERYTHING = "*"
"""The key for the limit of the whole controller, next to the names of the queues."""

SHORTAGE = "waiting: "
"""The prefix of a run's reason if it waits because the machine is short of a resource. The resource follows."""


class WaitKind(StrEnum):
    """The reason why a run waits."""

    RETRY = "retry"
    START = "start"
    HOLD = "hold"
    UPSTREAM = "upstream"
    BACKFILL = "backfill"
    DEPLOYMENT = "deployment"
    SLOT = "slot"
    LAST_SLOT = "last_slot"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitReason:
    """Why a run waits, as text for one run.

    `place` is the queue without a free slot, or EVERYTHING; for UPSTREAM, the names of the upstream deployments.
    """

    kind: WaitKind
    text: str
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedRun:
    """The fields of a pending or retrying `Run` that its place in the queue depends on.

    If it is `serial`, it starts when fewer than `overlap_limit` runs of its deployment are in progress. For a run of a
    backfill, `parallel` is how many runs of the backfill may be in progress at the same time, and `is_paused` whether
    the backfill is paused. `waits_for` is the text of its waiting gates, if it has any, and `upstreams` names their
    deployments.
    """

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
    scheduled_for: datetime | None = None
    backfill_id: str | None = None
    overlap_limit: int = 1
    parallel: int = 1
    is_paused: bool = False
    waits_for: str | None = None
    upstreams: str = ""
    revision: str = ""

    @property
    def is_redo(self) -> bool:
        """Whether a user requested this run for a due time: with a backfill, a retry or `trigger --due-time`."""
        return self.scheduled_for is not None and self.trigger is not Trigger.SCHEDULE


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The load of the controller.

    - `limits`: the limit per queue, and under EVERYTHING that of the controller; a missing key means no limit.
    - `running`: the number of launching and running runs, with the same keys; and per id of a backfill the number of
      its runs that are in progress or between two attempts.
    - `busy`: per deployment, the runs that are in progress or between two attempts, for each backfill (None for the
      runs that belong to none). Redo runs are not busy between two attempts.
    - `held`: per deployment on hold, the reason.
    """

    limits: Mapping[str, int] = field(default_factory=dict)
    running: Mapping[str, int] = field(default_factory=dict)
    busy: Mapping[str, Mapping[str | None, Sequence[RunId]]] = field(default_factory=dict)
    held: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRuns:
    """Numbers of unfinished runs of a deployment, for its overlap policy.

    `active` and `waiting` (those not started yet) leave out redo runs, and the runs that wait behind them. `redoing` is
    the number of redo runs in progress; `behind` that of the unfinished runs that waited for one.
    """

    active: int = 0
    waiting: int = 0
    redoing: int = 0
    behind: int = 0

    def delays_others(self, limit: int) -> bool:
        """Return whether redo runs delay the next due time, if at most `limit` runs may be in progress."""
        return self.behind > 0 or (self.redoing > 0 and self.active + self.redoing >= limit)


def schedule_queue(
    waiting: Iterable[QueuedRun], load: Load, now: datetime, turns: Mapping[str, int] | None = None
) -> Iterator[tuple[QueuedRun, WaitReason | None]]:
    """Yield the waiting runs in queue order, each with the reason why it waits.

    The reason is None if the run can start; the runs after it are then evaluated as if it had started. `turns` maps
    each deployment to the number of its last turn, which grows with every turn. Deployments without a turn come first.
    """
    running, busy = Counter(load.running), {name: dict(others) for name, others in load.busy.items()}
    first: dict[str, RunId] = {}
    for run in sort_queue(waiting, turns or {}):
        reason = start_reason(run, load, now)
        if reason is None:
            reason = waiting_reason(run, load, running, busy, first)
            if reason is not None and run.serial and not run.is_redo:
                first.setdefault(run.deployment, run.id)
        if reason is None:
            running.update((run.queue, EVERYTHING, *([run.backfill_id] if run.backfill_id else [])))
            others = busy.setdefault(run.deployment, {})
            others[run.backfill_id] = (*others.get(run.backfill_id, ()), run.id)
        yield run, reason


def sort_queue(waiting: Iterable[QueuedRun], turns: Mapping[str, int]) -> list[QueuedRun]:
    """Return the runs in queue order.

    Within a priority, the first run of every deployment comes before the second run of any, and so on. In each of these
    rounds, the deployment whose last turn is the longest ago comes first.
    """
    counts: Counter[tuple[str, int]] = Counter()
    ranked = []
    for run in sorted(waiting, key=lambda run: (run.is_redo, run.id)):
        group = (run.deployment, run.priority)
        ranked.append((-run.priority, counts[group], turns.get(run.deployment, -1), run.id, run))
        counts[group] += 1
    ranked.sort(key=lambda rank: rank[:4])
    return [rank[4] for rank in ranked]


def start_reason(run: QueuedRun, load: Load, now: datetime) -> WaitReason | None:
    """Return why this run must not start yet, whatever else is in progress."""
    if run.not_before is not None and run.not_before > now:
        time = in_utc(run.not_before)
        if run.state is RunState.RETRYING:
            text = f"attempt {run.attempt + 1} of {run.attempts} starts at {time}"
            return WaitReason(kind=WaitKind.RETRY, text=text)
        return WaitReason(kind=WaitKind.START, text=f"starts at {time}")
    if run.deployment in load.held and run.trigger in AUTOMATIC and not run.attempt:
        return WaitReason(kind=WaitKind.HOLD, text=f"held: {load.held[run.deployment]}")
    if run.waits_for is not None:
        return WaitReason(kind=WaitKind.UPSTREAM, text=f"for {run.waits_for}", place=run.upstreams)
    return None


def waiting_reason(
    run: QueuedRun,
    load: Load,
    running: Mapping[str, int],
    busy: Mapping[str, Mapping[str | None, Sequence[RunId]]],
    first: Mapping[str, RunId],
) -> WaitReason | None:
    """Return what this run waits for. `first`: per deployment, a waiting run that goes before its redo runs."""
    if run.backfill_id is not None and (text := _backfill_reason(run, running)) is not None:
        return WaitReason(kind=WaitKind.BACKFILL, text=text)
    if run.is_redo and run.serial and run.deployment in first:
        text = f"run {first[run.deployment][-12:]} of this deployment goes first"
        return WaitReason(kind=WaitKind.DEPLOYMENT, text=text)
    blocking = _blocking_runs(run, busy.get(run.deployment, {})) if run.serial else ()
    if blocking:
        text = f"run {blocking[0][-12:]} of this deployment has not finished"
        if len(blocking) > 1:
            text = f"{len(blocking)} runs of this deployment have not finished (limit {run.overlap_limit})"
        return WaitReason(kind=WaitKind.DEPLOYMENT, text=text)
    for name, text in ((run.queue, f"queue {run.queue} is full"), (EVERYTHING, "--max-running reached")):
        limit, count = load.limits.get(name), running.get(name, 0)
        if limit is not None and count >= limit:
            return WaitReason(kind=WaitKind.SLOT, text=f"{text} ({count} of {limit})", place=name)
        if limit is not None and run.backfill_id is not None and count >= max(1, limit - 1):
            slot = f"the last slot of {'--max-running' if name == EVERYTHING else f'queue {name}'}"
            text = f"{slot} is kept for schedules ({count} of {limit} in use)"
            return WaitReason(kind=WaitKind.LAST_SLOT, text=text, place=name)
    return None


def _backfill_reason(run: QueuedRun, running: Mapping[str, int]) -> str | None:
    """Return what the backfill of this run makes it wait for."""
    if run.is_paused:
        return "its backfill is paused"
    in_progress = running.get(run.backfill_id or "", 0)
    if in_progress < run.parallel:
        return None
    if in_progress == 1:
        return "another run of its backfill is in progress"
    return f"{in_progress} runs of its backfill are in progress"


def _blocking_runs(run: QueuedRun, busy: Mapping[str | None, Sequence[RunId]]) -> Sequence[RunId]:
    """Return the runs of the same deployment of which one has to finish first; none if it can start.

    Runs of one backfill may exceed the limit of the deployment, if the backfill runs more of them in parallel.
    """
    others = [each for group, ids in busy.items() if group is None or group != run.backfill_id for each in ids]
    if len(others) >= run.overlap_limit:
        return others
    every = [each for ids in busy.values() for each in ids]
    return every if len(every) >= max(run.overlap_limit, run.parallel) else ()


def missing_resource(run: QueuedRun | Run) -> str | None:
    """Return the resource that the machine was short of when this run was last launched; None without a shortage."""
    if run.reason is None or not run.reason.startswith(SHORTAGE):
        return None
    return run.reason.removeprefix(SHORTAGE)
