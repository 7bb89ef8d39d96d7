"""Does a JSON value fit a hint? Yes, no (and where), or nobody can say. `parameter_check` asks.

It must not raise, whatever the value, and must not word anything: `messages` does. The work is bounded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from controller.flow_analysis.flow_problems import Path
from controller.flow_analysis.hashability import SETS, is_hashable
from controller.flow_analysis.known_types import LOOSE
from controller.flow_analysis.scalar_checks import takes
from controller.flow_analysis.type_hints import (
    AnyOf,
    Anything,
    Choice,
    Hint,
    Items,
    Members,
    Null,
    Record,
    Row,
    Scalar,
    Table,
    Unknown,
    branches_of,
)

MAX_STEPS = 200_000
"""Pairs of a value and a hint for one parameter: ten times what a manifest can hold."""
MAX_FAULTS = 10
_JSON = (type(None), bool, int, float, str, list, tuple, Mapping)


class Fit(Enum):
    """What about the value does not fit."""

    TYPE = "type"
    KEY = "key"
    LENGTH = "length"
    MISSING_FIELD = "missing field"
    UNKNOWN_FIELD = "unknown field"
    IN_A_SET = "in a set"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeMismatch:
    """One place that does not fit; `path` begins with what `Judge.verdict` was given."""

    path: Path
    hint: Hint
    value: Any
    fit: Fit = Fit.TYPE
    field: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`accepted` is None where nobody can say; there are faults where it is False, and only there."""

    accepted: bool | None
    faults: tuple[TypeMismatch, ...] = ()


YES = Verdict(True)
UNSURE = Verdict(None)


def check_type(hint: Hint, value: Any, path: Path = ()) -> Verdict:
    """The verdict on a value for a hint."""
    return _Judge().verdict(hint, value, path)


class _Judge:
    """Counts the steps of one question."""

    def __init__(self) -> None:
        self._left = MAX_STEPS

    def verdict(self, hint: Hint, value: Any, path: Path) -> Verdict:
        self._left -= 1
        if self._left < 0 or isinstance(hint, Unknown) or not isinstance(value, _JSON):
            return UNSURE
        match hint:
            case Anything():
                return YES
            case AnyOf():
                return self._union(hint, value, path)
            case Null():
                return YES if value is None else _no(hint, value, path)
            case Scalar(name=name):
                return YES if takes(name, value) else _no(hint, value, path)
            case Choice():
                return _among(hint, value, path)
            case Members():
                return _member(hint, value, path)
        return self._structure(hint, value, path)

    def _structure(self, hint: Items | Row | Table | Record, value: Any, path: Path) -> Verdict:
        match hint, value:
            case (Items(item=item), list() | tuple()):
                found = _all(self.verdict(item, part, (*path, index)) for index, part in enumerate(value))
                return self._in_a_set(hint, value, path) if found.accepted and hint.name in SETS else found
            case (Items(), _):
                return self._no_list(hint, value, path)
            case (Row(items=items), list() | tuple()):
                if len(items) != len(value):
                    return _no(hint, value, path, Fit.LENGTH)
                pairs = enumerate(zip(items, value, strict=True))
                return _all(self.verdict(item, part, (*path, index)) for index, (item, part) in pairs)
            case (Table(), Mapping()):
                return _all(self._pairs(hint, value, path))
            case (Record(), Mapping()):
                return _all(self._record(hint, value, path))
        return _no(hint, value, path)

    def _union(self, hint: AnyOf, value: Any, path: Path) -> Verdict:
        """Any branch will do; if none does, the fault is that of the branch that was meant."""
        verdicts = []
        for branch in branches_of(hint):
            found = self.verdict(branch, value, path)
            if found.accepted:
                return YES
            verdicts.append(found)
        if any(found.accepted is None for found in verdicts):
            return UNSURE
        meant = [found for found in verdicts if any(fault.path != path or fault.field for fault in found.faults)]
        return meant[0] if len(meant) == 1 else _no(hint, value, path)

    def _in_a_set(self, hint: Items, value: Any, path: Path) -> Verdict:
        """The items fit; can a set hold them?"""
        found = YES
        for index, part in enumerate(value):
            hashable = is_hashable(hint.item, part, lambda branch, part: self.verdict(branch, part, ()).accepted)
            if hashable is False:
                return _no(hint, part, (*path, index), Fit.IN_A_SET)
            found = UNSURE if hashable is None else found
        return found

    def _no_list(self, hint: Items, value: Any, path: Path) -> Verdict:
        """Where no list is: a text is a `Sequence[str]` too, a mapping an `Iterable[str]`; that is rarely meant."""
        if hint.name not in LOOSE or not self._holds_text(hint.item):
            return _no(hint, value, path)
        text = isinstance(value, str) and not value.lstrip().startswith(("[", "("))
        keys = isinstance(value, Mapping) and hint.name in ("Iterable", "Collection", "Reversible")
        return UNSURE if text or keys else _no(hint, value, path)

    def _holds_text(self, item: Hint) -> bool:
        return any(
            isinstance(branch, Anything | Unknown | Choice | Members) or branch == Scalar("str")
            for branch in branches_of(item)
        )

    def _pairs(self, hint: Table, value: Mapping[Any, Any], path: Path) -> Iterable[Verdict]:
        for key, item in value.items():
            if not self.verdict(hint.key, key, path).faults:
                yield self.verdict(hint.value, item, (*path, key))
            else:
                yield _no(hint.key, key, (*path, key), Fit.KEY)

    def _record(self, hint: Record, value: Mapping[Any, Any], path: Path) -> Iterable[Verdict]:
        known = {field.name: field for field in hint.fields}
        for name, field in known.items():
            if name in value:
                null = field.nullable and value[name] is None
                yield YES if null else self.verdict(field.hint, value[name], (*path, name))
            elif field.required:
                yield _no(hint, value, path, Fit.MISSING_FIELD, name)
        for name in value:
            if name not in known:
                yield UNSURE if hint.open else _no(hint, value, (*path, name), Fit.UNKNOWN_FIELD, str(name))


