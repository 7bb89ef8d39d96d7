"""Finds cron steps that do not give even spacing.

Called by `manifests` for warnings. `*/70` in the minutes matches minute 0 only, and `*/7` leaves 4 instead of 7 minutes
at the end of each hour. Ranges that begin elsewhere (`2-23/24`) and lists are explicit, so they cause no warning.
"""

import re
from collections.abc import Iterator

from controller.model.schedules import Cron
from controller.records import dataclass
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
_LISTED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspiciousStep:
    """A step that exceeds its field (`is_beyond`) or does not divide it evenly, and what to write instead."""

    is_beyond: bool
    message: str
    hint: str


def find_suspicious_steps(rule: Cron) -> list[SuspiciousStep]:
    """Return the suspicious steps of the expression, in the order of its fields.

    Raises:
        ScheduleError: the expression is invalid.
    """
    cron.compile_cron(rule)
    parts = cron.fields(rule)
    return [step for index in range(len(parts)) for step in _steps_in_field(parts, index)]


def _steps_in_field(parts: list[str], index: int) -> Iterator[SuspiciousStep]:
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
            yield _beyond_field(parts, index, term, start, step)
        elif match[2] is None and len(terms) == 1 and _is_alone(parts, index):
            values = list(range(start, last + 1, step))
            rest = high - low + 1 - (values[-1] - start)
            if rest != step:
                yield _uneven(parts, index, values, step, rest)


def _is_alone(parts: list[str], index: int) -> bool:
    """Return whether no other field restricts the days; a step of days combined with weekdays is not about spacing."""
    sibling = {_DAY: _WEEKDAY, _WEEKDAY: _DAY}.get(index)
    return sibling is None or parts[sibling] == "*"


def _beyond_field(parts: list[str], index: int, term: str, start: int, step: int) -> SuspiciousStep:
    _, high, unit, letter = _FIELDS[index]
    field = [str(start) if part == term else part for part in parts[index].split(",")]
    return SuspiciousStep(
        is_beyond=True,
        message=f"{term} matches {unit} {start} only: {start} + {step} is beyond the last {unit}, {high}",
        hint=_hint(parts, index, ",".join(dict.fromkeys(field)), step, letter),
    )


def _uneven(parts: list[str], index: int, values: list[int], step: int, rest: int) -> SuspiciousStep:
    _, _, unit, letter = _FIELDS[index]
    listed = ", ".join(map(str, values if len(values) <= _LISTED else [*values[:3], "…", values[-1]]))
    longest = " in the longest months" if index == _DAY else ""
    return SuspiciousStep(
        is_beyond=False,
        message=f"{parts[index]} is uneven: {unit}s {listed}, then {values[0]} again after {rest}{longest}, not {step}",
        hint=_hint(parts, index, ",".join(map(str, values)), step, letter),
    )


def _hint(parts: list[str], index: int, field: str, step: int, letter: str) -> str:
    written = " ".join([*parts[:index], field, *parts[index + 1 :]])
    exact = f'write cron: "{written}" if that is intended'
    finer = parts[: min(index, _DAY)]
    is_spacing = all(part.isdigit() for part in finer) and all(
        part == "*" for number, part in enumerate(parts) if number >= len(finer) and number != index
    )
    if not letter or not step or not is_spacing:
        return exact
    minute, hour = [*map(int, finer), 0, 0][:2]
    anchor = f" and anchor_date: 2020-01-01T{hour:02}:{minute:02}" if minute or hour else ""
    return f"write interval: {step}{letter}{anchor} for even spacing; {exact}"
