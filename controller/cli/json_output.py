"""How values become text and JSON: UTC ISO 8601 with `Z` in JSON, local time with its offset for people."""

import json
import sys
from typing import Any

import click

from controller.cli.standard_streams import is_utf8
from controller.queries.serialization import to_json, utc

__all__ = ["counted", "json_text", "print_json", "to_json", "utc", "visible"]


def print_json(value: Any) -> None:
    """Print a view as JSON."""
    click.echo(json_text(value, indent=2))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """A view as JSON that standard output can express: UTF-8 as it is, every other encoding with escapes."""
    text = json.dumps(to_json(value), indent=indent, ensure_ascii=not is_utf8(sys.stdout))
    # A lone surrogate is no UTF-8, but the JSON escape of it is.
    return text.encode("utf-8", "backslashreplace").decode()


def counted(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def visible(text: str) -> str:
    """A text with its control characters spelled out, safe on a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)
