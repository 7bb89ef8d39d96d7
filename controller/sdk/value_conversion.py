"""Conversion of a value according to a type hint: the one coercion rule of parameters.

Called by `argument_coercion` for each argument of a call, and by `controller.flow_analysis` for each parameter in a
manifest, with types that it builds from syntax. A hint that is not supported accepts every value unchanged.
"""

import collections
import collections.abc
import enum
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from controller.sdk.messages import describe, shorten, spell
from controller.sdk.pydantic_types import convert_with_pydantic, is_pydantic_hint, pydantic_validator
from controller.sdk.scalar_types import REFUSALS, RULES, rule_name
from controller.sdk.value_errors import Fault, Path

Names = Mapping[str, Any]

MAX_FAULTS = 10

_UNKNOWN = object()
_MAX_HOPS = 20
_WRAPPERS = ("Final", "Required", "NotRequired", "ReadOnly", "ClassVar")

_ABC = collections.abc
ITEMS: dict[Any, Callable[..., Any]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    collections.deque: collections.deque,
    **dict.fromkeys((_ABC.Set, _ABC.MutableSet), set),
    **dict.fromkeys((_ABC.Sequence, _ABC.MutableSequence, _ABC.Iterable, _ABC.Collection, _ABC.Reversible), list),
}
"""Collections of items, with the type that a list is converted to."""
MAPPINGS: dict[Any, Callable[..., Any]] = {
    dict: dict,
    collections.OrderedDict: collections.OrderedDict,
    collections.defaultdict: lambda pairs: collections.defaultdict(None, pairs),
    _ABC.Mapping: dict,
    _ABC.MutableMapping: dict,
}
"""Mappings, with the type that a mapping is converted to."""
_LOOSE = (_ABC.Sequence, _ABC.Iterable, _ABC.Collection, _ABC.Reversible)
_SETS = (set, frozenset, _ABC.Set, _ABC.MutableSet)


def annotations_of(owner: Any) -> dict[str, Any]:
    """Return the annotations of a function or a class.

    Python 3.14 evaluates them only here (PEP 649). A name that is imported for type checkers only stays a reference.
    """
    try:
        return getattr(owner, "__annotations__", {})
    except NameError:
        import importlib

        annotationlib = importlib.import_module("annotationlib")
        hints: dict[str, Any] = annotationlib.get_annotations(owner, format=annotationlib.Format.FORWARDREF)
        return hints


