"""Runs that match questions, newest first: all of them, or a page at a time.

A page costs the same however many runs there are. What an index answers (a deployment, or states) narrows the look;
for the other questions a page looks at a bounded stretch of history, and says where to go on, also if it found
nothing there. Ids sort by the time of their making and never change, so that runs which come meanwhile move nothing.
"""

import heapq
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, select, true

from controller.model.runs import ACTIVE, Run, RunState, first_id
from controller.store.runs import from_row
from controller.store.schema import runs, unindexed
from controller.store.store import Transaction

LOOKED_AT = 10_000
"""How many runs of a deployment, of a state, or of all, a page looks at."""
_STEP_BACK = timedelta(hours=1)
"""Runs that are made after the clock stepped back have ids of the time before; a question `until` allows for this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs are asked for; None leaves a question out. `revision` may be the beginning of a commit's id."""

    deployment: str | None = None
    states: Collection[RunState] | None = None
    tag: str | None = None
    trigger: str | None = None
    revision: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """Some runs; those after them have ids before `next`, which is None at the end."""

    runs: list[Run]
    next: str | None


def select_all(tx: Transaction, wanted: RunFilter, limit: int | None = None) -> list[Run]:
    """The runs that match, newest first; at most `limit`."""
    found = (_matching(wanted, indexed, None).limit(limit) for indexed in _branches(tx, wanted))
    return _newest((_runs(tx, query) for query in found), limit)


def run_tags(tx: Transaction) -> set[str]:
    """Every tag that a run has. It reads all runs."""
    tag = func.json_each(runs.c.tags).table_valued("value")
    query = (
        select(tag.c.value)
        .select_from(runs.join(tag, true()))
        .where(unindexed(runs.c.project) == tx.project)
        .distinct()
    )
    return set(tx.connection.execute(query).scalars())


def runs_page(
    tx: Transaction, wanted: RunFilter, *, limit: int, before: str | None = None, looked_at: int = LOOKED_AT
) -> RunPage:
    """Up to `limit` of the runs that match and have ids before this one, among the next `looked_at` there are."""
    is_narrow = not _others(wanted)
    floor, parts = "", []
    for indexed in _branches(tx, wanted):
        query = _matching(wanted, indexed, before)
        if not is_narrow:
            seen = select(runs.c.id).where(*indexed, *_bounds(wanted, before)).order_by(runs.c.id.desc())
            last = tx.connection.execute(seen.limit(1).offset(looked_at - 1)).scalar() or ""
            query, floor = query.where(runs.c.id >= last), max(floor, last)
        parts.append(_runs(tx, query.limit(limit + 1)))
    found = [run for run in _newest(parts, limit + 1) if run.id >= floor]
    if len(found) > limit:
        return RunPage(runs=found[:limit], next=found[limit - 1].id)
    return RunPage(runs=found, next=floor or None)


def _branches(tx: Transaction, wanted: RunFilter) -> list[tuple[ColumnElement[bool], ...]]:
    """The looks that are to be made, each along one index; together they see each run that matches once."""
    mine = runs.c.project == tx.project
    if wanted.states is not None and _is_by_state(wanted):
        return [(mine, runs.c.state == state.value) for state in sorted(set(wanted.states))]
    if wanted.deployment is not None:
        return [(mine, runs.c.deployment == wanted.deployment)]
    # All runs of a project go by their ids: an index that begins with the project would only be sorted again.
    return [(unindexed(runs.c.project) == tx.project,)]


def _is_by_state(wanted: RunFilter) -> bool:
    """Runs that are not final are few; of the others there are fewer of one deployment than in one state."""
    return wanted.states is not None and (wanted.deployment is None or ACTIVE.issuperset(wanted.states))


def _matching(wanted: RunFilter, indexed: Iterable[ColumnElement[bool]], before: str | None) -> Select[Any]:
    query = select(runs).where(*indexed, *_bounds(wanted, before), *_others(wanted))
    return query.order_by(runs.c.id.desc())


def _bounds(wanted: RunFilter, before: str | None) -> list[ColumnElement[bool]]:
    asked: list[ColumnElement[bool]] = []
    if before is not None:
        asked.append(runs.c.id < before)
    if wanted.since is not None:
        asked.append(runs.c.id >= first_id(wanted.since))
    if wanted.until is not None:
        asked.append(runs.c.id < first_id(wanted.until + _STEP_BACK))
    return asked


def _others(wanted: RunFilter) -> list[ColumnElement[bool]]:
    asked: list[ColumnElement[bool]] = []
    if wanted.deployment is not None and _is_by_state(wanted):
        asked.append(unindexed(runs.c.deployment) == wanted.deployment)
    elif wanted.deployment is not None and wanted.states is not None:
        asked.append(unindexed(runs.c.state).in_([state.value for state in wanted.states]))
    if wanted.trigger is not None:
        asked.append(runs.c.trigger == wanted.trigger)
    if wanted.since is not None:
        asked.append(runs.c.created_at >= wanted.since)
    if wanted.until is not None:
        asked.append(runs.c.created_at < wanted.until)
    if wanted.revision is not None:
        begins = runs.c.revision.contains(f":{wanted.revision}", autoescape=True)
        asked.append((runs.c.revision == wanted.revision) | begins)
    if wanted.tag is not None:
        tag = func.json_each(runs.c.tags).table_valued("value")
        asked.append(exists(select(1).select_from(tag).where(tag.c.value == wanted.tag)))
    return asked


def _runs(tx: Transaction, query: Select[Any]) -> list[Run]:
    return [from_row(row) for row in tx.connection.execute(query)]


def _newest(parts: Iterable[list[Run]], limit: int | None) -> list[Run]:
    return list(heapq.merge(*parts, key=lambda run: run.id, reverse=True))[:limit]
