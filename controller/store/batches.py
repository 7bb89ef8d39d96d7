"""Splits long lists of ids or names, because one statement should not contain too many of them."""

from collections.abc import Collection, Iterator, Sequence
from typing import TypeVar

Value = TypeVar("Value", bound=str)

SIZE = 500


def batches(values: Collection[Value]) -> Iterator[Sequence[Value]]:
    """Yield the distinct values, sorted, at most 500 at a time."""
    in_order = sorted(set(values))
    for start in range(0, len(in_order), SIZE):
        yield in_order[start : start + SIZE]
