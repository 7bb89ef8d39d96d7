"""Views as plain JSON values: what `-o json` prints and the HTTP API answers, so that both say the same."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any


def to_json(value: Any) -> Any:
    """A view as what `json.dumps` takes: dataclasses as objects, instants as UTC with `Z`."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def utc(instant: datetime) -> str:
    """`2026-11-23T09:00:00Z`, with microseconds only where there are any."""
    from datetime import UTC

    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
