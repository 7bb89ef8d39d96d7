"""The names and the advice in parameter problems. Called by `parameter_check` and `module`.

Advice recommends only values that `type_check` accepts. All text is on one line, printable and short, whatever the
names and values are.
"""

import dataclasses
import json
import pathlib
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controller.flow_analysis.known_types import branches_of, choices_of
from controller.flow_analysis.type_check import check_type
from controller.sdk.messages import shorten
from controller.sdk.value_conversion import ITEMS, MAPPINGS
from controller.sdk.value_errors import Fault
from controller.text import closest

_MAX_NAMES = 10
_MAX_CANDIDATES = 200
_MAX_RECOMMENDED = 120
_QUOTED = (str, bytes, pathlib.Path, pathlib.PurePath, pathlib.PosixPath, pathlib.PurePosixPath)


def join_names(names: Sequence[str], conjunction: str = "and") -> str:
    """Return the names as `a, b and c`; only the first ten of a longer list."""
    items = [shorten(name) for name in names[:_MAX_NAMES]]
    if len(names) > _MAX_NAMES:
        items.append(f"{'one of ' if conjunction == 'or' else ''}{len(names) - _MAX_NAMES} more")
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {conjunction} {items[-1]}"


def advice_for(fault: Fault, has_default: bool) -> str | None:
    """Return what to write instead of a value with a fault, or None. `has_default`: the value may be omitted."""
    if fault.hint is None:
        return None
    if fault.field:
        return suggest_name(fault.field, fault.hint.__name__, [field.name for field in dataclasses.fields(fault.hint)])
    if fault.value is None:
        return "remove it to use the default" if has_default else "write a value"
    suggestions = (_suggest_value(branch, fault.value) for branch in branches_of(fault.hint))
    return next(filter(None, suggestions), None)


def closest_name(word: str, names: Sequence[str]) -> str | None:
    """Return the name that resembles `word` most, or None if no name does."""
    return next(iter(closest(word, names[:_MAX_CANDIDATES])), None)


def suggest_name(word: str, owner: str, names: Sequence[str]) -> str:
    """Return the hint for an unknown parameter or field of `owner`: the most similar name, and the list of names."""
    match = closest_name(word, names)
    all_names = f"{shorten(owner)} takes {join_names(names)}" if names else f"{shorten(owner)} takes no parameters"
    return f"did you mean {match}? {all_names}" if match else all_names


def _suggest_value(hint: Any, value: Any) -> str | None:
    kind = typing.get_origin(hint) or hint
    if kind in ITEMS:
        return _as_list(hint, value)
    if kind in MAPPINGS or dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
        return _as_mapping(hint, value)
    if kind in _QUOTED and isinstance(value, bool | int | float):
        return f'write it in quotes: "{_text(value)}"'
    if kind is bool and isinstance(value, str):
        return "write true or false"
    choices = [_text(choice) for choice in choices_of(hint)]
    return f"write {join_names(choices, 'or')}" if choices else None


def _as_list(hint: Any, value: Any) -> str | None:
    if isinstance(value, Mapping | list | tuple):
        return None
    for candidate in _lists_in(value):
        text = _recommend(hint, candidate)
        if text is not None:
            return f"write it as a YAML list: {text}"
    return "write it as a YAML list"


def _lists_in(value: Any) -> Iterator[Any]:
    """Yield lists that a string or number may stand for: parsed as JSON, split at commas, or with one item."""
    if isinstance(value, str) and len(value) <= 1000:
        parsed = _parse(value)
        if isinstance(parsed, list):
            yield parsed
        if value.lstrip().startswith(("[", "(", "{")):
            return
        if "," in value:
            parts = [part.strip() for part in value.split(",")]
            yield [part if (number := _parse(part)) is None else number for part in parts]
    yield [value]


def _as_mapping(hint: Any, value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    parsed = _parse(value) if len(value) <= 1000 else None
    text = _recommend(hint, parsed) if isinstance(parsed, dict) else None
    return f"write it as a YAML mapping: {text}" if text else "write it as a YAML mapping"


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _recommend(hint: Any, value: Any) -> str | None:
    """Return the value in YAML, or None if it would not be accepted or is too long for a hint."""
    if check_type(hint, value):
        return None
    text = _text(value)
    return text if len(text) <= _MAX_RECOMMENDED and text.isprintable() else None


def _text(value: Any) -> str:
    """Return the value in YAML."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "…"
