"""Parses durations such as `1h30m`, `PT15M` or `90`.

Called by `manifests` for every duration in a document (interval, timeout, window, delay), whatever it is used for.
Months and years are not accepted, because their length depends on the calendar. Neither is a capital `M` outside of ISO
8601 durations: systemd reads it as months.
"""

import math
import re
from datetime import timedelta

from controller.errors import AmbiguousDurationError, ScheduleError
from controller.schedules.messages import quote

LONGEST = timedelta(days=3653)
"""Ten years."""

_HINT = "write seconds as a number, or 90s, 15m, 1h30m, 2d, 1w, PT15M or 01:30:00"
_MAX_TEXT = 64
_NUMBER = r"(\d+(?:\.\d+)?)"
_SECONDS = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)
_UNITS = re.compile(
    rf"(?:{_NUMBER}w)?\s*(?:{_NUMBER}d)?\s*(?:{_NUMBER}h)?\s*(?:{_NUMBER}m)?\s*(?:{_NUMBER}s)?",
    re.ASCII | re.IGNORECASE,
)
_ISO_NUMBER = r"(\d+(?:[.,]\d+)?)"
_ISO = re.compile(
    rf"P(?:{_ISO_NUMBER}W)?(?:{_ISO_NUMBER}D)?"
    rf"(?:T(?=\d)(?:{_ISO_NUMBER}H)?(?:{_ISO_NUMBER}M)?(?:{_ISO_NUMBER}S)?)?",
    re.ASCII | re.IGNORECASE,
)
_CLOCK = re.compile(r"()()(\d{1,4}):([0-5]\d):([0-5]\d(?:\.\d{1,6})?)", re.ASCII)
_CAPITAL_M = re.compile(rf"{_NUMBER}M", re.ASCII)
_FACTORS = (604_800, 86_400, 3_600, 60, 1)


def parse_duration(value: str | int | float) -> timedelta:
    """Parse a duration of more than zero and at most ten years.

    Args:
        value: seconds as a number or a numeric string; units in descending order (`1h30m`); an ISO 8601 duration of
            weeks, days, hours, minutes and seconds; or `HH:MM:SS`.

    Raises:
        ScheduleError: the value has none of these forms, or is not positive, not finite, or longer than ten years.
    """
    seconds = _seconds(value)
    if not math.isfinite(seconds) or not 0 < seconds <= LONGEST.total_seconds():
        raise ScheduleError(f"duration {quote(value)} must be more than 0 and at most ten years", hint=_HINT)
    length = timedelta(seconds=seconds)
    if not length:
        raise ScheduleError(f"duration {quote(value)} is shorter than one microsecond", hint=_HINT)
    return length


def _seconds(value: str | int | float) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ScheduleError(f"{quote(value)} is not a duration", hint=_HINT)
    if not isinstance(value, str):
        return float(value) if abs(value) < 1e15 else math.inf
    text = value.strip()
    if len(text) <= _MAX_TEXT:
        if _SECONDS.fullmatch(text):
            return float(text)
        for pattern in (_UNITS, _ISO, _CLOCK):
            match = pattern.fullmatch(text)
            if match and any(match.groups()):
                if pattern is _UNITS:
                    _refuse_capital_m(text)
                return math.fsum(
                    float((part or "0").replace(",", ".")) * factor
                    for part, factor in zip(match.groups(), _FACTORS, strict=True)
                )
    raise ScheduleError(f"{quote(value)} is not a duration", hint=_suggest(text) or _HINT)


def _suggest(text: str) -> str | None:
    """Return the hint `write 5m` for a text such as `5 minutes`; None if the text does not mean a duration."""
    from controller.schedules.natural_language import parse_natural_duration  # only invalid durations need it

    suggestion = parse_natural_duration(text) if len(text) <= _MAX_TEXT else None
    return f"write {suggestion}" if suggestion else None


def _refuse_capital_m(text: str) -> None:
    """Raise AmbiguousDurationError if this duration of numbers with units has a capital `M`."""
    found = _CAPITAL_M.search(text)
    if found is None:
        return
    hint = f"write {text.replace('M', 'm')} for minutes"
    if found[0] == text:
        days = f"{30 * float(found[1]):.15g}"
        hint += f", or {days}d for {days} days"
    raise AmbiguousDurationError(f"the M in {quote(text)} could mean minutes or months", hint=hint)
