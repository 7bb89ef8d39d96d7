"""Lookups of the outcomes around failed runs, for notifications: what succeeded after, and before, and how many failed.

Each is one statement for many runs. It reads the runs of one deployment from a given one, by the index on ids.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import CTE, ScalarSelect, func, literal, select

from controller.model.runs import FAILURES, Run, RunId, RunState
from controller.records import dataclass
from controller.store.runs import find_all
from controller.store.schema import Instant, runs
from controller.store.sql_functions import rows
from controller.store.store import Transaction

_EARLIEST = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRun:
    """A run that failed. `next_id` is the next failed run of the deployment, None for the last."""

    deployment: str
    run_id: str
    next_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """When a run of the deployment succeeded."""

    deployment: str
    run_id: RunId
    finished_at: datetime


def next_successes(tx: Transaction, failed: Iterable[FailedRun]) -> list[Success]:
    """Return the first success after each of these failures that ended later, if it is before the next failed run."""
    listed = _listed(failed)
    own, same = runs.alias(), runs.alias()
    failed_at = select(same.c.finished_at).where(same.c.id == listed.c.run_id).correlate(listed).scalar_subquery()
    first = (
        select(func.min(own.c.id))
        .where(
            own.c.project == tx.project,
            own.c.deployment == listed.c.deployment,
            own.c.id > listed.c.run_id,
            (listed.c.next_id == "") | (own.c.id < listed.c.next_id),
            own.c.state == RunState.SUCCEEDED.value,
            own.c.finished_at > func.coalesce(failed_at, literal(_EARLIEST, Instant)),
        )
        .correlate(listed)
        .scalar_subquery()
    )
    query = select(runs.c.deployment, runs.c.id, runs.c.finished_at).join_from(listed, runs, runs.c.id == first)
    return [
        Success(deployment=row.deployment, run_id=RunId(row.id), finished_at=row.finished_at)
        for row in tx.connection.execute(query)
    ]


def last_successes(tx: Transaction, failed: Iterable[FailedRun]) -> dict[str, Run]:
    """Return the last success before each of these runs, by the id of the failed run."""
    listed = _listed(failed)
    query = select(listed.c.run_id, _last(tx, listed, (RunState.SUCCEEDED,)).label("success"))
    ids = {row.run_id: RunId(row.success) for row in tx.connection.execute(query) if row.success is not None}
    successes = find_all(tx, sorted(set(ids.values())))
    return {failed_id: successes[success_id] for failed_id, success_id in ids.items()}


def count_failures(tx: Transaction, failed: Iterable[FailedRun]) -> dict[str, int]:
    """Return how many runs failed in a row, up to each of these runs, by its id.

    A run that succeeded or was cancelled ends the count, as in `controller.store.run_statistics.failure_streaks`.
    """
    listed = _listed(failed)
    own = runs.alias()
    end = _last(tx, listed, (RunState.SUCCEEDED, RunState.CANCELLED))
    ends = select(listed.c.deployment, listed.c.run_id, func.coalesce(end, "").label("end"))
    ended = ends.cte("ended").prefix_with("MATERIALIZED")
    count = (
        select(func.count())
        .where(
            own.c.project == tx.project,
            own.c.deployment == ended.c.deployment,
            own.c.id > ended.c.end,
            own.c.id <= ended.c.run_id,
            own.c.state.in_([state.value for state in FAILURES]),
        )
        .correlate(ended)
        .scalar_subquery()
    )
    counts = tx.connection.execute(select(ended.c.run_id, count.label("failures")))
    return {row.run_id: row.failures for row in counts}


def _last(tx: Transaction, listed: CTE, states: Iterable[RunState]) -> ScalarSelect[str]:
    own = runs.alias()
    return (
        select(own.c.id)
        .where(
            own.c.project == tx.project,
            own.c.deployment == listed.c.deployment,
            own.c.id < listed.c.run_id,
            own.c.state.in_([state.value for state in states]),
        )
        .order_by(own.c.id.desc())
        .limit(1)
        .correlate(listed)
        .scalar_subquery()
    )


def _listed(failed: Iterable[FailedRun]) -> CTE:
    listed = [(each.deployment, each.run_id, each.next_id or "") for each in failed]
    columns = rows(json.dumps(listed), "deployment", "run_id", "next_id")
    return select(*columns).cte("listed").prefix_with("MATERIALIZED")
