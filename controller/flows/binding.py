"""Which argument of a call has which name. `flow` and `task` ask for hooks, cache keys and checks."""

from collections.abc import Callable, Mapping
from typing import Any


def bound(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by name, defaults included. Raises the TypeError that the call would raise."""
    import inspect

    signature = inspect.signature(fn).bind(*args, **kwargs)
    signature.apply_defaults()
    return dict(signature.arguments)


def is_coroutine_function(fn: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine; what is no plain function is asked for its `__call__`."""
    inner = getattr(fn, "func", fn)  # functools.partial
    inner = getattr(inner, "__func__", inner)
    code = getattr(inner, "__code__", None) or getattr(vars(type(inner)).get("__call__"), "__code__", None)
    return code is not None and bool(code.co_flags & 0x80)  # inspect.CO_COROUTINE


def seconds(name: str, value: Any) -> float | None:
    """A number of seconds that an option gives. Raises ValueError."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
        raise ValueError(f"{name} is a number of seconds above 0, not {value!r}")
    return value
