"""A faster `dataclass` for immutable values, because a command uses only a few of the hundreds of classes it loads.

The decorator of the standard library compiles the methods of each class when its module is loaded, which is most of
the load time of many modules. This one compiles a method when it is first called. The methods behave the same, and the
functions of `dataclasses`, such as `replace`, accept these objects. Type checkers see the original decorator.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, FrozenInstanceError
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, kw_only: bool = False, eq: bool = True, frozen: bool, slots: bool) -> Callable[[type], type]:
        """Make a class a frozen dataclass with slots. Other forms are not supported."""
        assert frozen, "use the decorator of the standard library"
        assert slots, "use the decorator of the standard library"
        return lambda cls: _make_record(cls, kw_only=kw_only, eq=eq)


Source = Callable[[Any], tuple[str, Mapping[str, Any]]]
"""A function that returns the source of one method of a class, and the globals that this source needs."""


def _make_record(original: Any, *, kw_only: bool, eq: bool) -> Any:
    """Return the class as a frozen dataclass with slots. Methods that it defines itself stay."""
    original.__doc__ = original.__doc__ or original.__name__  # otherwise the decorator would compute a signature for it
    cls: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(original)
    methods: dict[str, Callable[..., Any]] = {**_COMMON, "__init__": _late(cls, "__init__", _init)}
    methods |= {"__getstate__": _late(cls, "__getstate__", _state), "__setstate__": _late(cls, "__setstate__", _set)}
    if eq:
        methods |= {"__eq__": _late(cls, "__eq__", _equal), "__hash__": _late(cls, "__hash__", _hash)}
    for name, method in methods.items():
        if name not in original.__dict__ or (name, original.__dict__[name]) == ("__hash__", None):
            setattr(cls, name, method)
    return cls


def _late(cls: Any, name: str, source: Source) -> Callable[..., Any]:
    """Return a method that compiles its replacement when it is called. Compiling it in two threads does no harm."""

    def method(self: Any, /, *args: Any, **values: Any) -> Any:
        text, names = source(cls)
        defined = dict(names)
        exec(text, defined)
        compiled = defined[name]
        compiled.__qualname__, compiled.__module__ = f"{cls.__qualname__}.{name}", cls.__module__
        setattr(cls, name, compiled)
        return compiled(self, *args, **values)

    return method


def _init(cls: Any) -> tuple[str, Mapping[str, Any]]:
    """Return `__init__`, with the same parameters as that of the standard library."""
    names: dict[str, Any] = {"MISSING": MISSING}
    positional: list[str] = ["self"]
    named: list[str] = []
    lines: list[str] = []
    for field in dataclasses.fields(cls):
        names[f"set_{field.name}"] = getattr(cls, field.name).__set__  # of the slot: `__setattr__` refuses
        parameter = value = field.name
        if field.default is not MISSING:
            names[f"default_{field.name}"] = field.default
            parameter = f"{field.name}=default_{field.name}"
        elif field.default_factory is not MISSING:
            names[f"make_{field.name}"] = field.default_factory
            parameter = f"{field.name}=MISSING"
            value = f"make_{field.name}() if {field.name} is MISSING else {field.name}"
        (named if field.kw_only else positional).append(parameter)
        lines.append(f"    set_{field.name}(self, {value})")
    parameters = [*positional, *(["*", *named] if named else [])]
    return "\n".join((f"def __init__({', '.join(parameters)}):", *lines, "    return None")), names


def _equal(cls: Any) -> tuple[str, Mapping[str, Any]]:
    lines = (
        "def __eq__(self, other):",
        "    if other.__class__ is not self.__class__:",
        "        return NotImplemented",
        f"    return {_values('self', cls)} == {_values('other', cls)}",
    )
    return "\n".join(lines), {}


def _hash(cls: Any) -> tuple[str, Mapping[str, Any]]:
    return f"def __hash__(self):\n    return hash({_values('self', cls)})", {}


def _state(cls: Any) -> tuple[str, Mapping[str, Any]]:
    """Return `__getstate__`: the values that pickle stores."""
    values = ", ".join(f"self.{field.name}" for field in dataclasses.fields(cls))
    return f"def __getstate__(self):\n    return [{values}]", {}


def _set(cls: Any) -> tuple[str, Mapping[str, Any]]:
    """Return `__setstate__`, which sets these values."""
    names = [field.name for field in dataclasses.fields(cls)]
    lines = ["def __setstate__(self, state):", f"    [{', '.join(names)}] = state"]
    lines += [f"    set_{name}(self, {name})" for name in names]
    return "\n".join(lines), {f"set_{name}": getattr(cls, name).__set__ for name in names}


def _values(owner: str, cls: Any) -> str:
    """Return the source of a tuple of the compared fields."""
    return f"({''.join(f'{owner}.{field.name}, ' for field in dataclasses.fields(cls) if field.compare)})"


@recursive_repr()
def _repr(self: Any) -> str:
    return f"{self.__class__.__qualname__}({', '.join(_shown(self))})"


def _shown(self: Any) -> Iterator[str]:
    for field in dataclasses.fields(self):
        if field.repr:
            yield f"{field.name}={getattr(self, field.name)!r}"


def _refuse_setting(_self: Any, name: str, _value: Any) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deleting(_self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


_COMMON: Mapping[str, Callable[..., Any]] = {
    "__repr__": _repr,
    "__setattr__": _refuse_setting,
    "__delattr__": _refuse_deleting,
}
