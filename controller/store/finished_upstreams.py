"""The table of finished runs of upstream deployments that were not evaluated yet.

A run is recorded in the transaction of its outcome, and removed in the one that evaluates it. So each is evaluated
exactly once, whenever the controller is killed.
"""

from collections.abc import Collection

from sqlalchemy import delete, exists, insert, literal, select

from controller.model.runs import RunId
from controller.store.schema import runs
from controller.store.store import Transaction
from controller.store.trigger_tables import dependencies, finished_upstreams


def record(tx: Transaction, ended: Collection[RunId]) -> None:
    """Record those of these runs whose deployment is an upstream of another one."""
    if not ended:
        return
    is_upstream = exists().where(dependencies.c.project == runs.c.project, dependencies.c.upstream == runs.c.deployment)
    rows = select(literal(tx.project), runs.c.deployment, runs.c.id).where(
        runs.c.id.in_(ended), runs.c.project == tx.project, is_upstream
    )
    tx.connection.execute(insert(finished_upstreams).from_select(["project", "deployment", "run_id"], rows))


def find(tx: Transaction, limit: int, *, after: int = 0) -> dict[int, RunId]:
    """Return up to `limit` runs with row numbers above `after`, in the order in which they were recorded."""
    query = select(finished_upstreams.c.id, finished_upstreams.c.run_id).where(
        finished_upstreams.c.project == tx.project, finished_upstreams.c.id > after
    )
    rows = tx.connection.execute(query.order_by(finished_upstreams.c.id).limit(limit))
    return {row.id: RunId(row.run_id) for row in rows}


def remove(tx: Transaction, numbers: Collection[int]) -> None:
    """Delete these rows, because their runs have been evaluated."""
    tx.connection.execute(delete(finished_upstreams).where(finished_upstreams.c.id.in_(numbers)))
