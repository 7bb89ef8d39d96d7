"""Builds English phrases for clock times, days and months.

Called by `describe` and `description`. The arguments must be valid already; this module does not know about schedules.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from itertools import pairwise, product

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
_NTH = {-2: "second to last", -1: "last", 1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}
_FEW = 4
_LISTED = 12


def join_list(items: Sequence[str], most: int = _LISTED) -> str:
    """Return `a`, `a and b`, `a, b and c`, or `a, b and 7 more` if there are more than `most` items."""
    if len(items) > most:
        items = [*items[: most - 1], f"{len(items) - most + 1} more"]
    return " and ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)


def ordinal(number: int) -> str:
    """Return `1st` or `22nd`; for negative numbers `last`, `second to last` or `3rd to last`."""
    if number < 0:
        return _NTH.get(number) or f"{ordinal(-number)} to last"
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def nth(number: int) -> str:
    """Return `second`, `last` or `20th`."""
    return _NTH.get(number) or ordinal(number)


def spans(numbers: Iterable[int], name: Callable[[int], str] = str) -> list[str]:
    """Name each number; three or more consecutive ones become a range such as `Monday to Friday`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return [
        text
        for run in runs
        for text in ([f"{name(run[0])} to {name(run[-1])}"] if len(run) > 2 else [name(number) for number in run])
    ]


def on_weekdays(days: Collection[tuple[int, int]], of: str) -> str:
    """Return `Monday to Friday`, `on Monday and Friday` or `on the last Friday of the month`.

    `of` is the period, such as `of the month`.
    """
    plain = spans(_from_a_gap([day for day, n in days if not n]), lambda day: WEEKDAYS[day])
    numbered = [f"{nth(n)} {WEEKDAYS[day]}" for n, day in sorted((n, day) for day, n in days if n > 0)]
    numbered += [f"{nth(n)} {WEEKDAYS[day]}" for n, day in sorted((n, day) for day, n in days if n < 0)]
    if not numbered and len(plain) == 1 and " to " in plain[0]:
        return plain[0]
    return f"on {join_list([*plain, *([f'the {join_list(numbered)} {of}'] if numbered else [])])}"


def _from_a_gap(days: Collection[int]) -> list[int]:
    """Sort the days from Monday; days at the end of the week become negative if a longer range continues on Monday."""
    before = next((back for back in range(7) if (6 - back) not in days), 7)
    beyond = next((day for day in range(7) if day not in days), 7)
    wraps = 0 < before < 7 and beyond and before + beyond > 2
    return sorted(day - 7 if wraps and day > 6 - before else day for day in days)


def on_days(days: Sequence[int], of: str) -> str:
    """Return `on the 1st and 15th of the month` or `on the last day of the month`; `of` is the period."""
    forward, backward = [day for day in days if day > 0], [day for day in days if day < 0]
    step = progression(forward) if len(forward) > _FEW else None
    if step and step > 1 and not backward:
        return f"on every {nth(step)} day from the {ordinal(forward[0])} to the {ordinal(forward[-1])} {of}"
    parts = [*spans(forward, ordinal), *(ordinal(day) for day in backward)]
    return f"on the {join_list(parts)}{' day' if backward else ''} {of}"


def of_months(months: Sequence[int]) -> str:
    """Return the period that days are counted in, such as `of the month` or `of January and July`."""
    return f"of {month_names(months)}" if 0 < len(months) < 12 else "of the month"


def in_months(months: Sequence[int]) -> str:
    """Return ` in January and July` or ` from June to August`, with the leading space; empty for the whole year."""
    if not 0 < len(months) < 12:
        return ""
    names = spans(months, lambda month: MONTHS[month - 1])
    return f" from {names[0]}" if len(names) == 1 and " to " in names[0] else f" in {month_names(months)}"


def month_names(months: Sequence[int]) -> str:
    """Return a list such as `January, April and July`."""
    return join_list([MONTHS[month - 1] for month in months])


