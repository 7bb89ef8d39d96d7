"""Decides which due times are run, and for what reason the others are skipped. Pure; `admission` records the decisions.

First calendars and windows exclude due times. Then the catch-up policy selects due times. Then the start deadline and
the overlap policy decide which of those can run, and windows decide when.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from controller.model.deployments import Deployment
from controller.model.policies import CatchupPolicy, Overlap
from controller.model.queues import ActiveRuns
from controller.model.schedules import Schedule
from controller.records import dataclass
from controller.schedules import find_exclusion, jitter_offset, window_exclusion, window_opening

ON_TIME = timedelta(seconds=30)
"""A due time that is at most this late was not missed: the controller checks the clock at least this often."""
GATE_DEADLINE = timedelta(hours=24)
"""The start deadline of a deployment that waits for upstream deployments and declares none."""
REPLACED = "replaced by a later run"

DueTime = tuple[datetime, Schedule]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The decision on a due time: a run, or a skip if there is a `reason`.

    `delay` is its jitter, and the time until a window of its schedule opens.
    """

    instant: datetime
    schedule: Schedule
    reason: str | None
    delay: timedelta
    serial: bool = False


def decide(times: Sequence[DueTime], deployment: Deployment, now: datetime, counts: ActiveRuns) -> list[Decision]:
    """Decide on these due times, oldest first. None of them may have been decided before."""
    deadline = start_deadline(deployment)
    reasons = [find_exclusion(schedule, instant) for instant, schedule in times]
    candidates = [position for position, reason in enumerate(reasons) if reason is None]
    selected = _select_by_catchup(times, candidates, deployment, now)
    delays = [_delay(instant, schedule, deployment) for instant, schedule in times]
    reasons = ["catch-up" if reason is None else reason for reason in reasons]
    on_time = []
    for position in selected:
        is_late = deadline is not None and times[position][0] + delays[position] + deadline < now
        reasons[position] = "deadline" if is_late else "overlap"
        if not is_late:
            on_time.append(position)
    for position in _select_by_overlap(on_time, deployment, counts):
        instant, schedule = times[position]
        delays[position], reasons[position] = delay_until_open(instant, schedule, delays[position], now)
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


def start_deadline(deployment: Deployment) -> timedelta | None:
    """Return how long after its due time a run may start; None without a start deadline."""
    if deployment.start_deadline is None and deployment.after.upstreams:
        return GATE_DEADLINE
    return deployment.start_deadline


def start_by(decision: Decision, deployment: Deployment) -> datetime | None:
    """Return the latest start of the run for this due time; None without a start deadline."""
    deadline = start_deadline(deployment)
    return None if deadline is None else decision.instant + decision.delay + deadline


def delay_until_open(
    instant: datetime, schedule: Schedule, delay: timedelta, now: datetime
) -> tuple[timedelta, str | None]:
    """Return how long after its due time the run starts, or the reason to skip it: no window is open when it could."""
    if not schedule.windows:
        return delay, None
    moment = instant + delay if now - instant - delay <= ON_TIME else now
    opening = window_opening(schedule, moment)
    if opening is None:
        return delay, "window: none opens"
    return opening - instant, window_exclusion(schedule, moment)


def _delay(instant: datetime, schedule: Schedule, deployment: Deployment) -> timedelta:
    """Return how long after its due time a run may start: its jitter, and the time until a window opens."""
    jitter = jitter_offset(deployment.name, schedule.id, schedule.jitter)
    opening = window_opening(schedule, instant + jitter)
    return jitter if opening is None else opening - instant


def _select_by_catchup(
    times: Sequence[DueTime], candidates: Iterable[int], deployment: Deployment, now: datetime
) -> list[int]:
    """Return the positions of the times that the catch-up policy selects among these, oldest first."""
    policy, window = deployment.catchup.policy, deployment.catchup.window
    recent = [position for position in candidates if now - times[position][0] <= max(window, ON_TIME)]
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
