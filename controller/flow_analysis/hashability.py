"""Decides whether a converted value can be an item of a set. Called by `type_check`, for values that match their hint.

The answer is None if the file does not show it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from controller.flow_analysis.type_hints import AnyOf, Anything, Hint, Items, Record, Row, Table, Unknown

SETS = frozenset(("set", "frozenset", "Set", "MutableSet"))
"""The names of collections (`type_hints.Items`) whose items must be hashable."""


Fits = Callable[[Hint, Any], bool | None]


def is_hashable(hint: Hint, value: Any, fits: Fits) -> bool | None:
    """Return whether a value that matches its hint is hashable after its conversion; None if unknown.

    `fits(hint, value)` is the type check, for the branches of a union.
    """
    match hint:
        case Unknown():
            return None
        case Anything():
            return not isinstance(value, list | Mapping)
        case AnyOf(branches=branches):
            fitting = [(branch, fits(branch, value)) for branch in branches]
            return _unanimous(fit and is_hashable(branch, value, fits) for branch, fit in fitting if fit is not False)
        case Items(name="tuple", item=item):
            return _all(is_hashable(item, part, fits) for part in value)
        case Row(items=items):
            return _all(is_hashable(item, part, fits) for item, part in zip(items, value, strict=True))
        case Items(name=name):
            return name == "frozenset"
        case Record(open=False):
            return None  # it depends on the options of `dataclass`, and on the fields
    return not isinstance(hint, Table | Record)


def _all(answers: Iterable[bool | None]) -> bool | None:
    answers = list(answers)
    return False if False in answers else None if None in answers else True


def _unanimous(answers: Iterable[bool | None]) -> bool | None:
    distinct = set(answers)
    return distinct.pop() if len(distinct) == 1 else None
