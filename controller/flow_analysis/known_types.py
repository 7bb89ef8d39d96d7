"""The types that hints are resolved to, by dotted name. `hint_resolution` and `classes` look them up.

Values of any other type are not checked.
"""

import datetime
import decimal
import enum
import pathlib
import typing
import uuid
from dataclasses import dataclass
from typing import Any

from controller.sdk.scalar_types import rule_name
from controller.sdk.value_conversion import ITEMS, MAPPINGS


@dataclass(frozen=True, slots=True)
class Unknown:
    """A hint that can't be resolved from the file alone: its values are not checked."""

    text: str = "…"

    def __str__(self) -> str:
        return self.text


_SCALARS = (
    *(int, float, str, bool, bytes, datetime.date, datetime.datetime, datetime.time, datetime.timedelta),
    *(decimal.Decimal, uuid.UUID, pathlib.Path, pathlib.PurePath, pathlib.PosixPath, pathlib.PurePosixPath),
)
_GENERIC = (
    *("List", "Tuple", "Set", "FrozenSet", "Dict", "Deque", "OrderedDict", "DefaultDict", "AbstractSet", "MutableSet"),
    *("Sequence", "MutableSequence", "Iterable", "Collection", "Reversible", "Mapping", "MutableMapping"),
)
TYPES: dict[str | None, Any] = {
    **{rule_name(kind): kind for kind in (*_SCALARS, *ITEMS, *MAPPINGS, object)},
    **{f"typing.{name}": getattr(typing, name).__origin__ for name in _GENERIC},
    "typing.Any": Any,
    "typing.Text": str,
    "typing.LiteralString": str,
    "types.NoneType": type(None),
}

WRAPPERS = frozenset(
    (
        *("typing.Final", "typing.Required", "typing.NotRequired", "typing.ReadOnly", "typing.ClassVar"),
        "dataclasses.InitVar",
    )
)
"""Wrappers that do not change the accepted values."""

HARMLESS = frozenset(("Doc", "Field", "Gt", "Ge", "Lt", "Le", "Interval", "Len", "MinLen", "MaxLen", "MultipleOf"))
"""Calls in `Annotated` that restrict the accepted values; any other, such as `BeforeValidator`, may extend them."""


def branches_of(hint: Any) -> tuple[Any, ...]:
    """Return the branches of a union; for any other hint, the hint itself."""
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Union else (hint,)


def choices_of(hint: Any) -> tuple[Any, ...]:
    """Return the values of a `Literal` or an enumeration; empty for any other hint."""
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    members: Any = hint if isinstance(hint, enum.EnumMeta) else ()
    return tuple(member.value for member in members)
