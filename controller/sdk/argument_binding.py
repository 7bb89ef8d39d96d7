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


def bound_to(fn: Callable[..., Any], instance: Any, owner: type | None) -> Callable[..., Any]:
    """The function as it is found on an instance; itself where it is not one that is bound."""
    binds = getattr(type(fn), "__get__", None)
    return fn if binds is None else binds(fn, instance, owner)
