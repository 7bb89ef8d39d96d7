"""Which JSON values become an `int`, a `date`, a `Path` …: the coercion table of docs/format.md. `judging` looks it up.

It follows what Orion promised (pydantic, lax): `"1"` is a fine `int`. True: accepted. False: refused. None: nobody
promises anything, so nothing is said. It must not raise, whatever the value.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

Rule = Callable[[Any], bool | None]

_MAX_DIGITS = 4300
"""More Python itself does not read."""
_WHOLE = re.compile(r"[+-]?[0-9]+(?:_[0-9]+)*(?:\.0*)?")
_BOOLEANS = frozenset(("true", "t", "yes", "y", "on", "1", "false", "f", "no", "n", "off", "0"))
_ISO_DURATION = re.compile(r"[+-]?P(?=[0-9T])(?:[0-9.,]+[YMWD])*(?:T(?:[0-9.,]+[HMS])+)?", re.IGNORECASE)
_CLOCK_DURATION = re.compile(r"[+-]?(?:[0-9]+ ?(?:d|days?)?,? )?[0-9]+:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _int(value: Any) -> bool:
    if isinstance(value, str):
        digits = value.strip()
        return len(digits) <= _MAX_DIGITS and _WHOLE.fullmatch(digits) is not None
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def _float(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii() and _parses(float, value)
    return isinstance(value, int | float)


def _str(value: Any) -> bool:
    return isinstance(value, str) or _is_number(value)


def _bool(value: Any) -> bool:
    if isinstance(value, str):
        return value.lower() in _BOOLEANS
    return isinstance(value, bool) or (_is_number(value) and value in (0, 1))


def _bytes(value: Any) -> bool:
    return isinstance(value, str)


def _date(value: Any) -> bool | None:
    if not isinstance(value, str):
        return None if _is_number(value) else False
    if _parses(date.fromisoformat, value):
        return True
    if _parses(datetime.fromisoformat, value.upper()):
        return datetime.fromisoformat(value.upper()).time() == time(0)
    return _unless_numeric(value)


def _datetime(value: Any) -> bool | None:
    if not isinstance(value, str):
        return _is_number(value)
    return _parses(datetime.fromisoformat, value.upper()) or _unless_numeric(value)


def _time(value: Any) -> bool | None:
    if not isinstance(value, str):
        return None if _is_number(value) else False
    return _parses(time.fromisoformat, value.upper()) or _unless_numeric(value)


def _timedelta(value: Any) -> bool | None:
    if not isinstance(value, str):
        return None if isinstance(value, bool) else _is_number(value)
    if _ISO_DURATION.fullmatch(value) or _CLOCK_DURATION.fullmatch(value):
        return True
    # `90s`, `1 day` and `30` have a meaning to some; a text without a digit has none to anybody
    return None if any(character.isdigit() for character in value) else False


def _path(value: Any) -> bool:
    return isinstance(value, str)


def _uuid(value: Any) -> bool:
    return isinstance(value, str) and _parses(UUID, value)


def _decimal(value: Any) -> bool | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return _parses(Decimal, value)
    return _is_number(value)


def _unless_numeric(value: str) -> bool | None:
    """A number in quotes may be meant as a Unix time; nothing is said then."""
    return None if _float(value) else False


def _parses(parse: Callable[[str], Any], value: str) -> bool:
    try:
        parse(value.strip())
    except (ValueError, OverflowError, InvalidOperation):
        return False
    return True


RULES: dict[str, Rule] = {
    "int": _int,
    "float": _float,
    "str": _str,
    "bool": _bool,
    "bytes": _bytes,
    "date": _date,
    "datetime": _datetime,
    "time": _time,
    "timedelta": _timedelta,
    "Path": _path,
    "UUID": _uuid,
    "Decimal": _decimal,
}
"""By the names of `hints.Scalar`. None of them accepts null."""
