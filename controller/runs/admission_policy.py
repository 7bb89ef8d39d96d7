"""Decides which due times are run, and for what reason the others are skipped. Pure; `admission` records the decisions.

First the catch-up policy selects due times. Then the start deadline and the overlap policy decide which of those can
run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.model.deployments import Deployment
from controller.model.policies import CatchupPolicy, Overlap
from controller.model.queues import ActiveRuns
from controller.model.schedules import Schedule
from controller.schedules import jitter_offset

ON_TIME = timedelta(seconds=30)
"""A due time that is at most this late was not missed: the controller checks the clock at least this often."""
REPLACED = "replaced by a later run"

DueTime = tuple[datetime, Schedule]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The decision on a due time: a run, or a skip if there is a `reason`. `delay` is its jitter."""

    instant: datetime
    schedule: Schedule
    reason: str | None
    delay: timedelta
    serial: bool = False


def decide(times: Sequence[DueTime], deployment: Deployment, now: datetime, counts: ActiveRuns) -> list[Decision]:
    """Decide on these due times, oldest first. None of them may have been decided before."""
    selected = _select_by_catchup(times, deployment, now)
    delays = [jitter_offset(deployment.name, schedule.id, schedule.jitter) for _, schedule in times]
    reasons: list[str | None] = ["catch-up"] * len(times)
    on_time = []
    for position in selected:
        is_late = deployment.start_deadline is not None and (
            times[position][0] + delays[position] + deployment.start_deadline < now
        )
        reasons[position] = "deadline" if is_late else "overlap"
        if not is_late:
            on_time.append(position)
    for position in _select_by_overlap(on_time, deployment, counts):
        reasons[position] = None
    serial = deployment.overlap is not Overlap.ALLOW
    return [
        Decision(instant=instant, schedule=schedule, reason=reasons[position], delay=delays[position], serial=serial)
        for position, (instant, schedule) in enumerate(times)
    ]


def refuse(times: Sequence[DueTime], reason: str) -> list[Decision]:
    """Return the decisions to skip all of these due times for one reason."""
    return [
        Decision(instant=instant, schedule=schedule, reason=reason, delay=timedelta()) for instant, schedule in times
    ]


def start_by(decision: Decision, deployment: Deployment) -> datetime | None:
    """Return the latest start of the run for this due time; None without a start deadline."""
    if deployment.start_deadline is None:
        return None
    return decision.instant + decision.delay + deployment.start_deadline


def _select_by_catchup(times: Sequence[DueTime], deployment: Deployment, now: datetime) -> list[int]:
    """Return the positions of the times that the catch-up policy selects, oldest first."""
    policy, window = deployment.catchup.policy, deployment.catchup.window
    recent = [position for position, (instant, _) in enumerate(times) if now - instant <= max(window, ON_TIME)]
    if policy is CatchupPolicy.ALL:
        return recent[max(0, len(recent) - deployment.catchup.max) :]
    on_time = [position for position in recent if now - times[position][0] <= ON_TIME]
    latest = recent[-1:] if policy is CatchupPolicy.LATEST else on_time[-1:]
    if deployment.overlap in (Overlap.QUEUE, Overlap.ALLOW) or deployment.overlap_limit > 1:
        return on_time or latest
    return latest


def _select_by_overlap(positions: list[int], deployment: Deployment, counts: ActiveRuns) -> list[int]:
    """Return those of these positions that the overlap policy allows."""
    match deployment.overlap:
        case Overlap.SKIP:
            free = max(0, deployment.overlap_limit - counts.active)
            return positions if free and deployment.catchup.policy is CatchupPolicy.ALL else positions[:free]
        case Overlap.REPLACE:
            return positions[-deployment.overlap_limit :]
        case Overlap.QUEUE:
            return positions[: max(0, deployment.catchup.max - counts.waiting)]
    return positions
