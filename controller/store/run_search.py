"""Searches for runs by criteria, newest first: all matches at once, or page by page.

The cost of a page does not depend on the number of runs. Criteria with an index (deployment or states) narrow the
search. For other criteria a page examines a limited part of the history, and returns where the next page begins, even
if nothing matched. Ids sort by creation time and never change, so new runs do not shift pages.
"""

import heapq
from collections.abc import Collection, Iterable
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, select, true

from controller.model.runs import ACTIVE, Run, RunId, RunState, first_id
from controller.records import dataclass
from controller.store.runs import from_row
from controller.store.schema import backfill_times, runs
from controller.store.sql_functions import elements, without_index
from controller.store.store import Transaction

MAX_EXAMINED = 10_000
"""The number of runs (of a deployment, of a state, or of all) that are examined for one page."""
_STEP_BACK = timedelta(hours=1)
"""How far the clock may be set back: new runs then still get ids of the time before. `until` allows for this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Criteria for runs; those that are None do not apply.

    `revision` may be a prefix of a commit id. With `is_adopted`, the runs of `backfill` include those that it adopted.
    """

    deployment: str | None = None
    states: Collection[RunState] | None = None
    tag: str | None = None
    trigger: str | None = None
    revision: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    backfill: str | None = None
    is_adopted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """A page of runs. Pass `next` as `before` to get the next page; it is None on the last one."""

    runs: list[Run]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPoint:
    """A run in a chart of durations: what is needed of a row. `seconds` is how long its attempts took."""

    id: RunId
    deployment: str
    state: RunState
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    seconds: float | None = None


def select_all(tx: Transaction, criteria: RunFilter, limit: int | None = None) -> list[Run]:
    """Return the runs that match, newest first, at most `limit`."""
    queries = (_matching(criteria, indexed, None).limit(limit) for indexed in _branches(tx, criteria))
    return _newest((_runs(tx, query) for query in queries), limit)


def select_oldest(
    tx: Transaction, criteria: RunFilter, *, after: str, newest: str, limit: int | None = None
) -> list[Run]:
    """Return the runs that match with ids above `after` up to `newest`, oldest first, at most `limit`."""
    parts = []
    for indexed in _branches(tx, criteria):
        query = _matching(criteria, indexed, None).where(runs.c.id > after, runs.c.id <= newest)
        parts.append(_runs(tx, query.order_by(None).order_by(runs.c.id).limit(limit)))
    return list(heapq.merge(*parts, key=lambda run: run.id))[:limit]


def run_tags(tx: Transaction) -> set[str]:
    """Return the tags of all runs. This reads every run."""
    tag = elements(runs.c.tags)
    query = (
        select(tag.c.value)
        .select_from(runs.join(tag, true()))
        .where(without_index(runs.c.project) == tx.project)
        .distinct()
    )
    return set(tx.connection.execute(query).scalars())


def runs_page(
    tx: Transaction, criteria: RunFilter, *, limit: int, before: str | None = None, max_examined: int = MAX_EXAMINED
) -> RunPage:
    """Return up to `limit` matching runs with ids below `before`, out of the next `max_examined` runs."""
    queries, floor = _page_queries(tx, criteria, before, max_examined)
    parts = [_runs(tx, query.limit(limit + 1)) for query in queries]
    matches = [run for run in _newest(parts, limit + 1) if run.id >= floor]
    if len(matches) > limit:
        return RunPage(runs=matches[:limit], next=matches[limit - 1].id)
    return RunPage(runs=matches, next=floor or None)


def newest_points(
    tx: Transaction, criteria: RunFilter, *, limit: int, max_examined: int = MAX_EXAMINED
) -> list[RunPoint]:
    """Return the newest `limit` matches, newest first, out of the newest `max_examined` runs."""
    columns = [runs.c[field.name] for field in fields(RunPoint) if field.name in runs.c]
    queries, floor = _page_queries(tx, criteria, None, max_examined)
    rows = [row for query in queries for row in tx.connection.execute(query.with_only_columns(*columns).limit(limit))]
    newest = sorted((row for row in rows if row.id >= floor), key=lambda row: row.id, reverse=True)[:limit]
    return [RunPoint(**{**row._mapping, "state": RunState(row.state).public}) for row in newest]


def count_matching(tx: Transaction, criteria: RunFilter, *, max_examined: int = MAX_EXAMINED) -> tuple[int, bool]:
    """Return the number of matches among the newest `max_examined` runs, and whether these are all."""
    count, left = 0, max_examined
    conditions = _unindexed_conditions(criteria)
    for indexed in _branches(tx, criteria):
        is_match = case((and_(*conditions), 1), else_=0) if conditions else literal(1)
        rows = (
            select(is_match.label("is_match"))
            .where(*indexed, *_bounds(criteria, None))
            .order_by(runs.c.id.desc())
            .limit(left + 1)
        )
        examined = rows.subquery()
        query = select(func.count(), func.sum(examined.c.is_match)).select_from(examined)
        number, matches = tx.connection.execute(query).one()
        if number > left:
            return min(count + (matches or 0), max_examined), False
        count, left = count + (matches or 0), left - number
    return count, True


