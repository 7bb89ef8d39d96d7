"""Do these arguments fit the type hints of this function, and what do they become? Asked just before a flow is called.

The rules are those of docs/format.md, which `controller.flow_analysis` applies to the text of a file; here they are
applied to the hints themselves, and the values are converted: `value_conversion` does that. Called by `flow`, and for
plain functions by the flow's process. A hint that is not understood changes nothing and refuses nothing.
"""

import types
from collections.abc import Callable, Mapping
from typing import Any

from controller.sdk.messages import label
from controller.sdk.value_conversion import convert
from controller.sdk.value_errors import RefusedError

Names = Mapping[str, Any]

_UNKNOWN = object()


class ParameterError(TypeError):
    """Parameters that don't fit: which, what came, what was expected."""


def coerce_call(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Names) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments as the function's hints want them. Raises ParameterError with all that don't fit.

    What Python itself would say (unknown, missing, too many) is left to it. Functions behind a decorator that is not
    known keep what they are given: nobody knows what the decorator makes of it.
    """
    signature = _Signature.of(fn)
    if signature is None or not signature.hints:
        return args, dict(kwargs)
    problems: list[str] = []
    positional = tuple(signature.take(signature.at(index), value, problems) for index, value in enumerate(args))
    named = {name: signature.take(name, value, problems) for name, value in kwargs.items()}
    if problems:
        raise ParameterError("; ".join(problems))
    return positional, named


class _Signature:
    """What is to be known of a function, without the price of `inspect`."""

    def __init__(self, fn: Any, skip: int) -> None:
        code = fn.__code__
        count = code.co_argcount + code.co_kwonlyargcount
        self.hints: dict[str, Any] = getattr(fn, "__annotations__", {})
        self._names: Names = fn.__globals__
        self._positional = code.co_varnames[skip : code.co_argcount]
        self._own = set(code.co_varnames[code.co_posonlyargcount : count])
        rest = list(code.co_varnames[count:])
        self._more_positional = rest.pop(0) if code.co_flags & 0x04 else None
        self._more_named = rest[0] if code.co_flags & 0x08 else None
        defaults = fn.__defaults__ or ()
        at_end = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        self._defaults = {**dict(zip(at_end, defaults, strict=True)), **(fn.__kwdefaults__ or {})}

    @staticmethod
    def of(fn: Any) -> "_Signature | None":
        """None for what is no function, or hides one."""
        skip = 0
        if isinstance(fn, types.MethodType):
            fn, skip = fn.__func__, 1
        if type(fn).__name__ == "_lru_cache_wrapper":
            fn = fn.__wrapped__
        known = isinstance(fn, types.FunctionType) and not hasattr(fn, "__wrapped__")
        return _Signature(fn, skip) if known else None

    def at(self, index: int) -> str | None:
        """The name of a positional argument."""
        return self._positional[index] if index < len(self._positional) else self._more_positional

    def take(self, name: str | None, value: Any, problems: list[str]) -> Any:
        """The value for this parameter; what is wrong goes to `problems`."""
        hinted = name if name in self._own or name in self._positional or name == self._more_positional else None
        hint = self.hints.get(hinted or self._more_named or "", _UNKNOWN)
        if hint is _UNKNOWN or (value is None and self._defaults.get(name or "", _UNKNOWN) is None):
            return value
        try:
            return convert(hint, value, self._names, (str(name),))
        except RefusedError as refused:
            problems.append(f"parameter {label(refused.path)}: {refused}")
        return value
