"""Type hints that are classes of the same file: enumerations, dataclasses and typed dictionaries.

It must not guess: a class with a base, a decorator or a method that may change what it accepts is `Unknown`.
"""

import ast
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from controller.flow_analysis.bindings import Class, Namespace
from controller.flow_analysis.constants import constant, is_constant, may_be_null
from controller.flow_analysis.syntax_tree import read_expression
from controller.flow_analysis.type_hints import Hint, Members, Parameter, Record, Unknown

MAX_MEMBERS = 1000
_MAX_ANCESTORS = 4
_MAX_BASES = 3

_FLAGS = frozenset(("enum.Flag", "enum.IntFlag"))
_ENUMS = frozenset(("enum.Enum", "enum.IntEnum", "enum.StrEnum")) | _FLAGS
_MIXINS: dict[str | None, type] = {
    **dict.fromkeys(("builtins.str", "enum.StrEnum"), str),
    **dict.fromkeys(("builtins.int", "enum.IntEnum", "enum.Flag", "enum.IntFlag"), int),
}
"""What makes a text or a whole number of each value."""
_MEMBER_MAKERS = frozenset(("_missing_", "__new__", "__init__", "_generate_next_value_", "__eq__"))
_INSTANCE_MAKERS = frozenset(("__init__", "__new__", "__get_validators__", "__get_pydantic_core_schema__"))
_NO_FIELDS = frozenset(("typing.ClassVar", "dataclasses.KW_ONLY"))


class Resolver(Protocol):
    """What is needed to resolve the hints inside a class."""

    @property
    def names(self) -> Namespace:
        """The file's top level."""

    def hint(self, expression: ast.expr) -> Hint:
        """The meaning of one hint."""


class Field(NamedTuple):
    """`name: annotation = default` in the body of a class."""

    name: str
    annotation: ast.expr
    default: ast.expr | None


def class_hint(found: Class, resolver: Resolver) -> Hint:
    """The hint for values of a class."""
    bases = [resolver.names.path_of(base) for base in found.bases]
    if any(base in _ENUMS for base in bases):
        return _enumeration(found, resolver.names, bases)
    if _is_typed_dict(found, resolver.names):
        fields = {field.name: field for field in _keys(found, resolver)}
        return Record(name=found.name, fields=tuple(fields.values()), open=True)
    if _is_dataclass(found, resolver.names):
        return Record(name=found.name, fields=tuple(_fields(found, resolver).values()), open=False)
    return Unknown(text=found.name)


def _enumeration(found: Class, names: Namespace, bases: list[str | None]) -> Hint:
    odd = found.decorators or found.keywords or len(found.body) > MAX_MEMBERS
    if odd or not all(base in _ENUMS or base in _MIXINS for base in bases):
        return Unknown(text=found.name)
    body = [statement for statement in found.body if not _is_idle(statement)]
    members: list[_Member] = []
    for statement in body:
        members.extend(_member(statement, names, bases, members))
    plain = len(members) == len(body) and not found.methods & _MEMBER_MAKERS
    return Members(
        name=found.name,
        members=tuple((member.name, member.value) for member in members),
        complete=plain and all(member.known for member in members),
        bits=_bits(members, bases) if _FLAGS.intersection(bases) else None,
    )


class _Member(NamedTuple):
    """An unknown value is represented by the name, which is accepted anyway."""

    name: str
    known: bool
    value: Any


def _member(statement: ast.stmt, names: Namespace, bases: list[str | None], before: list[_Member]) -> Iterator[_Member]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if not name.startswith("__"):
            known, read = constant(value)
            if isinstance(value, ast.Call) and names.path_of(value.func) == "enum.auto" and not value.args:
                known, read = _automatic(name, bases, before)
            known = known and all(isinstance(read, _MIXINS.get(base, object)) for base in bases)
            yield _Member(name, known, read if known else name)


def _automatic(name: str, bases: list[str | None], before: list[_Member]) -> tuple[bool, Any]:
    """Whether it is known what `auto()` makes here, and what."""
    if "enum.StrEnum" in bases:
        return True, name.lower()
    if _FLAGS.intersection(bases) and all(member.known for member in before):
        return True, 1 << max((member.value for member in before), default=0).bit_length()
    return False, None


def _bits(members: list[_Member], bases: list[str | None]) -> int:
    bits = -1 if "enum.IntFlag" in bases else 0  # that one takes any
    for member in members:
        bits |= member.value if member.known else 0
    return bits


def _is_idle(statement: ast.stmt) -> bool:
    """`pass`, `…` and docstrings."""
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _is_straight(found: Class) -> bool:
    """Whether nothing in the body is conditional, and not too much is inherited."""
    plain = ast.Assign | ast.AnnAssign | ast.ClassDef
    return len(found.bases) <= _MAX_BASES and all(isinstance(item, plain) or _is_idle(item) for item in found.body)


