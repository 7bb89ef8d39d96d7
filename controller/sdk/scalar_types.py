"""Conversions to `int`, `date`, `Path` and other scalar types: the coercion table of docs/format.md.

`value_conversion` looks up a rule by the dotted name of the type, so that modules such as `datetime` are imported only
by flows that use them. A rule gets a value that does not have the type yet, and raises one of `REFUSALS` if it cannot
be converted.
"""

import re
import sys
from collections.abc import Callable
from typing import Any

REFUSALS = (ValueError, ArithmeticError, TypeError, AttributeError, OSError)
"""The exceptions that a rule may raise for a value that it does not accept."""

_MAX_DIGITS = 4300
_WHOLE = r"([+-]?[0-9]+(?:_[0-9]+)*)(?:\.0*)?"
_TRUE = frozenset(("true", "t", "yes", "y", "on", "1"))
_FALSE = frozenset(("false", "f", "no", "n", "off", "0"))
_ISO_DURATION = (
    r"([+-])?P(?=[0-9T])(?:([0-9.]+)Y)?(?:([0-9.]+)M)?(?:([0-9.]+)W)?(?:([0-9.]+)D)?"
    r"(?:T(?:([0-9.]+)H)?(?:([0-9.]+)M)?(?:([0-9.]+)S)?)?"
)
_ISO_SECONDS = (365 * 86400, 30 * 86400, 7 * 86400, 86400, 3600, 60, 1)
_CLOCK_DURATION = r"([+-])?(?:([0-9]+) ?(?:d|days?)?,? )?([0-9]+):([0-9]{2})(?::([0-9]{2}(?:\.[0-9]+)?))?"
_ISO = (
    r"(?:([0-9]{4})-?([0-9]{2})-?([0-9]{2}))?([T ])?(?:([0-9]{2})(?::?([0-9]{2}))?(?::?([0-9]{2})(?:[.,]([0-9]+))?)?)?"
    r"(?:(Z|[+-])(?:([0-9]{2}):?([0-9]{2})?)?)?"
)
_MILLISECONDS_FROM = 2e10
"""Unix times beyond this number are taken as milliseconds, as Pydantic does."""


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _int(value: Any, _: Any) -> int:
    if isinstance(value, str):
        match = re.fullmatch(_WHOLE, value.strip())
        if match is None or len(value) > _MAX_DIGITS:
            raise ValueError
        return int(match[1])
    if isinstance(value, int):
        return int(value)  # true is 1
    if isinstance(value, float):
        if not value.is_integer():
            raise ValueError
        return int(value)
    return int(value.__index__())  # other integer types, such as NumPy's


def _float(value: Any, _: Any) -> Any:
    if isinstance(value, str):
        if not value.isascii():
            raise ValueError
        return float(value)
    try:
        return float(value.__float__())
    except OverflowError:
        return value


def _str(value: Any, _: Any) -> str:
    return str(_number(value))


def _bool(value: Any, _: Any) -> bool:
    if isinstance(value, str):
        if value.lower() in _TRUE:
            return True
        if value.lower() in _FALSE:
            return False
        raise ValueError
    if _number(value) not in (0, 1):
        raise ValueError
    return bool(value)


def _bytes(value: Any, _: Any) -> bytes:
    return _text(value).encode()


def _iso(text: str) -> str:
    """Return a date or a time in a form that this version of Python can parse."""
    text = text.strip().upper()
    return text if sys.version_info >= (3, 11) else extended_iso(text)


def extended_iso(text: str) -> str:
    """Return an ISO 8601 date or time with separators, six digits of a fraction, and an offset instead of `Z`.

    Any other text is returned unchanged.
    """
    match = re.fullmatch(_ISO, text)
    if match is None:
        return text
    year, month, day, separator, hour, minute, second, fraction, sign, zone_hour, zone_minute = match.groups()
    date = f"{year}-{month}-{day}" if year else ""
    clock = f"{hour}:{minute or '00'}" if hour else ""
    clock += f":{second}" if second else ""
    clock += f".{fraction[:6].ljust(6, '0')}" if fraction else ""
    zone = f"{sign}{zone_hour}:{zone_minute or '00'}" if zone_hour else "+00:00" if sign else ""
    return f"{date}{separator or ''}{clock}{zone}"


def _date(value: Any, hint: Any) -> Any:
    try:
        return hint.fromisoformat(_iso(_text(value)))
    except ValueError:
        moment = _module("datetime").datetime.fromisoformat(_iso(value))
        if moment.time() != _module("datetime").time():
            raise
        return moment.date()


def _datetime(value: Any, hint: Any) -> Any:
    if isinstance(value, str):
        return hint.fromisoformat(_iso(value))
    seconds = _number(value)
    if abs(seconds) > _MILLISECONDS_FROM:
        seconds = seconds / 1000
    return hint.fromtimestamp(seconds, _module("datetime").timezone.utc)


def _time(value: Any, hint: Any) -> Any:
    return hint.fromisoformat(_iso(_text(value)))


def _timedelta(value: Any, hint: Any) -> Any:
    if not isinstance(value, str):
        return hint(seconds=_number(value))
    if match := re.fullmatch(_ISO_DURATION, value, re.IGNORECASE):
        parts = zip(match.groups()[1:], _ISO_SECONDS, strict=True)
        seconds = sum(float(part) * unit for part, unit in parts if part is not None)
    elif match := re.fullmatch(_CLOCK_DURATION, value):
        _, days, hours, minutes, rest = match.groups()
        seconds = int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(rest or 0)
    else:
        raise ValueError
    return hint(seconds=-seconds if match[1] == "-" else seconds)


def _from_text(value: Any, hint: Any) -> Any:
    return hint(_text(value))


def _decimal(value: Any, hint: Any) -> Any:
    return hint(value.strip()) if isinstance(value, str) else hint(str(_number(value)))


def _module(name: str) -> Any:
    """Return an imported module: code that has one of its types in a hint must have imported it."""
    return sys.modules[name]


def rule_name(hint: type) -> str:
    """Return the name of a type in `RULES`. The classes of `pathlib` are in `pathlib._local` in Python 3.13."""
    return f"{hint.__module__.removesuffix('._local')}.{hint.__qualname__}"


RULES: dict[str, Callable[[Any, Any], Any]] = {
    "builtins.int": _int,
    "builtins.float": _float,
    "builtins.str": _str,
    "builtins.bool": _bool,
    "builtins.bytes": _bytes,
    "datetime.date": _date,
    "datetime.datetime": _datetime,
    "datetime.time": _time,
    "datetime.timedelta": _timedelta,
    **dict.fromkeys((f"pathlib.{name}" for name in ("Path", "PurePath", "PosixPath", "PurePosixPath")), _from_text),
    "uuid.UUID": _from_text,
    "decimal.Decimal": _decimal,
}