def _page_queries(
    tx: Transaction, criteria: RunFilter, before: str | None, max_examined: int
) -> tuple[list[Select[Any]], str]:
    """Return the queries for the matches among the next runs, and the lowest id that all of them have examined."""
    floor, queries = "", []
    for indexed in _branches(tx, criteria):
        query = _matching(criteria, indexed, before)
        if _unindexed_conditions(criteria):
            examined = select(runs.c.id).where(*indexed, *_bounds(criteria, before)).order_by(runs.c.id.desc())
            last = tx.connection.execute(examined.limit(1).offset(max_examined - 1)).scalar() or ""
            query, floor = query.where(runs.c.id >= last), max(floor, last)
        queries.append(query)
    return queries, floor


def _branches(tx: Transaction, criteria: RunFilter) -> list[tuple[ColumnElement[bool], ...]]:
    """Return the conditions of the queries to make, each served by one index. A matching run is in exactly one."""
    of_project = runs.c.project == tx.project
    if criteria.backfill is not None:
        own = (of_project, runs.c.backfill_id == criteria.backfill)
        return [own, (without_index(runs.c.project) == tx.project, *_adopted(criteria.backfill))][
            : 1 + criteria.is_adopted
        ]
    if criteria.states is not None and _is_by_state(criteria):
        return [(of_project, runs.c.state == state.value) for state in sorted(set(criteria.states))]
    if criteria.deployment is not None:
        return [(of_project, runs.c.deployment == criteria.deployment)]
    # Use the primary key: with an index that begins with the project, the result would have to be sorted.
    return [(without_index(runs.c.project) == tx.project,)]


def _adopted(backfill_id: str) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for runs of due times of a backfill that it did not create."""
    latest = select(backfill_times.c.run_id).where(backfill_times.c.backfill_id == backfill_id)
    is_foreign = without_index(runs.c.backfill_id).is_distinct_from(backfill_id)
    return runs.c.id.in_(latest.where(backfill_times.c.run_id.is_not(None))), is_foreign


def _is_by_state(criteria: RunFilter) -> bool:
    """Return whether to search by state: for unfinished runs, which are few, or if no deployment is given."""
    if criteria.backfill is not None:
        return False
    return criteria.states is not None and (criteria.deployment is None or ACTIVE.issuperset(criteria.states))


def _matching(criteria: RunFilter, indexed: Iterable[ColumnElement[bool]], before: str | None) -> Select[Any]:
    query = select(runs).where(*indexed, *_bounds(criteria, before), *_unindexed_conditions(criteria))
    return query.order_by(runs.c.id.desc())


def _bounds(criteria: RunFilter, before: str | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if before is not None:
        conditions.append(runs.c.id < before)
    if criteria.since is not None:
        conditions.append(runs.c.id >= first_id(criteria.since))
    if criteria.until is not None:
        conditions.append(runs.c.id < first_id(criteria.until + _STEP_BACK))
    return conditions


def _unindexed_conditions(criteria: RunFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if criteria.deployment is not None and (criteria.backfill is not None or _is_by_state(criteria)):
        conditions.append(without_index(runs.c.deployment) == criteria.deployment)
    if criteria.states is not None and (criteria.backfill or (criteria.deployment and not _is_by_state(criteria))):
        conditions.append(without_index(runs.c.state).in_([state.value for state in criteria.states]))
    if criteria.trigger is not None:
        conditions.append(runs.c.trigger == criteria.trigger)
    if criteria.since is not None:
        conditions.append(runs.c.created_at >= criteria.since)
    if criteria.until is not None:
        conditions.append(runs.c.created_at < criteria.until)
    if criteria.revision is not None:
        begins = runs.c.revision.contains(f":{criteria.revision}", autoescape=True)
        conditions.append((runs.c.revision == criteria.revision) | begins)
    if criteria.tag is not None:
        tag = elements(runs.c.tags)
        conditions.append(exists(select(1).select_from(tag).where(tag.c.value == criteria.tag)))
    return conditions


def _runs(tx: Transaction, query: Select[Any]) -> list[Run]:
    return [from_row(row) for row in tx.connection.execute(query)]


def _newest(parts: Iterable[list[Run]], limit: int | None) -> list[Run]:
    return list(heapq.merge(*parts, key=lambda run: run.id, reverse=True))[:limit]
