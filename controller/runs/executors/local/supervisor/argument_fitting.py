"""Finds out whether the arguments of a call have the types of the function's hints, so that none is converted.

Used by `flow_call` for plain functions. `controller.sdk.argument_coercion` decides all other cases, and loads `typing`
for that, which takes a new interpreter as long as half of its start. Like `flow_call`, this is loaded as a file, alone.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# These have no other name than those in `types`, which is a module to load.
_FUNCTION: Any = type(lambda: None)
_UNION: Any = type(int | str)
_GENERIC: Any = type(list[int])
_SCALARS = (str, int, float, bool)


def all_fit(function: Any, arguments: dict[str, Any]) -> bool:
    """Return whether each of these named arguments certainly needs no conversion."""
    if type(function) is not _FUNCTION or hasattr(function, "__wrapped__"):
        return False
    try:
        code, hints = function.__code__, function.__annotations__
    except NameError:  # Python 3.14 evaluates them here, and the name is imported for type checkers only
        return False
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return all(name in names and (name not in hints or fits(hints[name], value)) for name, value in arguments.items())


def fits(hint: Any, value: Any) -> bool:
    """Return whether the value certainly has the type of the hint: a scalar, or a list or a mapping of scalars."""
    if hint is None or hint is type(None):
        return value is None
    if type(hint) is _UNION:
        return any(fits(branch, value) for branch in hint.__args__)
    if type(hint) is _GENERIC:
        return type(value) is hint.__origin__ and items_fit(hint.__args__, value)
    return type(hint) is type and hint in _SCALARS and type(value) is hint


def items_fit(hints: tuple[Any, ...], value: Any) -> bool:
    """Return whether the items of a list or of a mapping certainly have the types of these hints."""
    if type(value) is list and len(hints) == 1:
        return all(fits(hints[0], item) for item in value)
    is_mapping = type(value) is dict and len(hints) == 2
    return is_mapping and all(fits(hints[0], key) and fits(hints[1], item) for key, item in value.items())
