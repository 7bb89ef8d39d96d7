"""What one value becomes for one type hint. `argument_coercion` asks, for each argument.

A hint that is not understood takes every value as it is. RefusedError says what does not fit, and where in the value.
"""

import collections
import collections.abc
import enum
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from controller.sdk.messages import shown, spell
from controller.sdk.pydantic_types import is_of_pydantic, pydantic_of, through_pydantic
from controller.sdk.scalar_types import REFUSALS, RULES
from controller.sdk.value_errors import Path, RefusedError, refuse

Names = Mapping[str, Any]

_UNKNOWN = object()
_MAX_HOPS = 20
_WRAPPERS = ("Final", "Required", "NotRequired", "ReadOnly", "ClassVar")


def convert(hint: Any, value: Any, names: Names, path: Path = ()) -> Any:
    """The value as this hint wants it. Raises RefusedError."""
    hint = _evaluated(hint, names)
    if hint is _UNKNOWN or hint is Any or hint is object:
        return value
    if hint is None or hint is type(None):
        return value if value is None else refuse(hint, value, path)
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:  # of Pydantic: any other has been taken off
        return through_pydantic(hint, value, path)
    if origin is typing.Union or origin is types.UnionType:
        return _union(hint, value, names, path)
    if origin is typing.Literal:
        return _literal(hint, value, path)
    if origin in (list, tuple, set, frozenset, collections.deque) or (origin or hint) in _ITEMS:
        return _items(hint, value, names, path)
    if (origin or hint) in _MAPPINGS:
        return _mapping(hint, value, names, path)
    return _class(hint, value, names, path) if origin is None and isinstance(hint, type) else value


def _evaluated(hint: Any, names: Names) -> Any:
    """The hint itself for its text, and for what is wrapped around it."""
    for _ in range(_MAX_HOPS):
        if isinstance(hint, typing.ForwardRef):
            hint = hint.__forward_arg__
        if isinstance(hint, str):
            try:
                hint = eval(hint, dict(names))  # it is the user's own code, in the user's own process
            except Exception:  # noqa: BLE001
                return _UNKNOWN
        elif typing.get_origin(hint) is typing.Annotated:
            if is_of_pydantic(hint):
                return _UNKNOWN if pydantic_of(hint) is None else hint
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
    """A branch that takes the value as it is, else the first that can convert it, in the order of what is lost."""
    found: list[Any] = []
    refused: list[RefusedError] = []
    for branch in typing.get_args(hint):
        try:
            converted = convert(branch, value, names, path)
        except RefusedError as error:
            refused.append(error)
            continue
        if converted is value:
            return value
        found.append(converted)
    if found:
        return next((one for one in found if one == value), found[0])
    deeper = [error for error in refused if error.path != path]
    if len(deeper) == 1:
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
        looks_meant = kind in _LOOSE and isinstance(value, str) and not value.lstrip().startswith(("[", "("))
        return value if looks_meant and _may_hold_text(args, names) else refuse(hint, value, path)
    if not isinstance(value, list | tuple):
        is_one = isinstance(value, kind) and not (isinstance(value, Mapping) and not _may_hold_text(args, names))
        return value if is_one else refuse(hint, value, path)
    if kind is tuple and (args or isinstance(hint, types.GenericAlias)) and args[-1:] != (...,):
        if len(args) != len(value):
            raise RefusedError(path, f"expected {spell(hint)}, got a list of {len(value)}")
        wanted = list(args)
    else:
        wanted = [args[0] if args else Any] * len(value)
    pairs = enumerate(zip(wanted, value, strict=True))
    found = [convert(item, part, names, (*path, index)) for index, (item, part) in pairs]
    if isinstance(value, kind) and all(one is other for one, other in zip(found, value, strict=True)):
        return value
    if kind in _SETS:
        _hold_against_set(kind, found, path)
    return (tuple if isinstance(value, tuple) and kind in _LOOSE else _ITEMS[kind])(found)


def _hold_against_set(kind: Any, found: list[Any], path: Path) -> None:
    """Raises RefusedError for the first item that no set can hold: a list, a mapping."""
    for index, item in enumerate(found):
        try:
            hash(item)
        except TypeError:
            raise RefusedError((*path, index), f"a {kind.__name__} can't hold {shown(item)}") from None


def _may_hold_text(args: tuple[Any, ...], names: Names) -> bool:
    """Whether one of these hints, or a branch of one, may be that of a text. A text is a `Sequence[str]` too."""
    for arg in args or (Any,):
        hint = _evaluated(arg, names)
        origin = typing.get_origin(hint) or hint
        if origin is typing.Union or origin is types.UnionType:
            if _may_hold_text(typing.get_args(hint), names):
                return True
        elif hint is str or not _is_of_other(origin):
            return True
    return False


def _is_of_other(kind: Any) -> bool:
    """Whether nothing of this kind is written as a text of any characters."""
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
    found = {}
    for key, item in value.items():
        try:
            own = convert(key_hint, key, names, path)
        except RefusedError as error:
            raise RefusedError((*path, str(key)), f"the key: {error}") from None
        found[own] = convert(value_hint, item, names, (*path, str(key)))
    same = isinstance(value, kind) and all(found.get(key, _UNKNOWN) is item for key, item in value.items())
    return value if same else _MAPPINGS[kind](found)


def _class(hint: type, value: Any, names: Names, path: Path) -> Any:
    if typing.is_typeddict(hint):
        return _typed_dict(hint, value, names, path)
    if isinstance(value, hint) and not (isinstance(value, bool) and hint is int):
        return value
    if isinstance(hint, enum.EnumMeta):
        return _member(hint, value, path)
    if is_of_pydantic(hint):
        return through_pydantic(hint, value, path)
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
    names = _names_of(hint, names)
    found = dict(value)
    for key, annotation in hint.__annotations__.items():
        if key in value:
            found[key] = convert(annotation, value[key], names, (*path, key))
        elif key in hint.__required_keys__ and "NotRequired[" not in _text(annotation):
            raise RefusedError(path, f"{key} is missing, {hint.__name__} needs it")
    return found


def _text(annotation: Any) -> str:
    return annotation.__forward_arg__ if isinstance(annotation, typing.ForwardRef) else str(annotation)


def _dataclass(hint: Any, value: Any, names: Names, path: Path) -> Any:
    made_init = getattr(vars(hint).get("__init__"), "__code__", None)
    if made_init is None or made_init.co_filename != "<string>":
        return value  # its own: nobody knows what that takes
    if not isinstance(value, Mapping):
        return refuse(hint, value, path)
    names = _names_of(hint, names)
    missing = sys.modules["dataclasses"].MISSING
    fields = {
        name: field
        for name, field in hint.__dataclass_fields__.items()
        if field.init and field._field_type.name != "_FIELD_CLASSVAR"
    }
    for name in value:
        if name not in fields:
            raise RefusedError((*path, str(name)), f"{hint.__name__} has no field {str(name)[:40]}")
    found = {}
    for name, field in fields.items():
        if name in value:
            is_null = value[name] is None and field.default is None
            found[name] = None if is_null else convert(field.type, value[name], names, (*path, name))
        elif field.default is missing and field.default_factory is missing:
            raise RefusedError(path, f"{name} is missing, {hint.__name__} needs it")
    return hint(**found)


def _names_of(hint: type, names: Names) -> Names:
    module = sys.modules.get(hint.__module__)
    return {**names, **vars(module)} if module is not None else names
