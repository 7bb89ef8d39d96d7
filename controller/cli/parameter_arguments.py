"""Reads the parameters of a flow from the options `--param` and `--params`. `trigger` and `execute` call it."""

import json
from collections.abc import Sequence
from typing import Any

from controller.errors import UsageError


def read_parameters(pairs: Sequence[str], params: str | None) -> dict[str, Any]:
    """Return the JSON object `params`, updated with each KEY=JSON of `pairs`.

    A value that is not JSON is used as a string. Raises UsageError.
    """
    parameters: dict[str, Any] = {}
    if params is not None:
        try:
            parameters = json.loads(params, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"--params is not JSON: {error}.") from error
        if not isinstance(parameters, dict):
            raise UsageError('--params must be a JSON object, for example {"region": "eu"}.')
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--param {pair!r} has no value. Write KEY=JSON, for example region=eu or days=3.")
        try:
            parameters[key] = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            parameters[key] = text
    return parameters


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")
