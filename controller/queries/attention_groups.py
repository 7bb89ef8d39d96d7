"""Groups the problems that have the same cause, so that one broken database is one row and not ten. Pure.

The overview page shows the groups in the order of their first problem.
"""

from collections.abc import Iterable
from dataclasses import field
from datetime import datetime

from controller.model import INTERNAL
from controller.model.failure_cause import cause_key, shared_cause
from controller.queries.attention import Attention, AttentionCode
from controller.records import dataclass

MOST_SUBJECTS = 20
MOST_GROUPS = 100
"""The number of groups that lists in the JSON have."""
_SHARED = {
    AttentionCode.INVALID_DEPLOYMENT: "are invalid",
    AttentionCode.NO_PYTHON: "wait for their Python environments",
    AttentionCode.NO_UPSTREAM: "wait for a deployment that is not active",
    AttentionCode.NO_FILES: "have files that start no runs",
    AttentionCode.NO_EXECUTOR: "wait for an executor that the controller does not have",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionGroup:
    """Problems with the same cause, in the order of `rank`; mostly a single one.

    - `title`, `cause`: describe all of them. `since`: when the first of them began.
    - `count`: the number of problems. `subjects`: the first 20 of what has them.
    """

    code: AttentionCode
    kind: str
    title: str
    cause: str
    since: datetime | None
    count: int
    subjects: tuple[str, ...]
    items: tuple[Attention, ...] = field(metadata=INTERNAL)


def group_attention(items: Iterable[Attention]) -> list[AttentionGroup]:
    """Group the problems of deployments by cause, and those of the source by title."""
    groups: dict[object, list[Attention]] = {}
    for index, item in enumerate(items):
        groups.setdefault(_key(index, item), []).append(item)
    return [_group(members) for members in groups.values()]


def _key(index: int, item: Attention) -> object:
    if item.code in _SHARED:
        return item.code, item.message
    if item.code is AttentionCode.FAILED_RUN and (key := cause_key(item.message)):
        return item.code, key
    return item.title if item.deployment is None else index


def _group(members: list[Attention]) -> AttentionGroup:
    first = members[0]
    title, cause = first.title, first.message
    more = len(members) - 1
    if more and first.code in _SHARED:
        title = f"{first.deployment} and {more} more {_SHARED[first.code]}"
    elif more and first.code is AttentionCode.FAILED_RUN:
        title, cause = f"{len(members)} deployments fail", shared_cause(first.message)
    starts = [item.since for item in members if item.since is not None]
    return AttentionGroup(
        code=first.code,
        kind=first.kind,
        title=title,
        cause=cause,
        since=min(starts, default=None),
        count=len(members),
        subjects=tuple(item.subject for item in members[:MOST_SUBJECTS]),
        items=tuple(members),
    )
