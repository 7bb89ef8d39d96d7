"""Text for type hints, values and paths in error messages.

Called by `argument_coercion`, `value_conversion`, `pydantic_types`, `artifacts` and `run_name`, and by
`controller.flow_analysis` and `controller.text`.
"""

import types
import typing
from collections.abc import Mapping
from typing import Any

_MAX_HINT = 80
_MAX_LABEL = 80


def spell(hint: Any, limit: int = _MAX_HINT) -> str:
    """Return a type hint as it is written in Python, on one line and at most `limit` characters long."""
    return shorten(_spell(hint), limit)


def _spell(hint: Any) -> str:
    if hint is None or hint is type(None):
        return "None"
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        return " | ".join(_spell(branch) for branch in typing.get_args(hint))
    if origin is typing.Annotated:
        return _spell(typing.get_args(hint)[0])
    if origin is typing.Literal:
        return f"Literal[{', '.join(repr(choice) for choice in typing.get_args(hint))}]"
    if isinstance(hint, str | typing.ForwardRef):
        return hint if isinstance(hint, str) else hint.__forward_arg__
    if hint is ...:
        return "..."
    name = getattr(origin or hint, "__name__", None) or str(hint).removeprefix("typing.")
    args = typing.get_args(hint)
    if origin is tuple and not args and isinstance(hint, types.GenericAlias):
        return "tuple[()]"
    return f"{name}[{', '.join(_spell(arg) for arg in args)}]" if args else name


def describe(value: Any) -> str:
    """Describe a value as in YAML or JSON, such as `the string "x"`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}" if abs(value) < 10**60 or isinstance(value, float) else "a very large number"
    if isinstance(value, str):
        return f'the string "{shorten(value)}"'
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


def label(path: tuple[str | int, ...]) -> str:
    """Return a path as text: `("nums", 2)` becomes `nums[2]`."""
    return shorten("".join(map(_step, path)).removeprefix("."), _MAX_LABEL)


def _step(step: str | int) -> str:
    if isinstance(step, str) and step.isidentifier():
        return f".{step}"
    return f"[{step}]" if isinstance(step, int) else f'["{shorten(step)}"]'


def shorten(text: str, limit: int = 40) -> str:
    """Return the text on one line, printable, and at most `limit` characters long."""
    clean = replace_unprintable(text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def replace_unprintable(text: str) -> str:
    """Return the text with U+FFFD instead of each unprintable character."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
