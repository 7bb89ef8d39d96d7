"""Problems in words: what was given, what was expected, what to do.

It must not judge, but asks `type_check` whether what it is about to recommend would be accepted. Everything it says is
on one line, printable and short, whatever the names and values are.
"""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from controller.flow_analysis.flow_problems import Path
from controller.flow_analysis.type_check import Fit, TypeMismatch, check_type
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
    """`text` on one line, printable, and at most `limit` characters long."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def listed(names: Sequence[str], last: str = "and") -> str:
    """`a, b and c`; many are cut short."""
    shown = [shorten(name) for name in names[:_MAX_NAMES]]
    if len(names) > _MAX_NAMES:
        shown.append(f"{len(names) - _MAX_NAMES} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {last} {shown[-1]}"


def did_you_mean(word: str, known: Sequence[str]) -> str | None:
    """The one of `known` that is nearest to `word`, if one is near."""
    if len(word) > 40:
        return None
    plain = word.lower().replace("-", "_")
    spelled = {name.lower().replace("-", "_"): name for name in islice(known, _MAX_CANDIDATES) if len(name) <= 40}
    near = difflib.get_close_matches(plain, spelled, n=1, cutoff=0.6)
    return spelled[near[0]] if near else None


def label(path: Path) -> str:
    """`("nums", 2)` as `nums[2]`."""
    return shorten("".join(_steps(path)).removeprefix("."), 80)


def _steps(path: Path) -> Iterator[str]:
    for step in path:
        if isinstance(step, str) and step.isidentifier():
            yield f".{step}"
        else:
            yield f"[{step}]" if isinstance(step, int) else f'["{shorten(str(step))}"]'


def message_of(fault: TypeMismatch) -> str:
    """What is wrong, with the place that it is wrong in."""
    where, expected = label(fault.path), shorten(spell(fault.hint), 80)
    match fault.fit:
        case Fit.KEY:
            return f"{where}: the key must be {expected}, got {shown(fault.value)}"
        case Fit.LENGTH:
            return f"{where}: expected {expected}, got a list of {len(fault.value)}"
        case Fit.MISSING_FIELD:
            return f"{where}: {shorten(fault.field)} is missing, {expected} needs it"
        case Fit.UNKNOWN_FIELD:
            return f"{where}: {expected} has no field {shorten(fault.field)}"
        case Fit.IN_A_SET:
            return f"{where}: a {expected.partition('[')[0]} can't hold {shown(fault.value)}"
        case Fit.TYPE:
            return f"{where}: expected {expected}, got {shown(fault.value)}"


def shown(value: Any) -> str:
    """What came, as the one who wrote it would call it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {_number(value)}"
    if isinstance(value, str):
        return f'the string "{shorten(value)}"'
    return "a mapping" if isinstance(value, Mapping) else "a list"


def _number(value: int | float) -> str:
    return str(value) if abs(value) < 10**60 or not isinstance(value, int) else "with very many digits"


def hint_of(fault: TypeMismatch, default: bool) -> str | None:
    """What to write instead, if that can be said; `default`: the value may be left out altogether."""
    if fault.fit is Fit.UNKNOWN_FIELD and isinstance(fault.hint, Record):
        return advice(fault.field, fault.hint.name, [field.name for field in fault.hint.fields])
    if fault.fit is not Fit.TYPE:
        return None
    if fault.value is None:
        return "leave it out to get the default" if default else "write a value"
    for branch in branches_of(fault.hint):
        hint = _rewrite(branch, fault.value)
        if hint is not None:
            return hint
    return None


def advice(word: str, owner: str, known: Sequence[str]) -> str:
    """For a name that `owner` does not know: the nearest one, and all there are."""
    near = did_you_mean(word, known)
    has = f"{shorten(owner)} takes {listed(known)}" if known else f"{shorten(owner)} takes no parameters"
    return f"did you mean {near}? {has}" if near else has


def _rewrite(hint: Hint, value: Any) -> str | None:
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
            return f"write {listed([_text(choice) for choice in values], 'or')}"
        case Members(members=members) if members:
            return f"write {listed([_text(choice) for _, choice in members], 'or')}"
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
    """The lists that may be meant by a text or number: as JSON, between commas, or of one item."""
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
    """The value as it is written, if it would be accepted and is short enough to be said."""
    if check_type(hint, value).accepted is False:
        return None
    text = _text(value)
    return text if len(text) <= _MAX_RECOMMENDED and text.isprintable() else None


def _text(value: Any) -> str:
    """A value as it is written in YAML."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return "…"
