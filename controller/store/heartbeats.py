"""The table of heartbeats: the runs whose start or end must still be signalled. `notify.heartbeats` writes it.

The newest run stays recorded after its end was signalled, and so does each run that is not much older: they mark up to
where runs were read.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, or_, select

from controller.model.runs import RunId, RunState
from controller.records import dataclass
from controller.store.notification_tables import heartbeats
from controller.store.schema import runs
from controller.store.sql_functions import upsert
from controller.store.store import Transaction


class SignalState(StrEnum):
    """The part of a run that was signalled: nothing yet, its start, or its end."""

    WAITING = "waiting"
    STARTED = "started"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalledRun:
    """A run, and what was signalled of it; `signalled` is None for a run that is not recorded yet."""

    id: RunId
    deployment: str
    state: RunState
    reason: str | None
    started_at: datetime | None
    signalled: SignalState | None


def newest_id(tx: Transaction) -> str | None:
    """Return the newest id that is recorded; None before the first one."""
    query = select(func.max(heartbeats.c.run_id)).where(heartbeats.c.project == tx.project)
    run_id: str | None = tx.connection.execute(query).scalar()
    return run_id


def find_unsignalled(tx: Transaction, deployments: Collection[str], since: str) -> list[SignalledRun]:
    """Return the recorded runs of these deployments, and those with ids of at least `since`, oldest first.

    Those whose end was signalled are left out. It is one statement.
    """
    recorded = select(heartbeats.c.run_id).where(heartbeats.c.project == tx.project)
    open_ids = recorded.where(heartbeats.c.state != SignalState.ENDED.value)
    query = (
        select(runs.c.id, runs.c.deployment, runs.c.state, runs.c.reason, runs.c.started_at, heartbeats.c.state)
        .select_from(runs.outerjoin(heartbeats, heartbeats.c.run_id == runs.c.id))
        .where(or_(runs.c.id.in_(open_ids), runs.c.id >= since))
        .order_by(runs.c.id)
    )
    return [
        SignalledRun(
            id=RunId(row[0]),
            deployment=row[1],
            state=RunState(row[2]),
            reason=row[3],
            started_at=row[4],
            signalled=None if row[5] is None else SignalState(row[5]),
        )
        for row in tx.connection.execute(query)
        if row[1] in deployments and row[5] != SignalState.ENDED.value
    ]


def save(tx: Transaction, signalled: Iterable[tuple[str, str, SignalState]]) -> None:
    """Record what was signalled of runs, as tuples of the deployment, the run's id and the state."""
    rows: list[dict[str, Any]] = [
        {"project": tx.project, "deployment": deployment, "run_id": run_id, "state": state.value}
        for deployment, run_id, state in signalled
    ]
    if rows:
        statement = upsert(heartbeats)
        changed = {"state": statement.excluded["state"]}
        tx.connection.execute(statement.on_conflict_do_update(index_elements=["project", "run_id"], set_=changed), rows)


def delete_ended(tx: Transaction, before: str) -> None:
    """Delete the records of runs whose end was signalled, with ids below `before`, except for the newest record."""
    newest = select(func.max(heartbeats.c.run_id)).where(heartbeats.c.project == tx.project).scalar_subquery()
    is_ended = (heartbeats.c.project == tx.project, heartbeats.c.state == SignalState.ENDED.value)
    is_old = (heartbeats.c.run_id < before, heartbeats.c.run_id < newest)
    tx.connection.execute(delete(heartbeats).where(*is_ended, *is_old))


def delete_others(tx: Transaction, deployments: Collection[str]) -> None:
    """Delete the records of other deployments than these; of all if there are none, also the mark."""
    is_other = heartbeats.c.deployment.not_in([*deployments, *([""] if deployments else [])])
    tx.connection.execute(delete(heartbeats).where(heartbeats.c.project == tx.project, is_other))
