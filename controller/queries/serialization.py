"""Views as plain JSON values: what `-o json` prints and the HTTP API answers, so that both say the same."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

MAX_LEVELS = 200
"""Of what is nested deeper no more is shown: it could not be written as JSON. Far more than is accepted today."""
CUT = "…"


def to_json(value: Any) -> Any:
    """A view as what `json.dumps` takes: dataclasses as objects, instants as UTC with `Z`. Does not raise.

    What is nested deeper than `MAX_LEVELS` is `CUT`.
    """
    return _plain(value, MAX_LEVELS)


def depth(value: Any) -> int:
    """How many lists and objects of this JSON value lie in each other, at most. A number has 0, `[[]]` has 2."""
    deepest, level = 0, [value]
    while level := [one for one in level if isinstance(one, Mapping | list | tuple)]:
        deepest += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, Mapping) else one)]
    return deepest


def _plain(value: Any, levels: int) -> Any:
    if isinstance(value, datetime):
        return utc(value)
    is_view = is_dataclass(value) and not isinstance(value, type)
    if not is_view and not isinstance(value, Mapping | list | tuple):
        return value
    if not levels:
        return CUT
    if is_view:
        return {field.name: _plain(getattr(value, field.name), levels - 1) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item, levels - 1) for key, item in value.items()}
    return [_plain(item, levels - 1) for item in value]


def utc(instant: datetime) -> str:
    """`2026-11-23T09:00:00Z`, with microseconds only where there are any."""
    from datetime import UTC

    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