def once_at(moments: Sequence[datetime], most: int) -> str:
    """Return `once at 2026-01-31 09:00` or `once each at …`; aware times include their offset."""
    if not moments:
        return "at no time"
    return f"once{' each' if len(moments) > 1 else ''} at {join_list([format_moment(at) for at in moments], most)}"


def clock_times(hours: Sequence[int], minutes: Sequence[int], seconds: Sequence[int] = (0,)) -> str:
    """Return the times of a day, such as `at 02:30`, `every 2 hours` or `every 15 minutes from 09:00 to 17:45`."""
    count = len(hours) * len(minutes) * len(seconds)
    text = None if count <= _FEW else _pattern(hours, minutes)
    if text is None and count <= _LISTED:
        return f"at {join_list([_clock(*parts) for parts in product(hours, minutes, seconds)])}"
    text = text or f"{_minutes(minutes)} of {number_list('hour', hours)}"
    return text if tuple(seconds) == (0,) else f"{text} at {number_list('second', seconds)}"


def every_day(times: str, months: str) -> str:
    """Combine times and months (` in January`, or empty), with `every day` in front of plain clock times."""
    return f"every day{months} {times}" if times[:3] == "at " and times[3:4].isdigit() else times + months


def number_list(unit: str, numbers: Sequence[int]) -> str:
    """Return `minute 5` or `hours 9 to 17`."""
    return f"{unit}{'s' if len(numbers) > 1 else ''} {join_list(spans(numbers))}"


def _pattern(hours: Sequence[int], minutes: Sequence[int]) -> str | None:
    """Describe times that are evenly spaced over a part of the day; None if they are not."""
    if len(hours) == 24:
        return _every_hour(minutes)
    hour_step, minute_step = progression(hours), progression(minutes)
    between = f"from {_clock(hours[0], minutes[0])} to {_clock(hours[-1], minutes[-1])}"
    if len(minutes) == 1 and hour_step:
        every = "every hour" if hour_step == 1 else f"every {hour_step} hours"
        if hour_step * len(hours) < 24:
            return f"{every} {between}"
        return every + (f" from {_clock(hours[0], minutes[0])}" if hours[0] or minutes[0] else "")
    if minute_step and (len(hours) == 1 or (hour_step == 1 and _fill_an_hour(minutes))):
        return f"{_every_minutes(minute_step)} {between}"
    return None


def _every_hour(minutes: Sequence[int]) -> str:
    if len(minutes) == 1:
        return "every hour" if minutes[0] == 0 else f"every hour at minute {minutes[0]}"
    start = f" from minute {minutes[0]}" if minutes[0] else ""
    return f"{_minutes(minutes)}{start if _fill_an_hour(minutes) else ' of every hour'}"


def _minutes(minutes: Sequence[int]) -> str:
    """Return `at minutes 5 and 20`, `every 15 minutes` or `every 7 minutes from minute 0 to 56`."""
    step = progression(minutes)
    if step and _fill_an_hour(minutes):
        return _every_minutes(step)
    if step and step > 1 and len(minutes) > _FEW:
        return f"{_every_minutes(step)} from minute {minutes[0]} to {minutes[-1]}"
    return f"at {number_list('minute', minutes)}"


def _fill_an_hour(minutes: Sequence[int]) -> bool:
    """Return whether the spacing stays even across the hour boundary."""
    return (progression(minutes) or 0) * len(minutes) == 60


def _every_minutes(step: int) -> str:
    return "every minute" if step == 1 else f"every {step} minutes"


def progression(numbers: Sequence[int]) -> int | None:
    """Return the constant difference between consecutive numbers; None if it varies or there are fewer than two."""
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    return steps.pop() if len(steps) == 1 else None


def _clock(hour: int, minute: int, second: int = 0) -> str:
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")


def format_moment(at: datetime) -> str:
    """Return `2026-01-31 09:00`, with its offset if the time is aware."""
    return at.isoformat(" ", "seconds" if at.second else "minutes").replace("+00:00", " UTC")
