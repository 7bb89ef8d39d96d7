"""Type hints that are classes of the same file: enumerations, dataclasses and typed dictionaries.

Called by `hint_resolution`. A class with a base, decorator or method that may change the values that it accepts is
`Unknown`.
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
"""Bases that convert every value to a string or a whole number."""
_MEMBER_MAKERS = frozenset(("_missing_", "__new__", "__init__", "_generate_next_value_", "__eq__"))
_INSTANCE_MAKERS = frozenset(("__init__", "__new__", "__get_validators__", "__get_pydantic_core_schema__"))
_NO_FIELDS = frozenset(("typing.ClassVar", "dataclasses.KW_ONLY"))


class Resolver(Protocol):
    """The part of `hint_resolution` that resolves the hints inside a class."""

    @property
    def names(self) -> Namespace:
        """The file's top level."""

    def hint(self, expression: ast.expr) -> Hint:
        """Resolve one type hint."""


class Field(NamedTuple):
    """A field in the body of a class: `name: annotation = default`."""

    name: str
    annotation: ast.expr
    default: ast.expr | None


def class_hint(definition: Class, resolver: Resolver) -> Hint:
    """Return the hint for the values that are converted to this class; `Unknown` if that can't be read."""
    bases = [resolver.names.path_of(base) for base in definition.bases]
    if any(base in _ENUMS for base in bases):
        return _enumeration(definition, resolver.names, bases)
    if _is_typed_dict(definition, resolver.names):
        fields = {field.name: field for field in _keys(definition, resolver)}
        return Record(name=definition.name, fields=tuple(fields.values()), open=True)
    if _is_dataclass(definition, resolver.names):
        return Record(name=definition.name, fields=tuple(_fields(definition, resolver).values()), open=False)
    return Unknown(text=definition.name)


def _enumeration(definition: Class, names: Namespace, bases: list[str | None]) -> Hint:
    is_special = definition.decorators or definition.keywords or len(definition.body) > MAX_MEMBERS
    if is_special or not all(base in _ENUMS or base in _MIXINS for base in bases):
        return Unknown(text=definition.name)
    body = [statement for statement in definition.body if not _is_idle(statement)]
    members: list[_Member] = []
    for statement in body:
        members.extend(_member(statement, names, bases, members))
    is_plain = len(members) == len(body) and not definition.methods & _MEMBER_MAKERS
    return Members(
        name=definition.name,
        members=tuple((member.name, member.value) for member in members),
        complete=is_plain and all(member.is_known for member in members),
        bits=_bits(members, bases) if _FLAGS.intersection(bases) else None,
    )


class _Member(NamedTuple):
    """A member of an enumeration. If its value is unknown, `value` is the name, which is accepted anyway."""

    name: str
    is_known: bool
    value: Any


def _member(statement: ast.stmt, names: Namespace, bases: list[str | None], before: list[_Member]) -> Iterator[_Member]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if not name.startswith("__"):
            is_known, read = constant(value)
            if isinstance(value, ast.Call) and names.path_of(value.func) == "enum.auto" and not value.args:
                is_known, read = _auto_value(name, bases, before)
            is_known = is_known and all(isinstance(read, _MIXINS.get(base, object)) for base in bases)
            yield _Member(name, is_known, read if is_known else name)


def _auto_value(name: str, bases: list[str | None], before: list[_Member]) -> tuple[bool, Any]:
    """Return whether the value of `auto()` is known here, and the value."""
    if "enum.StrEnum" in bases:
        return True, name.lower()
    if _FLAGS.intersection(bases) and all(member.is_known for member in before):
        return True, 1 << max((member.value for member in before), default=0).bit_length()
    return False, None


def _bits(members: list[_Member], bases: list[str | None]) -> int:
    bits = -1 if "enum.IntFlag" in bases else 0  # an IntFlag accepts any bits
    for member in members:
        bits |= member.value if member.is_known else 0
    return bits


def _is_idle(statement: ast.stmt) -> bool:
    """Return whether the statement has no effect: `pass`, `...` or a docstring."""
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _has_plain_body(definition: Class) -> bool:
    """Return whether the class has no conditional code in its body, and not too many bases."""
    plain = ast.Assign | ast.AnnAssign | ast.ClassDef
    return len(definition.bases) <= _MAX_BASES and all(
        isinstance(statement, plain) or _is_idle(statement) for statement in definition.body
    )