class Converter:
    """Converts one value, and collects its faults: the first ten.

    `names` are the global names of the function's module, for hints that are strings.
    """

    def __init__(self, names: Names) -> None:
        self.faults: list[Fault] = []
        self._scopes: tuple[Names, ...] = (names,)

    def convert(self, hint: Any, value: Any, path: Path) -> Any:
        """Return the value converted to the type of the hint; unchanged if it has a fault. `path` leads to it."""
        hint = hint if type(hint) is type else self._evaluate(hint)
        if hint is _UNKNOWN or hint is Any or hint is object:
            return value
        if hint is None or hint is type(None):
            return value if value is None else self._refuse(hint, value, path)
        origin = typing.get_origin(hint)
        if origin is typing.Annotated:  # for Pydantic: any other annotation has been removed
            return self._pydantic(hint, value, path)
        if origin is typing.Union or origin is types.UnionType:
            return self._union(hint, value, path)
        if origin is typing.Literal:
            return self._literal(hint, value, path)
        if (origin or hint) in ITEMS:
            return self._items(hint, value, path)
        if (origin or hint) in MAPPINGS:
            return self._mapping(hint, value, path)
        return self._class(hint, value, path) if origin is None and isinstance(hint, type) else value

    def _evaluate(self, hint: Any) -> Any:
        """Return the hint without quotes and without wrappers such as `Final` and `NewType`; _UNKNOWN if that fails."""
        for _ in range(_MAX_HOPS):
            if isinstance(hint, typing.ForwardRef):
                hint = hint.__forward_arg__
            if isinstance(hint, str):
                names = {name: value for scope in self._scopes for name, value in scope.items()}
                try:
                    hint = eval(hint, names)  # it is the user's own code, in the user's own process
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

    def _refuse(self, hint: Any, value: Any, path: Path) -> Any:
        self._add(Fault(path, f"expected {spell(hint)}, got {describe(value)}", hint, value))
        return value

    def _add(self, *faults: Fault) -> None:
        self.faults = [*self.faults, *faults][:MAX_FAULTS]

    def _convert_all(self, parts: Iterable[tuple[Any, Any, Path]]) -> list[Any] | None:
        """Return the converted parts of a value; None if one of them has a fault."""
        before = len(self.faults)
        converted: list[Any] = []
        for hint, value, path in parts:
            if len(self.faults) >= MAX_FAULTS:
                return None
            converted.append(self.convert(hint, value, path))
        return converted if len(self.faults) == before else None

    def _try(self, hint: Any, value: Any, path: Path) -> tuple[Any, list[Fault]]:
        """Return the converted value and its faults, which are not added to those of the whole value."""
        before, self.faults = self.faults, []
        try:
            return self.convert(hint, value, path), self.faults
        finally:
            self.faults = before

    def _pydantic(self, hint: Any, value: Any, path: Path) -> Any:
        converted, faults = convert_with_pydantic(hint, value, path)
        self._add(*faults)
        return converted

    def _union(self, hint: Any, value: Any, path: Path) -> Any:
        """Convert to a union: prefer a branch that accepts the value as it is, then one whose result equals the value.

        If exactly one branch has a fault inside the value, that branch was probably meant: report its faults.
        """
        branches = typing.get_args(hint)
        if value is None and type(None) in branches:
            return value
        results: list[Any] = []
        deeper: list[list[Fault]] = []
        for branch in branches:
            converted, faults = self._try(branch, value, path)
            if converted is value and not faults:
                return value
            if not faults:
                results.append(converted)
            elif any(fault.path != path or fault.hint is None for fault in faults):
                deeper.append(faults)
        if results:
            return next((result for result in results if result == value), results[0])
        if len(deeper) != 1:
            return self._refuse(hint, value, path)
        self._add(*deeper[0])
        return value

    def _literal(self, hint: Any, value: Any, path: Path) -> Any:
        choices: list[Any] = []
        for choice in typing.get_args(hint):
            choices += typing.get_args(choice) if typing.get_origin(choice) is typing.Literal else [choice]
        is_choice = any(choice == value and type(choice) is type(value) for choice in choices)
        return value if is_choice else self._refuse(hint, value, path)

    def _items(self, hint: Any, value: Any, path: Path) -> Any:
        kind, args = typing.get_origin(hint) or hint, typing.get_args(hint)
        if not isinstance(value, list | tuple):
            return value if self._is_other_collection(kind, args, value) else self._refuse(hint, value, path)
        if kind is tuple and (args or isinstance(hint, types.GenericAlias)) and args[-1:] != (...,):
            if len(args) != len(value):
                self._add(Fault(path, f"expected {spell(hint)}, got a list of length {len(value)}"))
                return value
            hints = args
        else:
            hints = (args[0] if args else Any,) * len(value)
        pairs = enumerate(zip(hints, value, strict=True))
        items = self._convert_all((item_hint, item, (*path, index)) for index, (item_hint, item) in pairs)
        if items is None or (isinstance(value, kind) and all(map(_is_same, items, value))):
            return value
        if kind in _SETS and not self._are_hashable(kind, items, path):
            return value
        return (tuple if isinstance(value, tuple) and kind in _LOOSE else ITEMS[kind])(items)

    def _is_other_collection(self, kind: Any, args: tuple[Any, ...], value: Any) -> bool:
        """Return whether a value that is not a list matches. A string is a `Sequence[str]`, a mapping an `Iterable`."""
        if isinstance(value, str):
            return kind in _LOOSE and not value.lstrip().startswith(("[", "(")) and self._accepts_strings(args)
        if isinstance(value, Mapping) and not self._accepts_strings(args):
            return False
        return isinstance(value, kind) and not isinstance(value, bytes)

    def _are_hashable(self, kind: Any, items: list[Any], path: Path) -> bool:
        """Add a fault for the first item that a set cannot contain, such as a list or a mapping."""
        for index, item in enumerate(items):
            try:
                hash(item)
            except TypeError:
                self._add(Fault((*path, index), f"a {kind.__name__} can't contain {describe(item)}"))
                return False
        return True

    def _accepts_strings(self, args: tuple[Any, ...]) -> bool:
        """Return whether one of these hints may accept a character: then a string is a valid `Sequence` of them."""
        for arg in args or (Any,):
            hint = self._evaluate(arg)
            origin = typing.get_origin(hint) or hint
            if origin is typing.Union or origin is types.UnionType:
                if self._accepts_strings(typing.get_args(hint)):
                    return True
            elif hint is str or not _excludes_strings(origin):
                return True
        return False

    def _mapping(self, hint: Any, value: Any, path: Path) -> Any:
        if not isinstance(value, Mapping):
            return self._refuse(hint, value, path)
        kind = typing.get_origin(hint) or hint
        key_hint, value_hint = typing.get_args(hint) or (Any, Any)
        before = len(self.faults)
        keys: dict[Any, Any] = {}
        for key in value:
            keys[key], faults = self._try(key_hint, key, (*path, str(key)))
            self._add(*(fault._replace(message=f"invalid key: {fault.message}", hint=None) for fault in faults))
        is_valid = len(self.faults) == before
        items = self._convert_all((value_hint, item, (*path, str(key))) for key, item in value.items())
        if items is None or not is_valid:
            return value
        pairs = dict(zip(keys.values(), items, strict=True))
        is_same = isinstance(value, kind) and all(pairs.get(key, _UNKNOWN) is item for key, item in value.items())
        return value if is_same else MAPPINGS[kind](pairs)

    def _class(self, hint: type, value: Any, path: Path) -> Any:
        if typing.is_typeddict(hint):
            return self._typed_dict(hint, value, path)
        if isinstance(value, hint) and not (isinstance(value, bool) and hint is int):
            return value
        if isinstance(hint, enum.EnumMeta):
            return self._member(hint, value, path)
        if is_pydantic_hint(hint):
            return self._pydantic(hint, value, path)
        if "__dataclass_fields__" in vars(hint):
            return self._dataclass(hint, value, path)
        rule = RULES.get(rule_name(hint))
        if rule is None:
            return value
        try:
            return rule(value, hint)
        except REFUSALS:
            return self._refuse(hint, value, path)

    def _member(self, hint: Any, value: Any, path: Path) -> Any:
        """Convert the name or the value of a member; for a `Flag`, also a combination of members."""
        if isinstance(value, str) and value in hint.__members__:
            return hint[value]
        is_bits = issubclass(hint, enum.Flag) and isinstance(value, float) and value.is_integer()
        try:
            return hint(int(value) if is_bits else value)
        except (ValueError, TypeError, KeyError):
            return self._refuse(hint, value, path)

    def _typed_dict(self, hint: Any, value: Any, path: Path) -> Any:
        if not isinstance(value, Mapping):
            return self._refuse(hint, value, path)
        annotations = annotations_of(hint)
        required = [
            key
            for key in annotations
            if key in hint.__required_keys__ and "NotRequired[" not in _text(annotations[key])
        ]
        items = self._fields(hint, annotations, required, value, path)
        return value if items is None else {**value, **items}

    def _dataclass(self, hint: Any, value: Any, path: Path) -> Any:
        init_code = getattr(vars(hint).get("__init__"), "__code__", None)
        if init_code is None or init_code.co_filename != "<string>":
            return value  # not generated by `dataclass`: its arguments may differ from the fields
        if not isinstance(value, Mapping):
            return self._refuse(hint, value, path)
        missing = sys.modules["dataclasses"].MISSING
        fields = {
            name: field
            for name, field in hint.__dataclass_fields__.items()
            if field.init and field._field_type.name != "_FIELD_CLASSVAR"
        }
        unknown = [str(name) for name in value if name not in fields]
        for name in unknown[:MAX_FAULTS]:
            self._add(Fault((*path, name), f"{spell(hint)} has no field {shorten(name)}", hint, field=name))
        hints = {
            name: Any if field.default is None and value.get(name, 0) is None else field.type
            for name, field in fields.items()
        }
        required = [
            name for name, field in fields.items() if field.default is missing and field.default_factory is missing
        ]
        arguments = self._fields(hint, hints, required, value, path)
        return value if arguments is None or unknown else hint(**arguments)

    def _fields(
        self, owner: Any, hints: Names, required: list[str], value: Mapping[str, Any], path: Path
    ) -> dict[str, Any] | None:
        """Return the converted fields of a dataclass or typed dictionary; None if there is a fault.

        Their hints may be strings, with names of the module that defines the class.
        """
        missing = [name for name in required if name not in value]
        for name in missing[:MAX_FAULTS]:
            self._add(Fault(path, f"{spell(owner)} requires the field {shorten(name)}"))
        names = [name for name in hints if name in value]
        scopes = self._scopes
        self._scopes = (*scopes, getattr(sys.modules.get(owner.__module__), "__dict__", {}))
        items = self._convert_all((hints[name], value[name], (*path, name)) for name in names)
        self._scopes = scopes
        return None if items is None or missing else dict(zip(names, items, strict=True))


def _is_same(new: Any, old: Any) -> bool:
    return new is old


def _excludes_strings(kind: Any) -> bool:
    """Return whether arbitrary strings are not values of this type."""
    if kind in (None, type(None)) or kind in ITEMS or kind in MAPPINGS:
        return True
    return isinstance(kind, type) and (
        rule_name(kind) in RULES or "__dataclass_fields__" in vars(kind) or typing.is_typeddict(kind)
    )


def _text(annotation: Any) -> str:
    return annotation.__forward_arg__ if isinstance(annotation, typing.ForwardRef) else str(annotation)
