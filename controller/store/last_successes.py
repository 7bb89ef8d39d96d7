"""When deployments last succeeded. Called by `controller.queries.last_successes`, which remembers the result."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import or_, select

from controller.model.runs import ACTIVE, RunId, RunState
from controller.records import dataclass
from controller.store.schema import runs
from controller.store.sql_functions import elements, without_index
from controller.store.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """A run, and when it ended; None for a run that has not."""

    id: RunId
    deployment: str
    state: RunState
    finished_at: datetime | None


def find(tx: Transaction, deployments: Collection[str]) -> dict[str, datetime]:
    """Return when the newest successful run of each of these deployments ended, with one statement.

    Reads the runs of each deployment back to that run, all of them if none was successful.
    """
    names = select(elements(deployments).c.value.label("name"))
    named = names.cte("named").prefix_with("MATERIALIZED")
    own_runs = runs.alias()
    newest = (
        select(own_runs.c.id)
        .where(own_runs.c.project == tx.project, own_runs.c.deployment == named.c.name)
        .where(without_index(own_runs.c.state) == RunState.SUCCEEDED.value)
        .order_by(own_runs.c.id.desc())
        .limit(1)
        .correlate(named)
        .scalar_subquery()
    )
    query = select(named.c.name, runs.c.finished_at).join_from(named, runs, runs.c.id == newest)
    rows = tx.connection.execute(query.where(runs.c.finished_at.is_not(None)))
    return {row.name: row.finished_at for row in rows}


def find_unfinished(tx: Transaction) -> set[RunId]:
    """Return the ids of all unfinished runs."""
    states = [state.value for state in ACTIVE]
    rows = tx.connection.execute(select(runs.c.id).where(runs.c.project == tx.project, runs.c.state.in_(states)))
    return {RunId(row.id) for row in rows}


def find_ends(tx: Transaction, first: str, ids: Collection[RunId]) -> list[RunEnd]:
    """Return the runs with an id of at least `first`, and those with one of these ids."""
    named = select(elements(ids).c.value)
    query = select(runs.c.id, runs.c.deployment, runs.c.state, runs.c.finished_at).where(
        without_index(runs.c.project) == tx.project, or_(runs.c.id >= first, runs.c.id.in_(named))
    )
    return [
        RunEnd(id=RunId(row.id), deployment=row.deployment, state=RunState(row.state), finished_at=row.finished_at)
        for row in tx.connection.execute(query)
    ]
