"""The messages and hints for parameter problems. Called by `parameter_check`, `module` and `decorator_options`.

A hint recommends only values that `type_check` accepts. All text is on one line, printable and short, whatever the
names and values are. The messages are worded like those of `controller.sdk.value_conversion`.
"""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from controller.flow_analysis.flow_problems import Path
from controller.flow_analysis.type_check import MismatchKind, TypeMismatch, check_type
from controller.flow_analysis.type_hints import (
    Choice,
    Hint,
    Items,
    Members,
    Record,
    Row,
    Scalar,
    Table,
    branches_of,
    spell,
)

_MAX_NAMES = 10
_MAX_CANDIDATES = 200
_MAX_RECOMMENDED = 120


def shorten(text: str, limit: int = 40) -> str:
    """Return `text` on one line, printable, and at most `limit` characters long."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def join_names(names: Sequence[str], conjunction: str = "and") -> str:
    """Return the names as `a, b and c`; only the first ten of a longer list."""
    items = [shorten(name) for name in names[:_MAX_NAMES]]
    if len(names) > _MAX_NAMES:
        items.append(f"{'one of ' if conjunction == 'or' else ''}{len(names) - _MAX_NAMES} more")
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {conjunction} {items[-1]}"


def did_you_mean(word: str, names: Sequence[str]) -> str | None:
    """Return the name that is most similar to `word`, or None if no name is similar."""
    if len(word) > 40:
        return None
    plain = word.lower().replace("-", "_")
    by_plain_name = {name.lower().replace("-", "_"): name for name in islice(names, _MAX_CANDIDATES) if len(name) <= 40}
    matches = difflib.get_close_matches(plain, by_plain_name, n=1, cutoff=0.6)
    return by_plain_name[matches[0]] if matches else None


def label(path: Path) -> str:
    """Return a path as text: `("nums", 2)` becomes `nums[2]`."""
    return shorten("".join(_steps(path)).removeprefix("."), 80)


def _steps(path: Path) -> Iterator[str]:
    for step in path:
        if isinstance(step, str) and step.isidentifier():
            yield f".{step}"
        else:
            yield f"[{step}]" if isinstance(step, int) else f'["{shorten(str(step))}"]'


def message_of(mismatch: TypeMismatch) -> str:
    """Return the message for a mismatch: the path, the expected type and the value."""
    where, expected = label(mismatch.path), shorten(spell(mismatch.hint), 80)
    match mismatch.kind:
        case MismatchKind.KEY:
            return f"{where}: invalid key: expected {expected}, got {describe(mismatch.value)}"
        case MismatchKind.LENGTH:
            return f"{where}: expected {expected}, got a list of length {len(mismatch.value)}"
        case MismatchKind.MISSING_FIELD:
            return f"{where}: {expected} requires the field {shorten(mismatch.field)}"
        case MismatchKind.UNKNOWN_FIELD:
            return f"{where}: {expected} has no field {shorten(mismatch.field)}"
        case MismatchKind.UNHASHABLE:
            return f"{where}: a {expected.partition('[')[0]} can't contain {describe(mismatch.value)}"
        case MismatchKind.TYPE:
            return f"{where}: expected {expected}, got {describe(mismatch.value)}"


def describe(value: Any) -> str:
    """Describe a value as in YAML or JSON, such as `the string "x"`."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        is_short = isinstance(value, float) or abs(value) < 10**60
        return f"the number {value}" if is_short else "a very large number"
    if isinstance(value, str):
        return f'the string "{shorten(value)}"'
    return "a mapping" if isinstance(value, Mapping) else "a list"


def hint_of(mismatch: TypeMismatch, has_default: bool) -> str | None:
    """Return a hint for a mismatch, or None. `has_default`: the value may be omitted."""
    if mismatch.kind is MismatchKind.UNKNOWN_FIELD and isinstance(mismatch.hint, Record):
        return suggest_name(mismatch.field, mismatch.hint.name, [field.name for field in mismatch.hint.fields])
    if mismatch.kind is not MismatchKind.TYPE:
        return None
    if mismatch.value is None:
        return "remove it to use the default" if has_default else "write a value"
    for branch in branches_of(mismatch.hint):
        hint = _suggest_value(branch, mismatch.value)
        if hint is not None:
            return hint
    return None


def suggest_name(word: str, owner: str, names: Sequence[str]) -> str:
    """Return the hint for an unknown parameter or field of `owner`: the most similar name, and the list of names."""
    match = did_you_mean(word, names)
    all_names = f"{shorten(owner)} takes {join_names(names)}" if names else f"{shorten(owner)} takes no parameters"
    return f"did you mean {match}? {all_names}" if match else all_names


def _suggest_value(hint: Hint, value: Any) -> str | None:
    match hint:
        case Items() | Row():
            return _as_list(hint, value)
        case Table() | Record():
            return _as_mapping(hint, value)
        case Scalar(name="str" | "bytes" | "Path") if isinstance(value, bool | int | float):
            return f'write it in quotes: "{_text(value)}"'
        case Scalar(name="bool") if isinstance(value, str):
            return "write true or false"
        case Choice(values=values, complete=True) if values:
            return f"write {join_names([_text(choice) for choice in values], 'or')}"
        case Members(members=members) if members:
            return f"write {join_names([_text(choice) for _, choice in members], 'or')}"
    return None


def _as_list(hint: Items | Row, value: Any) -> str | None:
    if isinstance(value, Mapping | list | tuple):
        return None
    for candidate in _lists_in(value):
        text = _recommended(hint, candidate)
        if text is not None:
            return f"write it as a YAML list: {text}"
    return "write it as a YAML list"


def _lists_in(value: Any) -> Iterator[Any]:
    """Yield lists that a string or number may stand for: parsed as JSON, split at commas, or with one item."""
    if isinstance(value, str) and len(value) <= 1000:
        parsed = _parsed(value)
        if isinstance(parsed, list):
            yield parsed
        if value.lstrip().startswith(("[", "(", "{")):
            return
        if "," in value:
            parts = [part.strip() for part in value.split(",")]
            yield [part if (number := _parsed(part)) is None else number for part in parts]
    yield [value]


def _as_mapping(hint: Table | Record, value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    parsed = _parsed(value) if len(value) <= 1000 else None
    text = _recommended(hint, parsed) if isinstance(parsed, dict) else None
    return f"write it as a YAML mapping: {text}" if text else "write it as a YAML mapping"


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _recommended(hint: Hint, value: Any) -> str | None:
    """Return the value in YAML, or None if it would not be accepted or is too long for a hint."""
    if check_type(hint, value).accepted is False:
        return None
    text = _text(value)
    return text if len(text) <= _MAX_RECOMMENDED and text.isprintable() else None


def _text(value: Any) -> str:
    """Return the value in YAML."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "…"
