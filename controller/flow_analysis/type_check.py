"""Checks a JSON value against a type hint, with the converter of the SDK. Called by `parameter_check` and `messages`.

`hint_resolution` builds the types. No value raises, and the number of steps is limited.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from controller.flow_analysis.known_types import Unknown
from controller.sdk.value_conversion import Converter
from controller.sdk.value_errors import Fault, Path

MAX_STEPS = 200_000
"""The number of value and hint pairs to check for one parameter: ten times the values of the largest manifest."""
_SIMPLE = frozenset((str, int, float, bool))
"""Types that always accept their own values."""
_JSON = (type(None), bool, int, float, str, list, tuple, Mapping)


def check_type(hint: Any, value: Any, path: Path = ()) -> list[Fault]:
    """Return the faults, at most ten, of a value that is found at `path`."""
    if accepts_simply(hint, value):
        return []
    converter = _Converter()
    with contextlib.suppress(_TooManyStepsError):  # then the rest of the value is not checked
        converter.convert(hint, value, path)
    return converter.faults


def accepts_simply(hint: Any, value: Any) -> bool:
    """Return True only if the value is certainly of this type, which is simple."""
    return hint is value.__class__ and hint in _SIMPLE


class _TooManyStepsError(Exception):
    """The value is too large to be checked completely."""


class _Converter(Converter):
    """A converter that accepts unknown hints and values that are not JSON, and has a limited number of steps."""

    def __init__(self) -> None:
        super().__init__({})
        self._remaining_steps = MAX_STEPS

    def convert(self, hint: Any, value: Any, path: Path) -> Any:
        """Return the converted value; for an unknown hint an object that can be an item of a set."""
        self._remaining_steps -= 1
        if self._remaining_steps < 0:
            raise _TooManyStepsError
        if isinstance(hint, Unknown) or not isinstance(value, _JSON):
            return object()
        return super().convert(hint, value, path)
