"""What does a cron expression say, in English?

Called by `describe`. It says what the expression names and not how it is written: `0,30 * * * *` and `*/30 * * * *`
read the same.
"""

from controller.model.schedules import Cron
from controller.schedules import cron, english


def in_words(rule: Cron) -> str:
    """Such as `at 02:30, Monday to Friday`, `every 15 minutes` or `at 00:00 on the 13th of the month or on Friday`.

    Raises:
        ScheduleError: it is no cron expression.
    """
    found = cron.named(rule)
    times = english.clock_times(found.hours, found.minutes)
    if not found.days and not found.last_weekday and not found.weekdays:
        return english.every_day(times, english.in_months(found.months))
    days = _days(found)
    return f"{times} {days}" if days.startswith("on ") else f"{times}, {days}"


def _days(found: cron.Named) -> str:
    weekdays = english.on_weekdays(found.weekdays, "of the month") if found.weekdays else ""
    months = english.in_months(found.months)
    if not found.days and not found.last_weekday:
        return weekdays + months if weekdays.startswith("on ") else f"{weekdays},{months}".rstrip(",")
    if not weekdays:
        return _month_days(found, english.of_months(found.months))
    joint = " or " if found.either else ", but only "
    return f"{_month_days(found, 'of the month')}{joint}{weekdays},{months}".rstrip(",")


def _month_days(found: cron.Named, of: str) -> str:
    last = f"on the last weekday {of}"
    if not found.days:
        return last
    days = english.on_days(found.days, of)
    if len(found.days) == len(found.months) == 1 and found.days[0] > 0 and of != "of the month":
        days = f"on {found.days[0]} {english.month_names(found.months)}"
    return f"{days} and {last}" if found.last_weekday else days
