"""How long is `1h30m`? Text and numbers of a repository become a length of time.

Called by `manifests` for every typed duration (interval, timeout, window, delay). It must not know what a duration
is for, and accepts no length that depends on a calendar (months, years).
"""

import math
import re
from datetime import timedelta

from controller.errors import ScheduleError
from controller.schedules.messages import quoted
from controller.schedules.natural_language import spoken_length

LONGEST = timedelta(days=3653)
"""Ten years."""

_HINT = "write seconds as a number, or 90s, 15m, 1h30m, 2d, 1w, PT15M or 01:30:00"
_LONGEST_TEXT = 64
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
_FACTORS = (604_800, 86_400, 3_600, 60, 1)


def parse_duration(value: str | int | float) -> timedelta:
    """The length of time that `value` says, more than nothing and at most ten years.

    Args:
        value: seconds as a number or a numeric string; units in falling order (`1h30m`); an ISO 8601 duration of
            weeks, days, hours, minutes and seconds; or a clock reading `HH:MM:SS`.

    Raises:
        ScheduleError: it is none of these, not positive, not finite, or longer than ten years.
    """
    seconds = _seconds(value)
    if not math.isfinite(seconds) or not 0 < seconds <= LONGEST.total_seconds():
        raise ScheduleError(f"duration {quoted(value)} must be more than 0 and at most ten years", hint=_HINT)
    length = timedelta(seconds=seconds)
    if not length:
        raise ScheduleError(f"duration {quoted(value)} is below one microsecond", hint=_HINT)
    return length


def _seconds(value: str | int | float) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ScheduleError(f"{quoted(value)} is not a duration", hint=_HINT)
    if not isinstance(value, str):
        return float(value) if abs(value) < 1e15 else math.inf
    text = value.strip()
    if len(text) <= _LONGEST_TEXT:
        if _SECONDS.fullmatch(text):
            return float(text)
        for pattern in (_UNITS, _ISO, _CLOCK):
            found = pattern.fullmatch(text)
            if found and any(found.groups()):
                return math.fsum(
                    float((part or "0").replace(",", ".")) * factor
                    for part, factor in zip(found.groups(), _FACTORS, strict=True)
                )
    named = spoken_length(text) if len(text) <= _LONGEST_TEXT else None
    raise ScheduleError(f"{quoted(value)} is not a duration", hint=f"write {named}" if named else _HINT)
