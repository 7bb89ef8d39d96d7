"""Conversion of one value according to one type hint. Called by `argument_coercion` for each argument.

A hint that is not supported accepts every value unchanged. RefusedError has the reason, and the path inside the value.
"""

import collections
import collections.abc
import enum
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from controller.sdk.messages import describe, spell
from controller.sdk.pydantic_types import convert_with_pydantic, is_pydantic_hint, pydantic_validator
from controller.sdk.scalar_types import REFUSALS, RULES
from controller.sdk.value_errors import Path, RefusedError, refuse

Names = Mapping[str, Any]

_UNKNOWN = object()
_MAX_HOPS = 20
_WRAPPERS = ("Final", "Required", "NotRequired", "ReadOnly", "ClassVar")


def convert(hint: Any, value: Any, names: Names, path: Path = ()) -> Any:
    """Return the value converted to the type of the hint. Raises RefusedError.

    `names` are the global names of the function's module, for hints that are strings. `path` leads to the value.
    """
    hint = _evaluate(hint, names)
    if hint is _UNKNOWN or hint is Any or hint is object:
        return value
    if hint is None or hint is type(None):
        return value if value is None else refuse(hint, value, path)
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:  # for Pydantic: any other annotation has been removed
        return convert_with_pydantic(hint, value, path)
    if origin is typing.Union or origin is types.UnionType:
        return _union(hint, value, names, path)
    if origin is typing.Literal:
        return _literal(hint, value, path)
    if origin in (list, tuple, set, frozenset, collections.deque) or (origin or hint) in _ITEMS:
        return _items(hint, value, names, path)
    if (origin or hint) in _MAPPINGS:
        return _mapping(hint, value, names, path)
    return _class(hint, value, names, path) if origin is None and isinstance(hint, type) else value


def _evaluate(hint: Any, names: Names) -> Any:
    """Return the hint without quotes and without wrappers such as `Final` and `NewType`; _UNKNOWN if that fails."""
    for _ in range(_MAX_HOPS):
        if isinstance(hint, typing.ForwardRef):
            hint = hint.__forward_arg__
        if isinstance(hint, str):
            try:
                hint = eval(hint, dict(names))  # it is the user's own code, in the user's own process
            except Exception:  # noqa: BLE001
                return _UNKNOWN
        elif typing.get_origin(hint) is typing.Annotated:
            if is_pydantic_hint(hint):
                return _UNKNOWN if pydantic_validator(hint) is None else hint
            hint = typing.get_args(hint)[0]
        elif getattr(typing.get_origin(hint), "_name", None) in _WRAPPERS:
            hint = typing.get_args(hint)[0]
        elif hasattr(hint, "__supertype__"):
            hint = hint.__supertype__
        elif type(hint).__name__ == "InitVar":
            hint = hint.type
        else:
            return hint if getattr(hint, "_name", None) not in _WRAPPERS else _UNKNOWN
    return _UNKNOWN


def _union(hint: Any, value: Any, names: Names, path: Path) -> Any:
    """Convert to a union: prefer a branch that accepts the value unchanged, then one whose result equals the value."""
    results: list[Any] = []
    refused: list[RefusedError] = []
    for branch in typing.get_args(hint):
        try:
            converted = convert(branch, value, names, path)
        except RefusedError as error:
            refused.append(error)
            continue
        if converted is value:
            return value
        results.append(converted)
    if results:
        return next((result for result in results if result == value), results[0])
    deeper = [error for error in refused if error.path != path]
    if len(deeper) == 1:  # an error inside the value shows which branch was meant
        raise deeper[0]
    return refuse(hint, value, path)


def _literal(hint: Any, value: Any, path: Path) -> Any:
    choices: list[Any] = []
    for choice in typing.get_args(hint):
        choices += typing.get_args(choice) if typing.get_origin(choice) is typing.Literal else [choice]
    if any(choice == value and type(choice) is type(value) for choice in choices):
        return value
    return refuse(hint, value, path)


_ABC = collections.abc
_ITEMS: dict[Any, Callable[..., Any]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.deque: collections.deque,
    **dict.fromkeys((_ABC.Set, _ABC.MutableSet), set),
    **dict.fromkeys((_ABC.Sequence, _ABC.MutableSequence, _ABC.Iterable, _ABC.Collection, _ABC.Reversible), list),
}
_LOOSE = (_ABC.Sequence, _ABC.Iterable, _ABC.Collection, _ABC.Reversible)
_SETS = (set, frozenset, _ABC.Set, _ABC.MutableSet)
_MAPPINGS: dict[Any, Callable[..., Any]] = {
    dict: dict,
    collections.OrderedDict: collections.OrderedDict,
    collections.defaultdict: lambda pairs: collections.defaultdict(None, pairs),
    _ABC.Mapping: dict,
    _ABC.MutableMapping: dict,
}


def _items(hint: Any, value: Any, names: Names, path: Path) -> Any:
    kind = typing.get_origin(hint) or hint
    args = typing.get_args(hint)
    if isinstance(value, str | bytes):
        is_string = kind in _LOOSE and isinstance(value, str) and not value.lstrip().startswith(("[", "("))
        return value if is_string and _accepts_strings(args, names) else refuse(hint, value, path)
    if not isinstance(value, list | tuple):
        fits = isinstance(value, kind) and not (isinstance(value, Mapping) and not _accepts_strings(args, names))
        return value if fits else refuse(hint, value, path)
    if kind is tuple and (args or isinstance(hint, types.GenericAlias)) and args[-1:] != (...,):
        if len(args) != len(value):
            raise RefusedError(path, f"expected {spell(hint)}, got a list of length {len(value)}")
        item_hints = list(args)
    else:
        item_hints = [args[0] if args else Any] * len(value)
    pairs = enumerate(zip(item_hints, value, strict=True))
    items = [convert(item_hint, item, names, (*path, index)) for index, (item_hint, item) in pairs]
    if isinstance(value, kind) and all(new is old for new, old in zip(items, value, strict=True)):
        return value
    if kind in _SETS:
        _check_hashable(kind, items, path)
    return (tuple if isinstance(value, tuple) and kind in _LOOSE else _ITEMS[kind])(items)


