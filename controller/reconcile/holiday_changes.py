"""Finds the deployments whose fire times move because another version of the `holidays` package is installed.

Pure but for the data of the package. `controller plan` compares the recorded holidays with those of the installed
version before the controller is started with it. `holiday_upgrade` does so in the first pass after that.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from controller.errors import ControllerError
from controller.manifests.build import build_deployment
from controller.manifests.calendar_fields import CALENDARS
from controller.model.calendars import HolidayData
from controller.model.deployments import Deployment
from controller.model.names import name_order
from controller.model.status import InventoryEntry
from controller.reconcile.fire_times import FireTimes
from controller.reconcile.plan import active_schedules
from controller.records import dataclass
from controller.schedules import zone
from controller.schedules.holiday_data import data_version, read_holidays
from controller.schedules.holiday_moves import find_moved_times, used_holidays

MAX_TIMES = 20
"""Maximum number of fire times, and of days, that are listed for one deployment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedHoliday:
    """A day that was `added` to a calendar, or `removed`: `2027-05-08`, and the name of the holiday."""

    action: str
    calendar: str
    day: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HolidayChange:
    """A deployment whose fire times move because of another version of the `holidays` package.

    `before` and `after` are the versions. `fire_times` has only the times that differ.
    """

    deployment: str
    before: str
    after: str
    days: tuple[ChangedHoliday, ...]
    fire_times: FireTimes


def holiday_changes(
    recorded: HolidayData | None, entries: Iterable[InventoryEntry], now: datetime
) -> tuple[HolidayChange, ...]:
    """Return the deployments whose fire times after `now` differ from those with the recorded holidays, by name."""
    if recorded is None or recorded.version == data_version():
        return ()
    installed = read_holidays(recorded.days, recorded.first_year)
    in_order = sorted(build_with_calendars(entries), key=lambda deployment: name_order(deployment.name))
    changes = (_change(deployment, recorded, installed, now) for deployment in in_order)
    return tuple(change for change in changes if change is not None)


def build_with_calendars(entries: Iterable[InventoryEntry]) -> Iterator[Deployment]:
    """Yield the deployments with calendars, except those that this version can't read."""
    for entry in entries:
        if CALENDARS in entry.document:
            try:
                yield build_deployment(entry.document, entry.file, entry.line)
            except ControllerError:
                continue


def _change(
    deployment: Deployment, recorded: HolidayData, installed: HolidayData, now: datetime
) -> HolidayChange | None:
    schedules = active_schedules(deployment)
    if not used_holidays(schedules):
        return None
    moved = find_moved_times(schedules, recorded, installed, now)
    if not (moved.before or moved.after):
        return None
    local = zone(deployment.zone or "UTC")
    before, after = (
        tuple(time.astimezone(local) for time in times[:MAX_TIMES]) for times in (moved.before, moved.after)
    )
    days = [
        ChangedHoliday(action=each.action, calendar=each.calendar, day=each.day.isoformat(), name=each.name)
        for each in moved.days[:MAX_TIMES]
    ]
    return HolidayChange(
        deployment=deployment.name,
        before=recorded.version,
        after=installed.version,
        days=tuple(days),
        fire_times=FireTimes(before=before, after=after),
    )
