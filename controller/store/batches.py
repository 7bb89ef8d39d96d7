"""Splits long lists of ids, names or rows, because one statement should not contain too many of them."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value", bound=str)

SIZE = 500


def groups(values: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the values in their order, at most 500 at a time. A generator is read only as far as needed."""
    remaining = iter(values)
    while group := list(islice(remaining, SIZE)):
        yield group


def batches(values: Collection[Value]) -> Iterator[Sequence[Value]]:
    """Yield the distinct values, sorted, at most 500 at a time."""
    in_order = sorted(set(values))
    for start in range(0, len(in_order), SIZE):
        yield in_order[start : start + SIZE]
