"""How values become text and JSON: UTC ISO 8601 with `Z` in JSON, local time with its offset for people."""

import json
from typing import Any

import click

from controller.views.plain import to_json, utc

__all__ = ["counted", "print_json", "to_json", "utc", "visible"]


def print_json(value: Any) -> None:
    """Print a view as JSON."""
    text = json.dumps(to_json(value), indent=2, ensure_ascii=False)
    # A lone surrogate is no UTF-8, but the JSON escape of it is.
    click.echo(text.encode("utf-8", "backslashreplace").decode())


def counted(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def visible(text: str) -> str:
    """A text with its control characters spelled out, safe on a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)
