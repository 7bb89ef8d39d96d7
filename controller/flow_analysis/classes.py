"""Type hints that are classes of the same file: enumerations, dataclasses and typed dictionaries.

Called by `hint_resolution`. The class of the file is not executed: a new class is built from the names, the type hints
and the constants in its body. A class with a base, decorator or method that may change the values that it accepts is
`Unknown`.
"""

import ast
import dataclasses
import enum
import types
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from controller.flow_analysis.bindings import Class, Namespace
from controller.flow_analysis.constants import constant, is_constant, may_be_null, source_of
from controller.flow_analysis.known_types import SOURCE, Unknown
from controller.flow_analysis.syntax_tree import read_expression

MAX_MEMBERS = 1000
"""The number of members or fields of a class."""
_MAX_ANCESTORS = 4
_MAX_BASES = 3

_ENUMS: dict[str | None, type] = {
    f"enum.{kind.__name__}": kind for kind in (enum.Enum, enum.IntEnum, enum.StrEnum, enum.Flag, enum.IntFlag)
}
_ENUM_BASES: dict[str | None, type] = {**_ENUMS, "builtins.str": str, "builtins.int": int}
_MEMBER_MAKERS = frozenset(("_missing_", "__new__", "__init__", "_generate_next_value_", "__eq__"))
_INSTANCE_MAKERS = frozenset(("__init__", "__new__", "__get_validators__", "__get_pydantic_core_schema__"))
_INVALID_ENUM = (ArithmeticError, AttributeError, RuntimeError, TypeError, ValueError)
"""The exceptions that an enumeration with invalid members raises when it is defined."""
_NO_FIELDS = frozenset(("typing.ClassVar", "dataclasses.KW_ONLY"))


class Resolver(Protocol):
    """The part of `hint_resolution` that resolves the hints inside a class."""

    @property
    def names(self) -> Namespace:
        """The file's top level."""

    def hint(self, expression: ast.expr) -> Any:
        """Resolve one type hint."""


class Field(NamedTuple):
    """A field in the body of a class: `name: annotation = default`."""

    name: str
    annotation: ast.expr
    default: ast.expr | None


def class_hint(definition: Class, resolver: Resolver) -> Any:
    """Return a class that accepts the same values; `Unknown` if they can't be read."""
    hint = None
    bases = [resolver.names.path_of(base) for base in definition.bases]
    if any(base in _ENUMS for base in bases):
        hint = _enumeration(definition, resolver.names, bases)
    elif _is_typed_dict(definition, resolver.names):
        make: Any = typing.TypedDict
        hint = make(definition.name, dict(_keys(definition, resolver)))
    elif _is_dataclass(definition, resolver.names):
        hint = _dataclass(definition.name, _fields(definition, resolver))
    return hint or Unknown(definition.name)


def _enumeration(definition: Class, names: Namespace, bases: list[str | None]) -> type | None:
    """Return an enumeration with the same members; None if some of them can't be read."""
    is_special = definition.decorators or definition.keywords or definition.methods & _MEMBER_MAKERS
    if is_special or len(definition.body) > MAX_MEMBERS or not all(base in _ENUM_BASES for base in bases):
        return None
    kinds = tuple(_ENUM_BASES[base] for base in bases)
    members = [_member(statement, names, kinds) for statement in definition.body if not _is_idle(statement)]
    if None in members:
        return None
    try:
        return types.new_class(definition.name, kinds, exec_body=lambda body: body.update(filter(None, members)))
    except _INVALID_ENUM:
        return None


