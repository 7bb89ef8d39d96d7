"""Which steps of a cron expression do something else than "every so many"?

Called by `manifests` for warnings. `*/70` in the minutes is minute 0 only, and `*/7` is every 7 minutes but for the
last 4 of each hour. A range that begins elsewhere (`2-23/24`) and a list say what they mean, and are left alone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from controller.model.schedules import Cron
from controller.schedules import cron

_TERM = re.compile(r"(\*|\d{1,2})(?:-(\d{1,2}))?/(\d{1,9})", re.ASCII)
_FIELDS = (
    (0, 59, "minute", "m"),
    (0, 23, "hour", "h"),
    (1, 31, "day", "d"),
    (1, 12, "month", ""),
    (0, 6, "weekday", "d"),
)
_DAY, _WEEKDAY = 2, 4
_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class OddStep:
    """A step that goes beyond its field (`is_beyond`) or does not divide it, and what to write instead."""

    is_beyond: bool
    message: str
    hint: str


def odd_steps(rule: Cron) -> list[OddStep]:
    """The odd steps of the expression, by field.

    Raises:
        ScheduleError: it is no cron expression.
    """
    cron.compiled(rule)
    parts = cron.fields(rule)
    return [found for index in range(len(parts)) for found in _of_field(parts, index)]


def _of_field(parts: list[str], index: int) -> Iterator[OddStep]:
    low, high, _, _ = _FIELDS[index]
    terms = parts[index].split(",")
    for term in terms:
        match = _TERM.fullmatch(term)
        if match is None:
            continue
        start = low if match[1] == "*" else int(match[1])
        last = high if match[2] is None else int(match[2])
        step = int(match[3])
        if step > high - start and (match[2] is None or start == low):
            yield _beyond(parts, index, term, start, step)
        elif match[2] is None and len(terms) == 1 and _is_alone(parts, index):
            values = list(range(start, last + 1, step))
            rest = high - low + 1 - (values[-1] - start)
            if rest != step:
                yield _uneven(parts, index, values, step, rest)


def _is_alone(parts: list[str], index: int) -> bool:
    """Whether nothing else restricts the days: a step of days beside weekdays is no spacing."""
    other = {_DAY: _WEEKDAY, _WEEKDAY: _DAY}.get(index)
    return other is None or parts[other] == "*"


def _beyond(parts: list[str], index: int, term: str, start: int, step: int) -> OddStep:
    _, high, unit, letter = _FIELDS[index]
    field = [str(start) if one == term else one for one in parts[index].split(",")]
    return OddStep(
        is_beyond=True,
        message=f"{term} is {unit} {start} only: {start} + {step} is beyond the last {unit}, {high}",
        hint=_instead(parts, index, ",".join(dict.fromkeys(field)), step, letter),
    )


def _uneven(parts: list[str], index: int, values: list[int], step: int, rest: int) -> OddStep:
    _, _, unit, letter = _FIELDS[index]
    shown = ", ".join(map(str, values if len(values) <= _SHOWN else [*values[:3], "…", values[-1]]))
    longest = " in the longest months" if index == _DAY else ""
    return OddStep(
        is_beyond=False,
        message=f"{parts[index]} is uneven: {unit}s {shown}, then {values[0]} again after {rest}{longest}, not {step}",
        hint=_instead(parts, index, ",".join(map(str, values)), step, letter),
    )


def _instead(parts: list[str], index: int, field: str, step: int, letter: str) -> str:
    written = " ".join([*parts[:index], field, *parts[index + 1 :]])
    exact = f'write cron: "{written}" if that is meant'
    finer = parts[: min(index, _DAY)]
    is_spacing = all(part.isdigit() for part in finer) and all(
        part == "*" for number, part in enumerate(parts) if number >= len(finer) and number != index
    )
    if not letter or not step or not is_spacing:
        return exact
    minute, hour = [*map(int, finer), 0, 0][:2]
    anchor = f" and anchor_date: 2020-01-01T{hour:02}:{minute:02}" if minute or hour else ""
    return f"write interval: {step}{letter}{anchor} for even spacing; {exact}"
