"""Records the holidays that a pass knows, and reports the fire times that an upgrade of the package moves.

`apply` calls it in the transaction of a plan.
"""

from datetime import datetime

from controller.manifests.calendar_fields import CALENDARS
from controller.model.status import Event, EventSeverity
from controller.reconcile import status
from controller.reconcile.holiday_changes import HolidayChange, build_with_calendars, holiday_changes
from controller.reconcile.plan import Plan
from controller.schedules.holiday_data import data_version, read_holidays
from controller.schedules.holiday_moves import used_holidays
from controller.store import Transaction, holiday_records, inventory
from controller.text import join_first
from controller.time_format import in_utc

_NAMED = 3


def record_holidays(tx: Transaction, plan: Plan, now: datetime) -> list[Event]:
    """Record the holidays of the active deployments, if that is necessary, and return an event for each that moves."""
    recorded = holiday_records.find(tx)
    is_current = recorded is not None and (recorded.version, recorded.first_year) == (data_version(), now.year)
    new = [*plan.create, *(update.after for update in plan.update)]
    used = {code for deployment in new for code in used_holidays(deployment.schedules)}
    if recorded is not None and is_current and used <= recorded.days.keys():
        return []
    entries = inventory.entries_with_key(tx, CALENDARS)
    codes = {code for deployment in build_with_calendars(entries) for code in used_holidays(deployment.schedules)}
    changes = holiday_changes(recorded, entries, now)
    holiday_records.save(tx, read_holidays(sorted(codes, key=lambda code: (code.code, code.categories)), now.year))
    return [
        status.new_event(
            change.deployment, now, EventSeverity.WARNING, "HolidaysChanged", _describe(change), plan.revision
        )
        for change in changes
    ]


def _describe(change: HolidayChange) -> str:
    days = [f"{each.day} {each.name} {each.action} in {each.calendar}" for each in change.days]
    texts = [f"Due times move because of holidays {change.before} -> {change.after} ({join_first(days, _NAMED)})."]
    for label, times in (("Left out", change.fire_times.before), ("New", change.fire_times.after)):
        if times:
            texts.append(f"{label}: {join_first([in_utc(time) for time in times], _NAMED)}.")
    return " ".join(texts)
