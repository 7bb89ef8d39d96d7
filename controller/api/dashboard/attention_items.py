"""What needs attention, for the first page: one fault of git that several deployments have is one item."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from controller.queries.overview import Attention


def grouped(items: Sequence[Attention]) -> list[Attention]:
    """The same in the same order; neighbours with the same words about git, or the same title, are one."""
    found = []
    for _, group in groupby(enumerate(items), key=lambda pair: _key(*pair)):
        same = [one for _, one in group]
        first = same[0]
        if len(same) > 1 and first.deployment is not None:
            first = replace(first, title=f"{first.deployment} and {len(same) - 1} more are not valid", deployment=None)
        found.append(first)
    return found


def _key(index: int, one: Attention) -> str | int:
    """What neighbours have to share; a run is always alone."""
    if one.deployment is None:
        return one.title
    return one.message if one.title.endswith("is not valid") else index