def _check_hashable(kind: Any, items: list[Any], path: Path) -> None:
    """Raise RefusedError for the first item that a set cannot contain, such as a list or a mapping."""
    for index, item in enumerate(items):
        try:
            hash(item)
        except TypeError:
            raise RefusedError((*path, index), f"a {kind.__name__} can't contain {describe(item)}") from None


def _accepts_strings(args: tuple[Any, ...], names: Names) -> bool:
    """Return whether one of these item hints may accept a character: then a string is a valid `Sequence` of them."""
    for arg in args or (Any,):
        hint = _evaluate(arg, names)
        origin = typing.get_origin(hint) or hint
        if origin is typing.Union or origin is types.UnionType:
            if _accepts_strings(typing.get_args(hint), names):
                return True
        elif hint is str or not _excludes_strings(origin):
            return True
    return False


def _excludes_strings(kind: Any) -> bool:
    """Return whether arbitrary strings are not values of this type."""
    if kind in (None, type(None)) or kind in _ITEMS or kind in _MAPPINGS:
        return True
    return isinstance(kind, type) and (
        f"{kind.__module__}.{kind.__qualname__}" in RULES
        or "__dataclass_fields__" in vars(kind)
        or typing.is_typeddict(kind)
    )


def _mapping(hint: Any, value: Any, names: Names, path: Path) -> Any:
    kind = typing.get_origin(hint) or hint
    if not isinstance(value, Mapping):
        return refuse(hint, value, path)
    key_hint, value_hint = typing.get_args(hint) or (Any, Any)
    items = {}
    for key, item in value.items():
        try:
            new_key = convert(key_hint, key, names, path)
        except RefusedError as error:
            raise RefusedError((*path, str(key)), f"invalid key: {error}") from None
        items[new_key] = convert(value_hint, item, names, (*path, str(key)))
    is_same = isinstance(value, kind) and all(items.get(key, _UNKNOWN) is item for key, item in value.items())
    return value if is_same else _MAPPINGS[kind](items)


def _class(hint: type, value: Any, names: Names, path: Path) -> Any:
    if typing.is_typeddict(hint):
        return _typed_dict(hint, value, names, path)
    if isinstance(value, hint) and not (isinstance(value, bool) and hint is int):
        return value
    if isinstance(hint, enum.EnumMeta):
        return _member(hint, value, path)
    if is_pydantic_hint(hint):
        return convert_with_pydantic(hint, value, path)
    if "__dataclass_fields__" in vars(hint):
        return _dataclass(hint, value, names, path)
    rule = RULES.get(f"{hint.__module__}.{hint.__qualname__}")
    if rule is None:
        return value
    try:
        return rule(value, hint)
    except REFUSALS:
        return refuse(hint, value, path)


def _member(hint: Any, value: Any, path: Path) -> Any:
    if isinstance(value, str) and value in hint.__members__:
        return hint[value]
    try:
        return hint(value)
    except (ValueError, TypeError, KeyError):
        return refuse(hint, value, path)


def _typed_dict(hint: Any, value: Any, names: Names, path: Path) -> Any:
    if not isinstance(value, Mapping):
        return refuse(hint, value, path)
    names = _with_module_names(hint, names)
    items = dict(value)
    for key, annotation in hint.__annotations__.items():
        if key in value:
            items[key] = convert(annotation, value[key], names, (*path, key))
        elif key in hint.__required_keys__ and "NotRequired[" not in _text(annotation):
            raise RefusedError(path, f"{hint.__name__} requires the field {key}")
    return items


def _text(annotation: Any) -> str:
    return annotation.__forward_arg__ if isinstance(annotation, typing.ForwardRef) else str(annotation)


def _dataclass(hint: Any, value: Any, names: Names, path: Path) -> Any:
    init_code = getattr(vars(hint).get("__init__"), "__code__", None)
    if init_code is None or init_code.co_filename != "<string>":
        return value  # not generated by `dataclass`: its arguments may differ from the fields
    if not isinstance(value, Mapping):
        return refuse(hint, value, path)
    names = _with_module_names(hint, names)
    missing = sys.modules["dataclasses"].MISSING
    fields = {
        name: field
        for name, field in hint.__dataclass_fields__.items()
        if field.init and field._field_type.name != "_FIELD_CLASSVAR"
    }
    for name in value:
        if name not in fields:
            raise RefusedError((*path, str(name)), f"{hint.__name__} has no field {str(name)[:40]}")
    arguments = {}
    for name, field in fields.items():
        if name in value:
            is_null = value[name] is None and field.default is None
            arguments[name] = None if is_null else convert(field.type, value[name], names, (*path, name))
        elif field.default is missing and field.default_factory is missing:
            raise RefusedError(path, f"{hint.__name__} requires the field {name}")
    return hint(**arguments)


def _with_module_names(hint: type, names: Names) -> Names:
    """Return the names with those of the module that defines the class: its field hints may be strings."""
    module = sys.modules.get(hint.__module__)
    return {**names, **vars(module)} if module is not None else names
