"""What does a schedule say, in one English line?

Called by the surfaces (`controller next`, lists, the API). It must not compute fire times, and never raises: what can't
be understood is shown as it was written. Nobody should parse the text.
"""

from datetime import timedelta

from controller.errors import ScheduleError
from controller.model.schedules import At, Cron, Interval, RRule, Schedule
from controller.schedules import cron_description, english, intervals
from controller.schedules.dst import to_wall
from controller.schedules.intervals import DEFAULT_ANCHOR
from controller.schedules.parsing import zone
from controller.schedules.rrule import description

_DAY = timedelta(days=1)
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
_LONGEST = 400
_LISTED = 3


def describe(schedule: Schedule) -> str:
    """One line such as `at 02:30, Monday to Friday, Europe/Berlin` or `every 15 minutes`, of at most 400 characters.

    It says what the rule means, not how it is written. The zone is named where it matters: not for an absolute interval
    that starts anywhere in the day, nor for times that all carry an offset. A jitter is named, and added to no time.
    """
    bounds = [moment for moment in (schedule.start, schedule.end) if moment is not None]
    try:
        text, zoned = _rule(schedule)
    except ScheduleError:
        text, zoned = f"{_verbatim(schedule)}, {schedule.timezone}", True
    if not zoned and any(moment.tzinfo is None for moment in bounds):
        text += f", {schedule.timezone}"
    if schedule.jitter > timedelta():
        text += f", up to {_length(schedule.jitter)} later"
    if schedule.start is not None:
        text += f", from {english.moment(schedule.start)}"
    if schedule.end is not None:
        text += f", until {english.moment(schedule.end)}"
    return _line(text) + (" (suspended)" if schedule.suspend else "")


def _rule(schedule: Schedule) -> tuple[str, bool]:
    """The words for the rule, and whether they name the zone."""
    match schedule.rule:
        case Cron() as rule:
            return f"{cron_description.in_words(rule)}, {schedule.timezone}", True
        case RRule() as rule:
            return description.in_words(rule, schedule.timezone), True
        case Interval() as rule if intervals.keeps_clock_time(rule):
            return _days(rule, schedule.timezone), True
        case Interval() as rule:
            return _absolute(rule, schedule.timezone)
        case At(times=times):
            zoned = any(moment.tzinfo is None for moment in times)
            text = english.once_at(times, _LISTED)
            return f"{text}, {schedule.timezone}" if zoned else text, zoned


def _days(rule: Interval, timezone: str) -> str:
    """Whole days, at the local clock time of the anchor; whole weeks, on its weekday."""
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
    """Absolute time: the anchor is named when it was declared, or when the phase is not that of the day."""
    text = f"every {_each(_length(rule.every))}"
    if rule.anchor is None and not _DAY % rule.every:
        return text, False
    anchor = rule.anchor or DEFAULT_ANCHOR
    zoned = anchor.tzinfo is None
    return f"{text}{f', {timezone}' if zoned else ''}, counted from {english.moment(anchor)}", zoned


def _length(every: timedelta) -> str:
    """`15 minutes`, `1 hour`, `36 hours`, `1 hour 30 minutes`: days only when nothing else is left."""
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
    """As it is said after `every`: `hour`, but `1 hour 30 minutes`."""
    return length.removeprefix("1 ") if length.count(" ") == 1 else length


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
    """Without line breaks and anything else that a terminal would act upon, and not too long."""
    shown = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