def _no(hint: Hint, value: Any, path: Path, fit: Fit = Fit.TYPE, field: str = "") -> Verdict:
    return Verdict(False, (TypeMismatch(path=path, hint=hint, value=value, fit=fit, field=field),))


def _all(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on a whole from those on its parts, with the first faults of them."""
    faults: list[TypeMismatch] = []
    unsure = False
    for verdict in verdicts:
        faults.extend(verdict.faults)
        unsure = unsure or verdict.accepted is None
        if len(faults) >= MAX_FAULTS:
            break
    if faults:
        return Verdict(False, tuple(faults[:MAX_FAULTS]))
    return UNSURE if unsure else YES


def _among(hint: Choice, value: Any, path: Path) -> Verdict:
    """One of these values, of the very same type."""
    if any(known == value and type(known) is type(value) for known in hint.values):
        return YES
    return _no(hint, value, path) if hint.complete else UNSURE


def _member(hint: Members, value: Any, path: Path) -> Verdict:
    """The name of a member, or what equals its value; of a `Flag` also what several make together."""
    if isinstance(value, str) and any(name == value for name, _ in hint.members):
        return YES
    if hint.bits is not None and isinstance(value, int | float):
        return _of_bits(hint, hint.bits, value, path)
    if any(known == value for _, known in hint.members):
        return YES
    return _no(hint, value, path) if hint.complete else UNSURE


def _of_bits(hint: Members, bits: int, value: int | float, path: Path) -> Verdict:
    """A number for a `Flag`. What 3.0 is depends on what was asked for before, and what -1 is on the Python."""
    if value < 0 or (isinstance(value, float) and value.is_integer()):
        return UNSURE
    if isinstance(value, int) and not value & ~bits:
        return YES
    return _no(hint, value, path) if hint.complete else UNSURE