def _member(statement: ast.stmt, names: Namespace, kinds: tuple[type, ...]) -> tuple[str, Any] | None:
    """Return the name and the value of a member; None if the value is unknown, or if this may be something else."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=func, args=[], keywords=[])):
            has_auto = names.path_of(func) == "enum.auto" and issubclass(kinds[-1], enum.StrEnum | enum.Flag)
            return (name, enum.auto()) if has_auto else None
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if not name.startswith("__"):
            is_known, read = constant(value)
            return (name, read) if is_known else None
    return None


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


def _keys(definition: Class, resolver: Resolver) -> Iterator[tuple[str, Any]]:
    for base in definition.bases:
        parent = _parent(base, resolver.names)
        if parent is not None:
            yield from _keys(parent, resolver)
    totals = [keyword.value for keyword in definition.keywords if keyword.arg == "total"]
    total = all(is_constant(value, True) for value in totals)
    for field in _annotated_fields(definition):
        wrapper = _wrapper(field.annotation, resolver.names)
        is_required = wrapper == "typing.Required" or (total and wrapper is None)
        hint = _hint(field, definition, resolver)
        yield field.name, typing.Required[hint] if is_required else typing.NotRequired[hint]


def _is_dataclass(definition: Class, names: Namespace, depth: int = _MAX_ANCESTORS) -> bool:
    """Return whether `dataclass` is the only decorator, and every base is such a dataclass of the same file."""
    is_special = len(definition.decorators) != 1 or definition.keywords or definition.methods & _INSTANCE_MAKERS
    if is_special or not _has_plain_body(definition) or depth <= 0:
        return False
    path, options = _call(definition.decorators[0], names)
    if path != "dataclasses.dataclass" or options.keys() & {"init", None}:
        return False
    if not all(_has_readable_init(field, names) for field in _annotated_fields(definition)):
        return False
    parents = [_parent(base, names) for base in definition.bases]
    return all(parent is not None and _is_dataclass(parent, names, depth - 1) for parent in parents)


def _has_readable_init(field: Field, names: Namespace) -> bool:
    """Return whether the file shows if the field is an argument of `__init__`: `init` is absent, True or False."""
    init = _call(field.default, names)[1].get("init") if field.default else None
    return init is None or is_constant(init, True) or is_constant(init, False)


def _dataclass(name: str, fields: dict[str, tuple[str, Any, Any]]) -> type | None:
    """Return a dataclass with these fields whose instances are hashable; None if a field has a special meaning."""
    if len(fields) > MAX_MEMBERS or any(field.startswith("__") for field in fields):
        return None
    no_text = {"__doc__": name}  # otherwise `dataclass` generates one
    return dataclasses.make_dataclass(name, fields.values(), namespace=no_text, eq=False, repr=False, kw_only=True)


def _fields(definition: Class, resolver: Resolver) -> dict[str, tuple[str, Any, Any]]:
    """Return the arguments of `__init__` by name, as `make_dataclass` takes them."""
    fields: dict[str, tuple[str, Any, Any]] = {}
    for base in reversed(definition.bases):
        parent = _parent(base, resolver.names)
        if parent is not None:
            fields.update(_fields(parent, resolver))
    for field in _annotated_fields(definition):
        if {_wrapper(field.annotation, resolver.names), resolver.names.path_of(field.annotation)} & _NO_FIELDS:
            continue
        fields[field.name] = (field.name, _hint(field, definition, resolver), _default(field, resolver.names))
        if field.default and is_constant(_call(field.default, resolver.names)[1].get("init"), False):
            del fields[field.name]
    return fields


def _default(field: Field, names: Namespace) -> Any:
    """Return an option of the field: required, or with a default that may be None, or with another one."""
    path, options = _call(field.default, names) if field.default else (None, {})
    is_required = path == "dataclasses.field" and not options.keys() & {"default", "default_factory", None}
    if field.default is None or is_required:
        return dataclasses.field()
    factory = source_of(options.get("default_factory"))
    source = {SOURCE: f"{factory}()" if factory else source_of(options.get("default", field.default))}
    if may_be_null(field.default):
        return dataclasses.field(default=None, metadata=source)
    return dataclasses.field(default_factory=object, metadata=source)


def _call(expression: ast.expr, names: Namespace) -> tuple[str | None, dict[str | None, ast.expr]]:
    """Return the dotted name of the called function and the keyword arguments; for a bare name, no arguments."""
    if isinstance(expression, ast.Call):
        return names.path_of(expression.func), {keyword.arg: keyword.value for keyword in expression.keywords}
    return names.path_of(expression), {}


def _annotated_fields(definition: Class) -> Iterator[Field]:
    for statement in definition.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Constant(value=str() as text), value=value):
                yield Field(name, read_expression(text) or statement.annotation, value)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation, value=value):
                yield Field(name, annotation, value)


def _hint(field: Field, definition: Class, resolver: Resolver) -> Any:
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
