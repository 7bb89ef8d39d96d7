"""Which of the due times are run, and why not the others? Pure; `admission` writes down what it says.

First the catch-up policy says which of them are wanted at all, then the start deadline and the overlap policy say
which of these can be had.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.model.deployments import Deployment
from controller.model.policies import CatchupPolicy, Overlap
from controller.model.schedules import Schedule
from controller.schedules import jitter_offset

ON_TIME = timedelta(seconds=30)
"""What is not later than this was not missed: nothing waits longer before it looks at the clock."""
REPLACED = "replaced by a later run"

DueTime = tuple[datetime, Schedule]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRuns:
    """How many runs of the deployment are not final (but for backfills that wait), and how many wait to begin."""

    active: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A due time is a run, or a skip for this reason. `delay` is its jitter."""

    instant: datetime
    schedule: Schedule
    reason: str | None
    delay: timedelta
    serial: bool = False


def decide(times: Sequence[DueTime], deployment: Deployment, now: datetime, standing: ActiveRuns) -> list[Decision]:
    """What becomes of these due times, oldest first, none of which is accounted for yet."""
    wanted = _caught_up(times, deployment, now)
    delays = [jitter_offset(deployment.name, schedule.id, schedule.jitter) for _, schedule in times]
    reasons: list[str | None] = ["catch-up"] * len(times)
    able = []
    for position in wanted:
        is_late = deployment.start_deadline is not None and (
            times[position][0] + delays[position] + deployment.start_deadline < now
        )
        reasons[position] = "deadline" if is_late else "overlap"
        if not is_late:
            able.append(position)
    for position in _fitting(able, deployment, standing):
        reasons[position] = None
    serial = deployment.overlap is not Overlap.ALLOW and (deployment.overlap is not Overlap.SKIP or len(able) > 1)
    return [
        Decision(instant=instant, schedule=schedule, reason=reasons[position], delay=delays[position], serial=serial)
        for position, (instant, schedule) in enumerate(times)
    ]


def refuse(times: Sequence[DueTime], reason: str) -> list[Decision]:
    """None of these is run, for this one reason."""
    return [
        Decision(instant=instant, schedule=schedule, reason=reason, delay=timedelta()) for instant, schedule in times
    ]


def start_by(decision: Decision, deployment: Deployment) -> datetime | None:
    """After which instant the run of this due time must not start any more."""
    if deployment.start_deadline is None:
        return None
    return decision.instant + decision.delay + deployment.start_deadline


def _caught_up(times: Sequence[DueTime], deployment: Deployment, now: datetime) -> list[int]:
    """The positions of the times that the catch-up policy wants, oldest first."""
    policy, window = deployment.catchup.policy, deployment.catchup.window
    recent = [position for position, (instant, _) in enumerate(times) if now - instant <= max(window, ON_TIME)]
    if policy is CatchupPolicy.ALL:
        return recent[max(0, len(recent) - deployment.catchup.max) :]
    on_time = [position for position in recent if now - times[position][0] <= ON_TIME]
    latest = recent[-1:] if policy is CatchupPolicy.LATEST else on_time[-1:]
    if deployment.overlap in (Overlap.QUEUE, Overlap.ALLOW):
        return on_time or latest
    return latest


def _fitting(able: list[int], deployment: Deployment, standing: ActiveRuns) -> list[int]:
    """Those of these positions that the overlap policy lets in."""
    match deployment.overlap:
        case Overlap.SKIP:
            return [] if standing.active else able
        case Overlap.REPLACE:
            return able[-1:]
        case Overlap.QUEUE:
            return able[: max(0, deployment.catchup.max - standing.waiting)]
    return able
