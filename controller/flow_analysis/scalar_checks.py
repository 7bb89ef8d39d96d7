"""Which JSON values become an `int`, a `date`, a `Path` …: the coercion table of docs/format.md. `type_check` asks.

It asks the very rules by which the flow's process converts them, so that both say the same of every value. They are
pure, and no value makes them slow. See `controller.sdk.scalar_types`.
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


def takes(name: str, value: Any) -> bool:
    """Whether a value becomes one of this type, which is named as in `hints.Scalar`. None takes null."""
    kind = _TYPES[name]
    if type(value) is kind:
        return True
    try:
        RULES[f"{kind.__module__}.{kind.__qualname__}"](value, kind)
    except REFUSALS:
        return False
    return True
