"""Prints values as JSON, with times as ISO 8601 in UTC with `Z`, in the encoding of standard output."""

import json
import sys
from typing import Any

import click

from controller.cli.standard_streams import is_utf8
from controller.queries.serialization import to_json, utc

__all__ = ["json_text", "print_json", "to_json", "utc"]


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(json_text(value, indent=2))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON that standard output can encode: other encodings than UTF-8 get ASCII with escapes."""
    text = json.dumps(to_json(value), indent=indent, ensure_ascii=not is_utf8(sys.stdout))
    # A lone surrogate cannot be encoded as UTF-8; its JSON escape can.
    return text.encode("utf-8", "backslashreplace").decode()
