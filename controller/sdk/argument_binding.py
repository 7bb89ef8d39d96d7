"""Helpers around the call of a function: arguments by name, coroutine functions, methods.

`flow` and `task` use them; `run_name` needs the arguments by name to fill in a template.
"""

from collections.abc import Callable, Mapping
from typing import Any


def bound(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name, with defaults. Raises the TypeError that the call itself would raise."""
    signature = _signature(fn).bind(*args, **kwargs)
    signature.apply_defaults()
    return dict(signature.arguments)


def _signature(fn: Callable[..., Any]) -> Any:
    import inspect

    try:
        return inspect.signature(fn)
    except NameError:  # Python 3.14 evaluates annotations here (PEP 649)
        import importlib

        forward: Any = importlib.import_module("annotationlib").Format.FORWARDREF
        return inspect.signature(fn, **{"annotation_format": forward})


def is_coroutine_function(fn: Callable[..., Any]) -> bool:
    """Return whether a call of `fn` returns a coroutine. For an object that is not a function, check its `__call__`."""
    inner = getattr(fn, "func", fn)  # functools.partial
    inner = getattr(inner, "__func__", inner)
    code = getattr(inner, "__code__", None) or getattr(vars(type(inner)).get("__call__"), "__code__", None)
    return code is not None and bool(code.co_flags & 0x80)  # inspect.CO_COROUTINE


def bound_to(fn: Callable[..., Any], instance: Any, owner: type | None) -> Callable[..., Any]:
    """Return the function bound to an instance, as a method would be; `fn` itself if its type has no `__get__`."""
    bind = getattr(type(fn), "__get__", None)
    return fn if bind is None else bind(fn, instance, owner)
