"""Merges the "Needs attention" items of the overview page that have the same cause."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from controller.queries.overview import Attention, AttentionCode


def group_attention(items: Sequence[Attention]) -> list[Attention]:
    """Merge adjacent items: invalid deployments with the same message, and source items with the same title."""
    merged = []
    for _, group in groupby(enumerate(items), key=lambda pair: _key(*pair)):
        members = [item for _, item in group]
        first = members[0]
        if len(members) > 1 and first.code is AttentionCode.INVALID_DEPLOYMENT:
            first = replace(first, title=f"{first.deployment} and {len(members) - 1} more are invalid", deployment=None)
        merged.append(first)
    return merged


def _key(index: int, item: Attention) -> str | int:
    """Return the value that adjacent items must share to be merged; failed runs and holds are never merged."""
    if item.code is AttentionCode.INVALID_DEPLOYMENT:
        return item.message
    return item.title if item.deployment is None else index
