"""Describes a cron expression in English.

Called by `describe`. The text depends on what the expression matches, not on how it is written: `0,30 * * * *` and
`*/30 * * * *` read the same.
"""

from controller.model.schedules import Cron
from controller.schedules import cron, english


def describe_cron(rule: Cron) -> str:
    """Return a phrase such as `at 02:30, Monday to Friday` or `at 00:00 on the 13th of the month or on Friday`.

    Raises:
        ScheduleError: the expression is invalid.
    """
    fields = cron.matched_fields(rule)
    times = english.clock_times(fields.hours, fields.minutes)
    if not fields.days and not fields.last_weekday and not fields.weekdays:
        return english.every_day(times, english.in_months(fields.months))
    days = _days(fields)
    return f"{times} {days}" if days.startswith("on ") else f"{times}, {days}"


def _days(fields: cron.CronFields) -> str:
    weekdays = english.on_weekdays(fields.weekdays, "of the month") if fields.weekdays else ""
    months = english.in_months(fields.months)
    if not fields.days and not fields.last_weekday:
        return weekdays + months if weekdays.startswith("on ") else f"{weekdays},{months}".rstrip(",")
    if not weekdays:
        return _month_days(fields, english.of_months(fields.months))
    joint = " or " if fields.either else ", but only "
    return f"{_month_days(fields, 'of the month')}{joint}{weekdays},{months}".rstrip(",")


def _month_days(fields: cron.CronFields, of: str) -> str:
    last = f"on the last weekday {of}"
    if not fields.days:
        return last
    days = english.on_days(fields.days, of)
    if len(fields.days) == len(fields.months) == 1 and fields.days[0] > 0 and of != "of the month":
        days = f"on {fields.days[0]} {english.month_names(fields.months)}"
    return f"{days} and {last}" if fields.last_weekday else days
