"""Check the arguments of a call against the function's type hints, and convert them, just before a flow is called.

The rules are those of docs/format.md; `value_conversion` applies them. Called by `flow`, and for plain functions by the
flow's process. An argument with a hint that is not supported is passed on unchanged and unchecked.
"""

import types
from collections.abc import Callable, Mapping
from typing import Any

from controller.sdk.messages import label
from controller.sdk.value_conversion import Converter, annotations_of

Names = Mapping[str, Any]

_UNKNOWN = object()


class ParameterError(TypeError):
    """Parameters that do not match their type hints; the message names each with the expected type and the value."""


def coerce_call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Names) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments converted to the function's type hints. Raises ParameterError that lists every mismatch.

    Unknown, missing and surplus arguments are not reported here: Python reports them itself when the function is
    called. Arguments of a function behind an unknown decorator stay unchanged, because the decorator may change them.
    """
    signature = _Signature.from_function(fn)
    if signature is None or not signature.hints:
        return args, dict(kwargs)
    problems: list[str] = []
    positional = tuple(
        signature.convert_argument(signature.name_at(index), value, problems) for index, value in enumerate(args)
    )
    named = {name: signature.convert_argument(name, value, problems) for name, value in kwargs.items()}
    if problems:
        raise ParameterError("; ".join(problems))
    return positional, named


class _Signature:
    """The parameters, hints and defaults of a function, read from its code object: `inspect` is slow to import."""

    def __init__(self, fn: Any, skip: int) -> None:
        code = fn.__code__
        count = code.co_argcount + code.co_kwonlyargcount
        self.hints: dict[str, Any] = annotations_of(fn)
        self._names: Names = fn.__globals__
        self._positional = code.co_varnames[skip : code.co_argcount]
        self._own = set(code.co_varnames[code.co_posonlyargcount : count])
        rest = list(code.co_varnames[count:])
        self._more_positional = rest.pop(0) if code.co_flags & 0x04 else None  # inspect.CO_VARARGS
        self._more_named = rest[0] if code.co_flags & 0x08 else None  # inspect.CO_VARKEYWORDS
        defaults = fn.__defaults__ or ()
        at_end = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        self._defaults = {**dict(zip(at_end, defaults, strict=True)), **(fn.__kwdefaults__ or {})}

    @staticmethod
    def from_function(fn: Any) -> "_Signature | None":
        """Return the signature; None for anything but a plain function, and for a wrapper around another function."""
        skip = 0
        if isinstance(fn, types.MethodType):
            fn, skip = fn.__func__, 1
        if type(fn).__name__ == "_lru_cache_wrapper":
            fn = fn.__wrapped__
        is_plain = isinstance(fn, types.FunctionType) and not hasattr(fn, "__wrapped__")
        return _Signature(fn, skip) if is_plain else None

    def name_at(self, index: int) -> str | None:
        """Return the name of the parameter at a position; that of `*args` after the last one."""
        return self._positional[index] if index < len(self._positional) else self._more_positional

    def convert_argument(self, name: str | None, value: Any, problems: list[str]) -> Any:
        """Return the converted value of one argument. Its faults are added to `problems`."""
        hinted = name if name in self._own or name in self._positional or name == self._more_positional else None
        hint = self.hints.get(hinted or self._more_named or "", _UNKNOWN)
        if hint is _UNKNOWN or (value is None and self._defaults.get(name or "", _UNKNOWN) is None):
            return value
        converter = Converter(self._names)
        converted = converter.convert(hint, value, (str(name),))
        problems += [f"parameter {label(fault.path)}: {fault.message}" for fault in converter.faults]
        return converted
