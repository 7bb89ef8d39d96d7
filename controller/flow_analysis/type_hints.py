"""Type hints as values: what a hint demands of a JSON value.

A hint is a tree of finite depth and size: classes that mention themselves end in `Unknown`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A hint that can't be understood from the file alone: nothing is said about its values."""

    text: str = "…"


@dataclass(frozen=True, slots=True)
class Anything:
    """`Any` and `object`."""


@dataclass(frozen=True, slots=True)
class Null:
    """`None`."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A type whose values are written as one text, number or boolean; `name` is a key of `scalars.RULES`."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A collection of like values: `list`, `set`, `Sequence`, `tuple[int, ...]`."""

    name: str
    item: "Hint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A tuple with one hint per place."""

    items: tuple["Hint", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A mapping; its keys arrive as texts."""

    name: str
    key: "Hint"
    value: "Hint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`Literal`; not `complete` when some of its values can't be read from the file."""

    values: tuple[Any, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """An `Enum` of the file: its names and values; not `complete` when some value can't be read from the file.

    `bits`: it is a `Flag`, and these are the bits of its members.
    """

    name: str
    members: tuple[tuple[str, Any], ...]
    complete: bool = True
    bits: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """A union."""

    branches: tuple["Hint", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A dataclass or `TypedDict` of the file; `open` ones have nothing against keys they don't know."""

    name: str
    fields: tuple["Parameter", ...]
    open: bool


Hint = Unknown | Anything | Null | Scalar | Items | Row | Table | Choice | Members | AnyOf | Record


class Kind(Enum):
    """How a parameter is given in Python. A controller gives all of them by name."""

    ORDINARY = "ordinary"
    POSITIONAL_ONLY = "positional only"
    REST = "all other names"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of a flow, or a field of a record; `nullable` when null is fine whatever the hint says.

    `default` is how Python spells the default of a flow's parameter, for people; None if there is none, or a long one.
    """

    name: str
    hint: Hint
    required: bool
    nullable: bool = False
    kind: Kind = Kind.ORDINARY
    default: str | None = None


def spell(hint: Hint) -> str:
    """The hint as Python spells it, with aliases written out."""
    match hint:
        case Unknown(text=text):
            return text
        case Anything():
            return "Any"
        case Null():
            return "None"
        case Choice(values=values, complete=complete):
            return f"Literal[{', '.join([*(repr(value) for value in values), *([] if complete else ['…'])])}]"
        case AnyOf(branches=branches):
            return " | ".join(spell(branch) for branch in branches)
        case Scalar(name=name) | Members(name=name) | Record(name=name):
            return name
        case Items() | Row() | Table():
            return _generic(hint)


def _generic(hint: Items | Row | Table) -> str:
    if isinstance(hint, Items):
        inside = spell(hint.item)
        if hint.name == "tuple":
            return f"tuple[{inside}, ...]"
        return hint.name if isinstance(hint.item, Anything) else f"{hint.name}[{inside}]"
    if isinstance(hint, Row):
        return f"tuple[{', '.join(spell(item) for item in hint.items) or '()'}]"
    if isinstance(hint.key, Anything) and isinstance(hint.value, Anything):
        return hint.name
    return f"{hint.name}[{spell(hint.key)}, {spell(hint.value)}]"


def branches_of(hint: Hint) -> Iterator[Hint]:
    """The members of a union and of the unions in it; any other hint alone."""
    if isinstance(hint, AnyOf):
        for branch in hint.branches:
            yield from branches_of(branch)
    else:
        yield hint
