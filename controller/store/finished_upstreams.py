"""The table of finished runs of upstream deployments that were not evaluated yet.

A run is recorded in the transaction of its outcome, and removed in the one that evaluates it. So each is evaluated
exactly once, whenever the controller is killed.
"""

from collections.abc import Collection

from sqlalchemy import bindparam, delete, exists, insert, select

from controller.model.runs import RunId
from controller.store.prepared import Prepared, listed
from controller.store.schema import runs
from controller.store.store import Transaction
from controller.store.trigger_tables import dependencies, finished_upstreams

_IS_OF_PROJECT = finished_upstreams.c.project == bindparam("project")
_RECORD = Prepared(
    insert(finished_upstreams).from_select(
        ["project", "deployment", "run_id"],
        select(runs.c.project, runs.c.deployment, runs.c.id).where(
            runs.c.id.in_(listed("ended")),
            runs.c.project == bindparam("project"),
            exists().where(dependencies.c.project == runs.c.project, dependencies.c.upstream == runs.c.deployment),
        ),
    )
)
_FIND = Prepared(
    select(finished_upstreams.c.id, finished_upstreams.c.run_id)
    .where(_IS_OF_PROJECT, finished_upstreams.c.id > bindparam("after"))
    .order_by(finished_upstreams.c.id)
    .limit(bindparam("limit"))
)


def record(tx: Transaction, ended: Collection[RunId]) -> None:
    """Record those of these runs whose deployment is an upstream of another one."""
    if ended:
        _RECORD.run(tx, project=tx.project, ended=list(ended))


def find(tx: Transaction, limit: int, *, after: int = 0) -> dict[int, RunId]:
    """Return up to `limit` runs with row numbers above `after`, in the order in which they were recorded."""
    return {row.id: RunId(row.run_id) for row in _FIND.fetch(tx, project=tx.project, after=after, limit=limit)}


def remove(tx: Transaction, numbers: Collection[int]) -> None:
    """Delete these rows, because their runs have been evaluated."""
    tx.connection.execute(delete(finished_upstreams).where(finished_upstreams.c.id.in_(numbers)))
