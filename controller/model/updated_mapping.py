"""Mappings that differ from an earlier one in a few values. They share its items, so that no copy of all is made.

`manifests` uses them for what a revision declares, and `reconcile` to compare two revisions.
"""

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, TypeVar

Value = TypeVar("Value")

MAX_CHANGES = 1000
"""With more changes than this, everything is copied, so that later updates are fast again."""


class UpdatedMapping(Mapping[str, Value]):
    """The items of `base` in the same order, except that the keys in `changes` have other values. Neither changes."""

    __slots__ = ("_base", "_changes")

    def __init__(self, base: Mapping[str, Value], changes: Mapping[str, Value]) -> None:
        self._base = base
        self._changes = changes

    def __getitem__(self, key: str) -> Value:
        return self._changes[key] if key in self._changes else self._base[key]

    def __contains__(self, key: object) -> bool:
        return key in self._base

    def __iter__(self) -> Iterator[str]:
        return iter(self._base)

    def __len__(self) -> int:
        return len(self._base)

    def keys(self) -> KeysView[str]:
        """Return the keys."""
        return self._base.keys()

    def items(self) -> ItemsView[str, Value]:
        """Return the items, which takes a copy of all of them."""
        return self._copy().items()

    def values(self) -> ValuesView[Value]:
        """Return the values, which takes a copy of all items."""
        return self._copy().values()

    def updated(self, changes: Mapping[str, Value]) -> Mapping[str, Value]:
        """Return a mapping that has these values for keys that exist."""
        every_change = {**self._changes, **changes}
        updated = UpdatedMapping(self._base, every_change)
        return updated if len(every_change) <= MAX_CHANGES else updated._copy()

    def differing_keys(self, other: Mapping[str, Any]) -> set[str] | None:
        """Return the keys whose values may differ in both mappings; None if these have nothing in common."""
        if other is self._base:
            return set(self._changes)
        if isinstance(other, UpdatedMapping) and other._base is self._base:
            return {*self._changes, *other._changes}
        return None

    def _copy(self) -> dict[str, Value]:
        return {**self._base, **self._changes}


def update_mapping(mapping: Mapping[str, Value], changes: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return a mapping that has these values for keys of `mapping`, which must not change any more."""
    if not changes:
        return mapping
    return (mapping if isinstance(mapping, UpdatedMapping) else UpdatedMapping(mapping, {})).updated(changes)


def find_differing_keys(new: Mapping[str, Value], old: Mapping[str, Value]) -> set[str] | None:
    """Return the keys whose values may differ, if both have the same keys and share most items; otherwise None."""
    if new is old:
        return set()
    if isinstance(new, UpdatedMapping):
        return new.differing_keys(old)
    return old.differing_keys(new) if isinstance(old, UpdatedMapping) else None
