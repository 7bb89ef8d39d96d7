"""Describes a recurrence rule in English.

Called by `describe`. It uses the parsed rule, which has all defaults filled in. From the text it reads only what
parsing drops: COUNT, and whether there is a DTSTART.
"""

from datetime import time

from controller.model.schedules import RRule
from controller.schedules import english
from controller.schedules.rrule import ruleset
from controller.schedules.rrule.expand import Frequency, Recurrence
from controller.schedules.rrule.parser import Lines, numbers, parse_lines

_HEADS = {
    Frequency.YEARLY: ("yearly", "years"),
    Frequency.MONTHLY: ("monthly", "months"),
    Frequency.WEEKLY: ("weekly", "weeks"),
    Frequency.DAILY: ("every day", "days"),
    Frequency.HOURLY: ("every hour", "hours"),
    Frequency.MINUTELY: ("every minute", "minutes"),
}
_A_DAY = {Frequency.HOURLY: 24, Frequency.MINUTELY: 1440}
_PERIODS = ("year", "month", "week", "day")
_WORKDAYS = frozenset((day, 0) for day in range(5))
_LISTED = 3


def describe_rrule(rule: RRule, timezone: str) -> str:
    """Return a phrase such as `weekly on Monday and Friday at 09:00, Europe/Berlin, until 2026-12-31`.

    Raises:
        ScheduleError: the rule is invalid.
    """
    rules, lines = ruleset.compile_rules(rule, timezone), parse_lines(rule.text)
    phrases = [(_main(item), _bounds(item, parts, lines)) for item, parts in zip(rules.rules, lines.rules, strict=True)]
    if len(phrases) == 1:
        main, bounds = phrases[0]
        text = f"{main}, {rules.zone.key}{bounds}"
    elif phrases:
        more = f"; and {len(phrases) - _LISTED} more rules" if len(phrases) > _LISTED else ""
        text = "; also ".join(main + bounds for main, bounds in phrases[:_LISTED]) + f"{more}, {rules.zone.key}"
    else:
        text = f"{english.once_at(rules.added, _LISTED)}, {rules.zone.key}"
    if phrases and rules.added:
        text += f", also {english.once_at(rules.added, _LISTED)}"
    excluded = [str(day) for day in sorted(rules.excluded_days)]
    excluded += [english.format_moment(at) for at in sorted(rules.excluded)]
    return f"{text}, but not on {english.join_list(excluded, _LISTED)}" if excluded else text


def _main(rule: Recurrence) -> str:
    head, unit = _HEADS[rule.frequency]
    if rule.interval > 1:
        head = f"every {rule.interval} {unit}"
    days = _days(rule)
    if rule.frequency > Frequency.DAILY:
        return head + _within(rule) + (f", {days}" if days else "")
    times = english.clock_times(rule.hours, rule.minutes, rule.seconds)
    text = _join_parts(rule, head, days, times)
    if rule.positions and not _is_workday(rule):
        text += f", only the {_nths(rule.positions)} of each {_PERIODS[rule.frequency]}"
    return text


def _join_parts(rule: Recurrence, head: str, days: str, times: str) -> str:
    pause = ", " if "but only" in days else " "
    if rule.frequency is Frequency.DAILY:
        if rule.interval > 1:
            return f"{head}, but only {days}, {times}" if days else f"{head} {times}"
        if days.startswith(("in ", "from ")) or not days:
            return english.every_day(times, f" {days}".rstrip())
    if rule.interval == 1 and _days_imply_frequency(rule):
        return f"{days}{pause}{times}" if days.startswith("on ") else f"{times}, {days}"
    if days.startswith(("on ", "in ")):
        return f"{head} {days}{pause}{times}"
    return f"{head}, {days}, {times}"


def _days_imply_frequency(rule: Recurrence) -> bool:
    """Return whether the days imply the frequency: `on the last Friday of the month` needs no `monthly`."""
    if rule.frequency is not Frequency.YEARLY:
        return rule.frequency in (Frequency.MONTHLY, Frequency.DAILY)
    return any(not n for _, n in rule.weekdays) and not (rule.month_days or rule.year_days or rule.week_numbers)


