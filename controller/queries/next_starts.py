"""When a deployment fires and starts next, and whether its waiting run is late. Pure."""

from collections.abc import Sequence
from datetime import datetime

from controller.model.runs import LastRun, RunState
from controller.model.schedules import Schedule
from controller.model.status import Hold
from controller.schedules import next_fire_times


def fires_after(hold: Hold | None, after: datetime) -> datetime | None:
    """Return the instant after which schedules fire: `after`, or the end of the hold if later; None for never."""
    if hold is None:
        return after
    return None if hold.until is None else max(after, hold.until)


def is_late(run: LastRun | None, schedules: Sequence[Schedule], now: datetime) -> bool:
    """Return whether the run waits although a due time after its own one, and after its creation, has passed.

    Runs of backfills are never late: their due times lie in the past, and their backfill decides when they start.
    Neither are runs whose earliest start is still to come.
    """
    if run is None or run.state is not RunState.PENDING or run.scheduled_for is None or run.backfill_id is not None:
        return False
    if run.not_before is not None and run.not_before > now:
        return False
    later = next_fire_times(schedules, max(run.scheduled_for, run.created_at), 1)
    return bool(later) and later[0][0] <= now


def next_fire_time(schedules: Sequence[Schedule], hold: Hold | None, now: datetime) -> datetime | None:
    """Return the next fire time of active schedules; None if they never fire again."""
    after = fires_after(hold, now)
    times = () if after is None else next_fire_times(schedules, after, 1)
    return times[0][0] if times else None


def next_start(run: LastRun | None, fire_time: datetime | None, now: datetime) -> datetime | None:
    """Return when the newest run starts if it was due but starts later, else the next fire time."""
    if run is None or run.state is not RunState.PENDING or run.not_before is None or run.not_before <= now:
        return fire_time
    return run.not_before if fire_time is None else min(run.not_before, fire_time)


class NextFireTimes:
    """The next fire times at one moment. Deployments that share one `schedules` object share one computation.

    Most deployments with equal schedules share it.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._known: dict[tuple[int, Hold | None], tuple[Sequence[Schedule], datetime | None]] = {}

    def find(self, schedules: Sequence[Schedule], hold: Hold | None) -> datetime | None:
        """Return the next fire time of active schedules; None if they never fire again."""
        key = (id(schedules), hold)
        known = self._known.get(key)
        if known is None:  # the schedules stay in memory, so that no others get their id
            known = self._known[key] = (schedules, next_fire_time(schedules, hold, self._now))
        return known[1]
