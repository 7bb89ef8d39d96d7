"""A trigger for APScheduler that fires for all schedules of a deployment.

APScheduler calls it on its own thread with its lock held, so it must be fast and must not raise.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from apscheduler.triggers.base import BaseTrigger

from controller.errors import ControllerError
from controller.model.schedules import Schedule
from controller.schedules import next_fire_times

log = logging.getLogger(__name__)


class ScheduleTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires at the first fire time after `after`, even if that is in the past, and then at each future fire time.

    It also fires at due times that a calendar or a window skips, because the ledger has them. One firing covers
    everything that is due by then, so a backlog is never processed one by one. `has_ended` is set
    once there are no more fire times. `counted_from` and `upcoming` hold the last result: nothing is due between them.
    """

    __slots__ = ("_after", "_schedules", "counted_from", "has_ended", "upcoming")

    def __init__(self, schedules: Sequence[Schedule], after: datetime) -> None:
        self._schedules = schedules
        self._after = after
        self.counted_from = after
        self.upcoming: datetime | None = None
        self.has_ended = False

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the next fire time, or None if there are no more.

        APScheduler asks twice each time a job is due: it is computed once.
        """
        after = self._after if previous_fire_time is None else max(previous_fire_time, now)
        if self.upcoming is not None and self.counted_from == after:
            return self.upcoming
        self.counted_from, self.upcoming = after, self.first_after(after)
        self.has_ended = self.upcoming is None
        return self.upcoming

    def start_like(self, other: "ScheduleTrigger") -> None:
        """Take over the result of a new trigger with the same schedules and the same `after`."""
        self.counted_from, self.upcoming, self.has_ended = other.counted_from, other.upcoming, other.has_ended

    def first_after(self, after: datetime) -> datetime | None:
        """Return the first fire time after `after`, or None if there are no more."""
        try:
            entries = next_fire_times(self._schedules, after, 1, with_excluded=True)
        except ControllerError as error:
            log.error("Failed to compute a schedule; its deployment does not fire", extra={"error": error.message})
            return None
        return entries[0][0] if entries else None

    def would_miss(self, due: datetime, now: datetime) -> bool:
        """Return whether a job that waits until `due` would miss a fire time after `now`.

        Fire times are computed only if the last result is not enough: after the clock was set back, or after other
        code moved the job.
        """
        if due <= now or (due == self.upcoming and self.counted_from <= now):
            return False
        first = self.first_after(now)
        return first is not None and first < due