def _days(rule: Recurrence) -> str:
    """Describe everything that restricts the day: the first restriction as it is, the others with `but only …`."""
    of_month = bool(rule.month_days) or any(n for _, n in rule.weekdays) or _is_workday(rule)
    of = english.of_months(rule.months) if of_month else "of the month"
    parts = []
    if rule.year_days:
        parts.append(f"on {_list_numbers(rule.year_days, 'day')} of the year")
    if rule.month_days:
        parts.append(_month_days(rule, of))
    if _is_workday(rule):
        parts.append(f"on the {_nths(rule.positions)} weekday {of}")
    elif rule.weekdays:
        monthly = rule.frequency is Frequency.MONTHLY or rule.months
        parts.append(english.on_weekdays(rule.weekdays, of if monthly else "of the year"))
    text = ", but only ".join(parts)
    if rule.week_numbers:
        of_year = " of the year" if min(rule.week_numbers) < 0 else ""
        text = f"in {_list_numbers(rule.week_numbers, 'week')}{of_year}{'' if text.startswith('on ') else ','} {text}"
    return text.strip(" ,") if of_month else (text + english.in_months(rule.months)).strip(" ,")


def _month_days(rule: Recurrence, of: str) -> str:
    days = _from_both_ends(rule.month_days)
    if len(rule.months) == 1 and len(days) == 1 and days[0] > 0:
        return f"on {days[0]} {english.month_names(rule.months)}"
    return english.on_days(days, of)


def _is_workday(rule: Recurrence) -> bool:
    """Return whether BYSETPOS selects from Monday to Friday of a month, the usual way to write `the last weekday`."""
    single = len(rule.hours) * len(rule.minutes) * len(rule.seconds) == 1
    only = not (rule.month_days or rule.year_days or rule.week_numbers)
    return (
        bool(rule.positions) and rule.frequency is Frequency.MONTHLY and rule.weekdays == _WORKDAYS and single and only
    )


def _within(rule: Recurrence) -> str:
    """Describe the restrictions on seconds, minutes and hours of an HOURLY or MINUTELY rule."""
    text = ""
    if rule.minutes and (rule.frequency is Frequency.MINUTELY or rule.minutes != (0,)):
        text += f" at {english.number_list('minute', rule.minutes)}"
    if rule.seconds != (0,):
        text += f" at {english.number_list('second', rule.seconds)}"
    if rule.hours and len(rule.hours) < 24:
        text += f" in {english.number_list('hour', rule.hours)}"
    return text


def _bounds(rule: Recurrence, parts: dict[str, str], lines: Lines) -> str:
    text = ""
    if lines.start is not None:
        text = f", from {english.format_moment(rule.start)}"
    elif rule.interval > 1 and _A_DAY.get(rule.frequency, 1) % rule.interval:
        text = f", counted from {rule.start.date()}"
    if "COUNT" in parts:
        (count,) = numbers(parts, "COUNT")
        return f"{text}, {count} times" if count > 1 else f"{text}, once"
    if rule.until is None:
        return text
    whole_day = rule.until.time() == time.max
    return f"{text}, until {rule.until.date() if whole_day else english.format_moment(rule.until)}"


def _from_both_ends(values: frozenset[int]) -> list[int]:
    """Sort numbers that count from the start before those that count from the end: 1, 15, -2, -1."""
    return sorted(values, key=lambda number: (number < 0, number))


def _nths(values: frozenset[int]) -> str:
    return english.join_list([english.nth(number) for number in _from_both_ends(values)])


def _list_numbers(values: frozenset[int], unit: str) -> str:
    """Return a list such as `day 100 and the last day`; `unit` is `day` or `week`."""
    ends = _from_both_ends(values)
    forward = english.spans([number for number in ends if number > 0])
    backward = [f"the {english.ordinal(number)} {unit}" for number in ends if number < 0]
    return english.join_list([*(f"{unit} {text}" for text in forward), *backward])