def _parent(base: ast.expr, names: Namespace) -> Class | None:
    binding = names.steady(base.id) if isinstance(base, ast.Name) else None
    return binding if isinstance(binding, Class) else None


def _is_typed_dict(found: Class, names: Namespace, left: int = _MAX_ANCESTORS) -> bool:
    """Whether all its bases are `TypedDict`, or classes of the file that are."""
    if found.decorators or not found.bases or not _is_straight(found) or left <= 0:
        return False
    for base in found.bases:
        parent = _parent(base, names)
        if names.path_of(base) != "typing.TypedDict" and not (parent and _is_typed_dict(parent, names, left - 1)):
            return False
    return True


def _keys(found: Class, resolver: Resolver) -> Iterator[Parameter]:
    for base in found.bases:
        parent = _parent(base, resolver.names)
        if parent is not None:
            yield from _keys(parent, resolver)
    totals = [keyword.value for keyword in found.keywords if keyword.arg == "total"]
    total = all(is_constant(value, True) for value in totals)
    for field in _annotated(found):
        said = _wrapper(field.annotation, resolver.names)
        required = said == "typing.Required" or (total and said is None)
        yield Parameter(name=field.name, hint=_hint(field, found, resolver), required=required)


def _is_dataclass(found: Class, names: Namespace, left: int = _MAX_ANCESTORS) -> bool:
    """Whether it is made by `dataclass` alone, and all its bases are classes of the file that are."""
    odd = len(found.decorators) != 1 or found.keywords or found.methods & _INSTANCE_MAKERS
    if odd or not _is_straight(found) or left <= 0:
        return False
    path, options = _call(found.decorators[0], names)
    if path != "dataclasses.dataclass" or options.keys() & {"init", None}:
        return False
    if not all(_is_init_said(field, names) for field in _annotated(found)):
        return False
    parents = [_parent(base, names) for base in found.bases]
    return all(parent is not None and _is_dataclass(parent, names, left - 1) for parent in parents)


def _is_init_said(field: Field, names: Namespace) -> bool:
    """Whether it can be read whether this field is one of those that are given."""
    said = _call(field.default, names)[1].get("init") if field.default else None
    return said is None or is_constant(said, True) or is_constant(said, False)


def _fields(found: Class, resolver: Resolver) -> dict[str, Parameter]:
    fields: dict[str, Parameter] = {}
    for base in reversed(found.bases):
        parent = _parent(base, resolver.names)
        if parent is not None:
            fields.update(_fields(parent, resolver))
    for field in _annotated(found):
        if {_wrapper(field.annotation, resolver.names), resolver.names.path_of(field.annotation)} & _NO_FIELDS:
            continue
        fields[field.name] = Parameter(
            name=field.name,
            hint=_hint(field, found, resolver),
            required=_is_required(field, resolver.names),
            nullable=may_be_null(field.default),
        )
        if field.default and is_constant(_call(field.default, resolver.names)[1].get("init"), False):
            del fields[field.name]
    return fields


def _is_required(field: Field, names: Namespace) -> bool:
    if field.default is None:
        return True
    path, options = _call(field.default, names)
    return path == "dataclasses.field" and not options.keys() & {"default", "default_factory", None}


def _call(expression: ast.expr, names: Namespace) -> tuple[str | None, dict[str | None, ast.expr]]:
    """The dotted name of what is called, with the options; without a call the name alone."""
    if isinstance(expression, ast.Call):
        return names.path_of(expression.func), {keyword.arg: keyword.value for keyword in expression.keywords}
    return names.path_of(expression), {}


def _annotated(found: Class) -> Iterator[Field]:
    for statement in found.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Constant(value=str() as text), value=value):
                yield Field(name, read_expression(text) or statement.annotation, value)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                yield Field(name, annotation, value)


def _hint(field: Field, found: Class, resolver: Resolver) -> Hint:
    """The hint of a field; unknown where the class itself has something of a name that is in it."""
    bound = found.methods | {
        name
        for statement in found.body
        if not isinstance(statement, ast.AnnAssign) or statement.value is not None
        for name in _bound(statement)
    }
    mentioned = {part.id for part in ast.walk(field.annotation) if isinstance(part, ast.Name)}
    return Unknown() if mentioned & bound else resolver.hint(field.annotation)


def _bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.ClassDef):
        yield statement.name
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    yield from (target.id for target in targets if isinstance(target, ast.Name))


def _wrapper(annotation: ast.expr, names: Namespace) -> str | None:
    """`Required` of `Required[…]`, for the wrappers that matter here."""
    path = names.path_of(annotation.value) if isinstance(annotation, ast.Subscript) else None
    return path if path in ("typing.Required", "typing.NotRequired", "typing.ClassVar") else None
