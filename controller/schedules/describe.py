"""Describes a schedule in one line of English.

Called by `queries` for lists, details and the API. It computes no fire times and never raises: an invalid rule is
shown as it is written. The text is for people; programs should not parse it.
"""

from collections.abc import Sequence
from datetime import timedelta

from controller.errors import ScheduleError
from controller.model.calendars import Calendar, Outside, Shift
from controller.model.schedules import At, Cron, Interval, RRule, Schedule
from controller.schedules import cron, english, intervals
from controller.schedules.dst import to_wall
from controller.schedules.intervals import DEFAULT_ANCHOR
from controller.schedules.parsing import zone
from controller.schedules.windows import describe_windows

_DAY = timedelta(days=1)
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_MAX_LENGTH = 400
_LISTED = 3


def describe(schedule: Schedule) -> str:
    """Return a line such as `at 02:30, Monday to Friday, Europe/Berlin` or `every 15 minutes`.

    The line has at most 400 characters, before ` (suspended)`. It says what the rule means, not how it is written. It
    names the time zone where that matters: for all calendars and windows, but not for an absolute interval without an
    anchor that divides a day, nor for times that all have an offset. Jitter is mentioned, but not added to any time.
    """
    bounds = [moment for moment in (schedule.start, schedule.end) if moment is not None]
    try:
        text, names_zone = _describe_rule(schedule)
    except ScheduleError:
        text, names_zone = f"{_verbatim(schedule)}, {schedule.timezone}", True
    calendars = _describe_calendars(schedule)
    if not names_zone and (calendars or any(moment.tzinfo is None for moment in bounds)):
        text += f", {schedule.timezone}"
    if schedule.jitter > timedelta():
        text += f", up to {_length(schedule.jitter)} later"
    text += calendars
    if schedule.start is not None:
        text += f", from {english.format_moment(schedule.start)}"
    if schedule.end is not None:
        text += f", until {english.format_moment(schedule.end)}"
    return _line(text) + (" (suspended)" if schedule.suspend else "")


def _describe_calendars(schedule: Schedule) -> str:
    """Return what calendars and windows change, such as `, moved to the next business day of de-by, except freeze`."""
    text = ""
    if schedule.shift is not Shift.NONE:
        where = "next" if schedule.shift is Shift.NEXT else "previous"
        text += f", moved to the {where} business day"
        text += f" of {english.join_list(_names(schedule.business))}" if schedule.business else ""
    if schedule.only:
        text += f", only on days of {' or '.join(_names(schedule.only))}"
    if schedule.exclude:
        text += f", except {english.join_list(_names(schedule.exclude))}"
    if schedule.windows:
        what = "starts only in" if schedule.outside is Outside.WAIT else "skipped outside"
        text += f", {what} {describe_windows(schedule.windows)}"
    return text


def _names(calendars: Sequence[Calendar]) -> list[str]:
    return [calendar.name for calendar in calendars]


def _describe_rule(schedule: Schedule) -> tuple[str, bool]:
    """Return the description of the rule, and whether it names the time zone."""
    match schedule.rule:
        case Cron() as rule:
            return f"{_describe_cron(rule)}, {schedule.timezone}", True
        case RRule() as rule:
            from controller.schedules.rrule import description

            return description.describe_rrule(rule, schedule.timezone), True
        case Interval() as rule if intervals.keeps_clock_time(rule):
            return _days(rule, schedule.timezone), True
        case Interval() as rule:
            return _absolute(rule, schedule.timezone)
        case At(times=times):
            zoned = any(moment.tzinfo is None for moment in times)
            text = english.once_at(times, _LISTED)
            return f"{text}, {schedule.timezone}" if zoned else text, zoned


def _days(rule: Interval, timezone: str) -> str:
    """Describe an interval of whole days at the clock time of the anchor, or of whole weeks on its weekday."""
    wall = to_wall(rule.anchor or DEFAULT_ANCHOR, zone(timezone))
    days = rule.every // _DAY
    on = ""
    if days % 7 == 0:
        on = f" on {english.WEEKDAYS[wall.weekday()]}"
        every = "every week" if days == 7 else f"every {days // 7} weeks"
    else:
        every = "every day" if days == 1 else f"every {days} days"
    clock = f"{wall:%H:%M:%S}" if wall.second else f"{wall:%H:%M}"
    counted = "" if days in (1, 7) else f", counted from {wall.date()}"
    return f"{every}{on} at {clock}, {timezone}{counted}"


def _absolute(rule: Interval, timezone: str) -> tuple[str, bool]:
    """Describe an absolute interval, with its anchor if that is declared or if the interval does not divide a day."""
    text = f"every {_each(_length(rule.every))}"
    if rule.anchor is None and not _DAY % rule.every:
        return text, False
    anchor = rule.anchor or DEFAULT_ANCHOR
    zoned = anchor.tzinfo is None
    return f"{text}{f', {timezone}' if zoned else ''}, counted from {english.format_moment(anchor)}", zoned


def _length(every: timedelta) -> str:
    """Return `15 minutes`, `36 hours` or `1 hour 30 minutes`; days are used for whole days only."""
    seconds = every.total_seconds()
    if seconds % 1:
        return f"{seconds} seconds"
    words = []
    rest = int(seconds)
    for size, unit in _UNITS if not rest % _UNITS[0][0] else _UNITS[1:]:
        count, rest = divmod(rest, size)
        if count:
            words.append(f"{count} {unit}s" if count > 1 else f"1 {unit}")
    return " ".join(words)


def _each(length: str) -> str:
    """Return the length as it reads after `every`: `hour`, but `1 hour 30 minutes`."""
    return length.removeprefix("1 ") if length.count(" ") == 1 else length


def _describe_cron(rule: Cron) -> str:
    """Return a phrase such as `at 02:30, Monday to Friday` or `at 00:00 on the 13th of the month or on Friday`.

    It depends on what the rule matches: `0,30 * * * *` and `*/30 * * * *` read the same. Raises ScheduleError.
    """
    fields = cron.matched_fields(rule)
    times = english.clock_times(fields.hours, fields.minutes)
    if not fields.days and not fields.last_weekday and not fields.weekdays:
        return english.every_day(times, english.in_months(fields.months))
    days = _cron_days(fields)
    return f"{times} {days}" if days.startswith("on ") else f"{times}, {days}"


def _cron_days(fields: cron.CronFields) -> str:
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


def _verbatim(schedule: Schedule) -> str:
    match schedule.rule:
        case Cron(expression=text):
            return f"cron {text}"
        case RRule(text=text):
            return f"rrule {text}"
        case Interval(every=every):
            return f"interval {every}"
        case At(times=times):
            return f"{len(times)} times"


def _line(text: str) -> str:
    """Replace line breaks and control characters by spaces, and cut the text to 400 characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= _MAX_LENGTH else f"{line[: _MAX_LENGTH - 1]}…"
