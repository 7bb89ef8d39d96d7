"""Can what becomes of a value be an item of a set? `type_check` asks, for values that fit their hint.

It must not guess: None where nobody can say.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from controller.flow_analysis.type_hints import AnyOf, Anything, Hint, Items, Record, Row, Table, Unknown

SETS = frozenset(("set", "frozenset", "Set", "MutableSet"))
"""Of the names of `hints.Items` those whose items have to be hashable."""


Fits = Callable[[Hint, Any], bool | None]


def is_hashable(hint: Hint, value: Any, fits: Fits) -> bool | None:
    """Whether the value, which fits, can be an item of a set once it has become what the hint says."""
    match hint:
        case Unknown():
            return None
        case Anything():
            return not isinstance(value, list | Mapping)
        case AnyOf(branches=branches):
            fitting = [(branch, fits(branch, value)) for branch in branches]
            return _alike(fit and is_hashable(branch, value, fits) for branch, fit in fitting if fit is not False)
        case Items(name="tuple", item=item):
            return _all(is_hashable(item, part, fits) for part in value)
        case Row(items=items):
            return _all(is_hashable(item, part, fits) for item, part in zip(items, value, strict=True))
        case Items(name=name):
            return name == "frozenset"
        case Record(open=False):
            return None  # its decorator says so, and what it holds
    return not isinstance(hint, Table | Record)


def _all(found: Iterable[bool | None]) -> bool | None:
    every = list(found)
    return False if False in every else None if None in every else True


def _alike(found: Iterable[bool | None]) -> bool | None:
    every = set(found)
    return every.pop() if len(every) == 1 else None
