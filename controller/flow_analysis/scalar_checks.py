"""Checks whether a JSON value can be converted to an `int`, `date`, `Path` or other scalar type.

Called by `type_check`. It applies the rules with which the flow's process converts the values
(`controller.sdk.scalar_types`), so that both always agree. The rules are pure, and fast for every value.
"""

import datetime
import decimal
import pathlib
import uuid
from typing import Any

from controller.sdk.scalar_types import REFUSALS, RULES

_TYPES: dict[str, type] = {
    **{kind.__name__: kind for kind in (int, float, str, bool, bytes)},
    **{kind.__name__: kind for kind in (datetime.date, datetime.datetime, datetime.time, datetime.timedelta)},
    "Path": pathlib.PurePosixPath,
    "UUID": uuid.UUID,
    "Decimal": decimal.Decimal,
}


def is_convertible(name: str, value: Any) -> bool:
    """Return whether a value can be converted to a type; `name` is that of `type_hints.Scalar`. Null never can."""
    kind = _TYPES[name]
    if type(value) is kind:
        return True
    try:
        RULES[f"{kind.__module__}.{kind.__qualname__}"](value, kind)
    except REFUSALS:
        return False
    return True
