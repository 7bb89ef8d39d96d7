"""Parameters as they are given on a command line."""

import json
from collections.abc import Sequence
from typing import Any

from controller.errors import UsageError


def read_parameters(pairs: Sequence[str], params: str | None) -> dict[str, Any]:
    """A JSON object, and KEY=JSON over it; what is no JSON is text. Raises UsageError."""
    found: dict[str, Any] = {}
    if params is not None:
        try:
            found = json.loads(params, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"--params is not JSON: {error}.") from error
        if not isinstance(found, dict):
            raise UsageError('--params must be a JSON object, like {"region": "eu"}.')
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--param {pair!r} has no value; write KEY=JSON, like region=eu or days=3.")
        try:
            found[key] = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            found[key] = text
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")
