"""What does a schedule say, in a few English words?

Called by the surfaces (`controller next`, lists, the API). It must not compute fire times; nobody
should parse it.
"""

import re
from datetime import datetime, timedelta

from controller.calendar import cron
from controller.calendar.intervals import DEFAULT_ANCHOR
from controller.calendar.times import zone
from controller.calendar.walltime import to_wall
from controller.model.schedules import At, Cron, Interval, RRule, Schedule

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def describe(schedule: Schedule) -> str:
    """One line such as `at 02:30, Monday to Friday, Europe/Berlin` or `every 15 minutes`.

    The zone is named where it matters: not for absolute intervals, nor for times that all carry an offset.

    Raises:
        ScheduleError: a cron expression or a zone can't be understood.
    """
    zoned = f", {schedule.timezone}"
    match schedule.rule:
        case Cron() as rule:
            text = _cron(rule) + zoned
        case Interval(every=every, anchor=anchor):
            text = f"every {_length(every)}"
            if not every % timedelta(days=1):
                wall = to_wall(anchor or DEFAULT_ANCHOR, zone(schedule.timezone))
                text = f"{text} at {wall:%H:%M}{zoned}"
        case RRule(text=line):
            text = f"rrule {' '.join(line.split())}{zoned}"
        case At(times=times):
            shown = ", ".join(_moment(moment) for moment in times[:3])
            more = f" and {len(times) - 3} more" if len(times) > 3 else ""
            text = f"once at {shown}{more}{zoned if any(moment.tzinfo is None for moment in times) else ''}"
    if schedule.start is not None:
        text += f", from {_moment(schedule.start)}"
    if schedule.end is not None:
        text += f", until {_moment(schedule.end)}"
    return f"{text} (suspended)" if schedule.suspend else text


def _cron(rule: Cron) -> str:
    minute, hour, *rest = cron.fields(rule)
    if rest == ["*", "*", "*"]:
        for field, other, unit, size in ((minute, "*", "minute", 60), (hour, "0", "hour", 24)):
            step = re.fullmatch(r"\*/(\d{1,2})", field)
            plain = hour == other if unit == "minute" else minute == other
            if step and plain and int(step[1]) > 1 and not size % int(step[1]):
                return f"every {step[1]} {unit}s"
    simulation = cron.compiled(rule)
    text = simulation.explain()
    text = text[0].lower() + text[1:].replace(" through ", " to ")
    joint = " if it is also on " if simulation.day_and else " or on "
    text = text.replace(" and on ", joint)
    return re.sub(r"^(at [\d:, and]+\d) on (?=[A-Z]\w+day)", r"\1, ", text)


def _length(every: timedelta) -> str:
    seconds = int(every.total_seconds())
    words = []
    for size, unit in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            words.append(f"{count} {unit}s" if count > 1 else f"1 {unit}")
    if words and len(words) == 1 and words[0].startswith("1 "):
        return words[0][2:]
    return " ".join(words) or f"{every.total_seconds()} seconds"


def _moment(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds" if moment.second else "minutes")
