"""Type hints as values that describe the accepted JSON values.

A hint is a finite tree: a class that refers to itself ends in `Unknown`. Created by `hint_resolution` and `classes`,
read by `type_check` and `messages`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """A hint that can't be resolved from the file alone; its values are not checked."""

    text: str = "…"


@dataclass(frozen=True, slots=True)
class Anything:
    """The hints `Any` and `object`."""


@dataclass(frozen=True, slots=True)
class Null:
    """The hint `None`."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """A type whose values are written as a single string, number or boolean; see `scalar_checks` for the names."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """A collection of items of one type: `list`, `set`, `Sequence`, `tuple[int, ...]`."""

    name: str
    item: "Hint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A tuple of fixed length, with one hint per item."""

    items: tuple["Hint", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A mapping, whose keys are strings in JSON."""

    name: str
    key: "Hint"
    value: "Hint"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A `Literal`. `complete` is False if some of its values can't be read from the file."""

    values: tuple[Any, ...]
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """An `Enum` of the file: the names and values of its members.

    `complete` is False if some value can't be read from the file. `bits` are the bits of the members if it is a `Flag`,
    otherwise None.
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
    """A dataclass or `TypedDict` of the file. An `open` record also accepts unknown keys."""

    name: str
    fields: tuple["Parameter", ...]
    open: bool


Hint = Unknown | Anything | Null | Scalar | Items | Row | Table | Choice | Members | AnyOf | Record


class Kind(Enum):
    """The kind of a Python parameter. The controller passes all parameters by name."""

    ORDINARY = "ordinary"
    POSITIONAL_ONLY = "positional only"
    REST = "all other names"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A parameter of a flow, or a field of a record.

    `nullable`: null is accepted whatever the hint is. `default` is the source of a flow parameter's default value, for
    display; None if there is no default, or a long one.
    """

    name: str
    hint: Hint
    required: bool
    nullable: bool = False
    kind: Kind = Kind.ORDINARY
    default: str | None = None


def spell(hint: Hint) -> str:
    """Return the hint as it is written in Python, with aliases expanded."""
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
    """Yield the branches of a union and of the unions in it; for any other hint, the hint itself."""
    if isinstance(hint, AnyOf):
        for branch in hint.branches:
            yield from branches_of(branch)
    else:
        yield hint
