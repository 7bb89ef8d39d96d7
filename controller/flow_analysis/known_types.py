"""The types that hints are resolved to, by dotted name. `hint_resolution` and `classes` look them up.

Values of any other type are not checked.
"""

import dataclasses
import datetime
import decimal
import enum
import pathlib
import typing
import uuid
from typing import Any

from controller.records import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A field of a dataclass, or a key of a typed dictionary, as `classes` builds them.

    `default` is the source of the default value, None if there is none, or a long one.
    """

    name: str
    hint: Any
    required: bool
    default: str | None


SOURCE = "source"
"""The key of a field's metadata under which `classes` keeps the source of its default."""


def members_of(hint: Any) -> tuple[Member, ...]:
    """Return the members of a dataclass or typed dictionary; empty for any other hint."""
    if typing.is_typeddict(hint):
        keys = hint.__annotations__.items()
        return tuple(
            Member(name=name, hint=typing.get_args(kind)[0], required=name in hint.__required_keys__, default=None)
            for name, kind in keys
        )
    if not isinstance(hint, type) or not dataclasses.is_dataclass(hint):
        return ()
    return tuple(
        Member(
            name=field.name,
            hint=field.type,
            required=field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
            default=field.metadata.get(SOURCE),
        )
        for field in dataclasses.fields(hint)
    )
