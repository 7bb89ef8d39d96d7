"""Keeps one copy in memory of equal values that thousands of deployments have in common. Most of these are defaults.

`manifests` calls it for what stays in memory between passes. Only for values that never change.
"""

from collections.abc import Hashable
from typing import Any, TypeVar

Value = TypeVar("Value")

MAX_PER_TYPE = 4096
"""The limit for the values of one type that are remembered, so that values that only one deployment has do not stay."""

_KNOWN: dict[type, dict[Any, Any]] = {}


def share(value: Value, key: Hashable = None) -> Value:
    """Return the equal value of the same type that an earlier call was given, or else this one. Thread-safe.

    With a `key`, values with the same key are compared. It is needed for values that have no hash, or whose equality is
    not exact, as that of 1 and true.
    """
    known = _KNOWN.setdefault(value.__class__, {})
    if len(known) >= MAX_PER_TYPE:
        known.clear()
    found: Value = known.setdefault(value if key is None else key, value)
    return found if found is value or found == value else value
