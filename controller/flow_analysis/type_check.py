"""Checks a JSON value against a type hint: accepted, not accepted (and where), or unknown. Called by `parameter_check`.

No value raises, and the number of steps is limited. `messages` turns the mismatches into text.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from controller.flow_analysis.flow_problems import Path
from controller.flow_analysis.hashability import SETS, is_hashable
from controller.flow_analysis.known_types import LOOSE
from controller.flow_analysis.scalar_checks import is_convertible
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
"""The number of value and hint pairs to check for one parameter: ten times the values of the largest manifest."""
MAX_MISMATCHES = 10
_JSON = (type(None), bool, int, float, str, list, tuple, Mapping)


class MismatchKind(Enum):
    """The kind of a mismatch between a value and its hint."""

    TYPE = "type"
    KEY = "key"
    LENGTH = "length"
    MISSING_FIELD = "missing field"
    UNKNOWN_FIELD = "unknown field"
    UNHASHABLE = "unhashable"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeMismatch:
    """A part of the value that does not match its hint; `path` leads to it, beginning with the path of the value."""

    path: Path
    hint: Hint
    value: Any
    kind: MismatchKind = MismatchKind.TYPE
    field: str = ""


@dataclass(frozen=True, slots=True)
class TypeCheck:
    """The result of a check. `accepted` is None if it is unknown. There are mismatches only if it is False."""

    accepted: bool | None
    mismatches: tuple[TypeMismatch, ...] = ()


YES = TypeCheck(True)
UNKNOWN = TypeCheck(None)


def check_type(hint: Hint, value: Any, path: Path = ()) -> TypeCheck:
    """Check a value, which is found at `path`, against a hint."""
    return _Checker().check(hint, value, path)


class _Checker:
    """One check, with the number of its remaining steps."""

    def __init__(self) -> None:
        self._remaining_steps = MAX_STEPS

    def check(self, hint: Hint, value: Any, path: Path) -> TypeCheck:
        self._remaining_steps -= 1
        if self._remaining_steps < 0 or isinstance(hint, Unknown) or not isinstance(value, _JSON):
            return UNKNOWN
        match hint:
            case Anything():
                return YES
            case AnyOf():
                return self._union(hint, value, path)
            case Null():
                return YES if value is None else _no(hint, value, path)
            case Scalar(name=name):
                return YES if is_convertible(name, value) else _no(hint, value, path)
            case Choice():
                return _check_choice(hint, value, path)
            case Members():
                return _check_member(hint, value, path)
        return self._structure(hint, value, path)

    def _structure(self, hint: Items | Row | Table | Record, value: Any, path: Path) -> TypeCheck:
        match hint, value:
            case (Items(item=item), list() | tuple()):
                result = _all(self.check(item, part, (*path, index)) for index, part in enumerate(value))
                return self._check_hashable(hint, value, path) if result.accepted and hint.name in SETS else result
            case (Items(), _):
                return self._check_non_list(hint, value, path)
            case (Row(items=items), list() | tuple()):
                if len(items) != len(value):
                    return _no(hint, value, path, MismatchKind.LENGTH)
                pairs = enumerate(zip(items, value, strict=True))
                return _all(self.check(item, part, (*path, index)) for index, (item, part) in pairs)
            case (Table(), Mapping()):
                return _all(self._pairs(hint, value, path))
            case (Record(), Mapping()):
                return _all(self._record(hint, value, path))
        return _no(hint, value, path)

    def _union(self, hint: AnyOf, value: Any, path: Path) -> TypeCheck:
        """Accept what any branch accepts.

        If exactly one branch has a mismatch inside the value, that branch was probably meant: report its mismatches.
        """
        results = []
        for branch in branches_of(hint):
            result = self.check(branch, value, path)
            if result.accepted:
                return YES
            results.append(result)
        if any(result.accepted is None for result in results):
            return UNKNOWN
        deeper = [
            result
            for result in results
            if any(mismatch.path != path or mismatch.field for mismatch in result.mismatches)
        ]
        return deeper[0] if len(deeper) == 1 else _no(hint, value, path)

    def _check_hashable(self, hint: Items, value: Any, path: Path) -> TypeCheck:
        """Check that the items, whose types match, can be in a set."""
        result = YES
        for index, part in enumerate(value):
            hashable = is_hashable(hint.item, part, lambda branch, part: self.check(branch, part, ()).accepted)
            if hashable is False:
                return _no(hint, part, (*path, index), MismatchKind.UNHASHABLE)
            result = UNKNOWN if hashable is None else result
        return result

    def _check_non_list(self, hint: Items, value: Any, path: Path) -> TypeCheck:
        """Check a value that is not a list. A string is a `Sequence[str]`, and a mapping an `Iterable[str]`."""
        if hint.name not in LOOSE or not self._accepts_strings(hint.item):
            return _no(hint, value, path)
        is_string = isinstance(value, str) and not value.lstrip().startswith(("[", "("))
        is_mapping = isinstance(value, Mapping) and hint.name in ("Iterable", "Collection", "Reversible")
        return UNKNOWN if is_string or is_mapping else _no(hint, value, path)

    def _accepts_strings(self, item: Hint) -> bool:
        return any(
            isinstance(branch, Anything | Unknown | Choice | Members) or branch == Scalar("str")
            for branch in branches_of(item)
        )

    def _pairs(self, hint: Table, value: Mapping[Any, Any], path: Path) -> Iterable[TypeCheck]:
        for key, item in value.items():
            if not self.check(hint.key, key, path).mismatches:
                yield self.check(hint.value, item, (*path, key))
            else:
                yield _no(hint.key, key, (*path, key), MismatchKind.KEY)

    def _record(self, hint: Record, value: Mapping[Any, Any], path: Path) -> Iterable[TypeCheck]:
        fields = {field.name: field for field in hint.fields}
        for name, field in fields.items():
            if name in value:
                is_null = field.nullable and value[name] is None
                yield YES if is_null else self.check(field.hint, value[name], (*path, name))
            elif field.required:
                yield _no(hint, value, path, MismatchKind.MISSING_FIELD, name)
        for name in value:
            if name not in fields:
                yield UNKNOWN if hint.open else _no(hint, value, (*path, name), MismatchKind.UNKNOWN_FIELD, str(name))


def _no(hint: Hint, value: Any, path: Path, kind: MismatchKind = MismatchKind.TYPE, field: str = "") -> TypeCheck:
    return TypeCheck(False, (TypeMismatch(path=path, hint=hint, value=value, kind=kind, field=field),))


def _all(results: Iterable[TypeCheck]) -> TypeCheck:
    """Combine the results for the parts of a value, with the first mismatches."""
    mismatches: list[TypeMismatch] = []
    has_unknown = False
    for result in results:
        mismatches.extend(result.mismatches)
        has_unknown = has_unknown or result.accepted is None
        if len(mismatches) >= MAX_MISMATCHES:
            break
    if mismatches:
        return TypeCheck(False, tuple(mismatches[:MAX_MISMATCHES]))
    return UNKNOWN if has_unknown else YES


def _check_choice(hint: Choice, value: Any, path: Path) -> TypeCheck:
    """Accept an equal value of the same type."""
    if any(choice == value and type(choice) is type(value) for choice in hint.values):
        return YES
    return _no(hint, value, path) if hint.complete else UNKNOWN


def _check_member(hint: Members, value: Any, path: Path) -> TypeCheck:
    """Accept the name or the value of a member; for a `Flag`, also a combination of members."""
    if isinstance(value, str) and any(name == value for name, _ in hint.members):
        return YES
    if hint.bits is not None and isinstance(value, int | float):
        return _check_flag(hint, hint.bits, value, path)
    if any(member_value == value for _, member_value in hint.members):
        return YES
    return _no(hint, value, path) if hint.complete else UNKNOWN


def _check_flag(hint: Members, bits: int, value: int | float, path: Path) -> TypeCheck:
    """Check a number for a `Flag`.

    The result is unknown for 3.0, because it depends on the values that the enumeration was called with before, and for
    -1, because it depends on the version of Python.
    """
    if value < 0 or (isinstance(value, float) and value.is_integer()):
        return UNKNOWN
    if isinstance(value, int) and not value & ~bits:
        return YES
    return _no(hint, value, path) if hint.complete else UNKNOWN
