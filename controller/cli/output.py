"""How values become text and JSON: UTC ISO 8601 with `Z` in JSON, local time with its offset for people."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

import click


def print_json(value: Any) -> None:
    """Print a view as JSON."""
    text = json.dumps(to_json(value), indent=2, ensure_ascii=False)
    # A lone surrogate is no UTF-8, but the JSON escape of it is.
    click.echo(text.encode("utf-8", "backslashreplace").decode())


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


def counted(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def visible(text: str) -> str:
    """A text with its control characters spelled out, safe on a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)