def _parent(base: ast.expr, names: Namespace) -> Class | None:
    binding = names.stable_binding(base.id) if isinstance(base, ast.Name) else None
    return binding if isinstance(binding, Class) else None


def _is_typed_dict(definition: Class, names: Namespace, depth: int = _MAX_ANCESTORS) -> bool:
    """Return whether every base is `TypedDict`, or a typed dictionary of the same file."""
    if definition.decorators or not definition.bases or not _has_plain_body(definition) or depth <= 0:
        return False
    for base in definition.bases:
        parent = _parent(base, names)
        if names.path_of(base) != "typing.TypedDict" and not (parent and _is_typed_dict(parent, names, depth - 1)):
            return False
    return True


def _keys(definition: Class, resolver: Resolver) -> Iterator[Parameter]:
    for base in definition.bases:
        parent = _parent(base, resolver.names)
        if parent is not None:
            yield from _keys(parent, resolver)
    totals = [keyword.value for keyword in definition.keywords if keyword.arg == "total"]
    total = all(is_constant(value, True) for value in totals)
    for field in _annotated(definition):
        wrapper = _wrapper(field.annotation, resolver.names)
        required = wrapper == "typing.Required" or (total and wrapper is None)
        yield Parameter(name=field.name, hint=_hint(field, definition, resolver), required=required)


def _is_dataclass(definition: Class, names: Namespace, depth: int = _MAX_ANCESTORS) -> bool:
    """Return whether `dataclass` is the only decorator, and every base is such a dataclass of the same file."""
    is_special = len(definition.decorators) != 1 or definition.keywords or definition.methods & _INSTANCE_MAKERS
    if is_special or not _has_plain_body(definition) or depth <= 0:
        return False
    path, options = _call(definition.decorators[0], names)
    if path != "dataclasses.dataclass" or options.keys() & {"init", None}:
        return False
    if not all(_has_readable_init(field, names) for field in _annotated(definition)):
        return False
    parents = [_parent(base, names) for base in definition.bases]
    return all(parent is not None and _is_dataclass(parent, names, depth - 1) for parent in parents)


def _has_readable_init(field: Field, names: Namespace) -> bool:
    """Return whether the file shows if the field is an argument of `__init__`: `init` is absent, True or False."""
    init = _call(field.default, names)[1].get("init") if field.default else None
    return init is None or is_constant(init, True) or is_constant(init, False)


def _fields(definition: Class, resolver: Resolver) -> dict[str, Parameter]:
    fields: dict[str, Parameter] = {}
    for base in reversed(definition.bases):
        parent = _parent(base, resolver.names)
        if parent is not None:
            fields.update(_fields(parent, resolver))
    for field in _annotated(definition):
        if {_wrapper(field.annotation, resolver.names), resolver.names.path_of(field.annotation)} & _NO_FIELDS:
            continue
        fields[field.name] = Parameter(
            name=field.name,
            hint=_hint(field, definition, resolver),
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
    """Return the dotted name of the called function and the keyword arguments; for a bare name, no arguments."""
    if isinstance(expression, ast.Call):
        return names.path_of(expression.func), {keyword.arg: keyword.value for keyword in expression.keywords}
    return names.path_of(expression), {}


def _annotated(definition: Class) -> Iterator[Field]:
    for statement in definition.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Constant(value=str() as text), value=value):
                yield Field(name, read_expression(text) or statement.annotation, value)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                yield Field(name, annotation, value)


def _hint(field: Field, definition: Class, resolver: Resolver) -> Hint:
    """Return the hint of a field; `Unknown` if it uses a name that the class itself binds."""
    bound = definition.methods | {
        name
        for statement in definition.body
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
    """Return the dotted name of the wrapper in `Required[…]`, `NotRequired[…]` and `ClassVar[…]`, otherwise None."""
    path = names.path_of(annotation.value) if isinstance(annotation, ast.Subscript) else None
    return path if path in ("typing.Required", "typing.NotRequired", "typing.ClassVar") else None
