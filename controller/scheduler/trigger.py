"""APScheduler's trigger over our calendar: the union of a deployment's schedules.

Called by APScheduler's thread, with its lock held: it must be quick and must not raise.
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from apscheduler.triggers.base import BaseTrigger

from controller.errors import ControllerError
from controller.model.schedules import Schedule
from controller.schedules import next_fire_times

log = logging.getLogger(__name__)


class CalendarTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires at the first fire time after `after`, even if that is past, and then at each one to come.

    One firing stands for everything that is due by then, so a backlog is never walked one by one. `has_ended`: the
    calendar has no more. `counted_from` and `upcoming` are the last answer: nothing is due between the two.
    """

    def __init__(self, schedules: Sequence[Schedule], after: datetime) -> None:
        self._schedules = schedules
        self._after = after
        self.counted_from = after
        self.upcoming: datetime | None = None
        self.has_ended = False

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The next instant, or None at the calendar's end."""
        after = self._after if previous_fire_time is None else max(previous_fire_time, now)
        self.counted_from, self.upcoming = after, self.first_after(after)
        self.has_ended = self.upcoming is None
        return self.upcoming

    def first_after(self, after: datetime) -> datetime | None:
        """The first instant after this one, or None at the calendar's end."""
        try:
            found = next_fire_times(self._schedules, after, 1)
        except ControllerError as error:
            log.error("A schedule could not be computed; its deployment does not fire", extra={"error": error.message})
            return None
        return found[0][0] if found else None

    def passes_over(self, due: datetime, now: datetime) -> bool:
        """Whether a job that waits until `due` would miss a fire time after `now`.

        The calendar is asked only where the last answer does not tell: after the clock was set back, or where
        somebody else has moved the job.
        """
        if due <= now or (due == self.upcoming and self.counted_from <= now):
            return False
        first = self.first_after(now)
        return first is not None and first < due
