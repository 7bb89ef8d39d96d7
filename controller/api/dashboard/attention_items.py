"""Merges the "Needs attention" items of the overview page that have the same cause."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from controller.queries.attention import Attention, AttentionCode

_MERGED = {
    AttentionCode.INVALID_DEPLOYMENT: "are invalid",
    AttentionCode.NO_PYTHON: "wait for their Python environments",
}
"""How a merged item ends, by the codes of the deployments' items that are merged."""


def group_attention(items: Sequence[Attention]) -> list[Attention]:
    """Merge adjacent items: deployments with the same problem, and source items with the same title."""
    merged = []
    for _, group in groupby(enumerate(items), key=lambda pair: _key(*pair)):
        members = [item for _, item in group]
        first = members[0]
        if len(members) > 1 and first.code in _MERGED:
            title = f"{first.deployment} and {len(members) - 1} more {_MERGED[first.code]}"
            first = replace(first, title=title, deployment=None)
        merged.append(first)
    return merged


def _key(index: int, item: Attention) -> str | int:
    """Return the value that adjacent items must share to be merged; failed runs and holds are never merged."""
    if item.code in _MERGED:
        return f"{item.code} {item.message}"
    return item.title if item.deployment is None else index
