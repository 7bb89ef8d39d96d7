"""The newest run of each deployment, in short: read for all, or only where something can have changed.

Ids sort by the time of their making, so the newest run is the one with the largest id.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select

from controller.model.runs import RunId, RunState
from controller.store.schema import inventory, runs, unindexed
from controller.store.store import Transaction

_AT_ONCE = 500
_COLUMNS = (
    runs.c.id,
    runs.c.deployment,
    runs.c.state,
    runs.c.reason,
    runs.c.scheduled_for,
    runs.c.created_at,
    runs.c.started_at,
    runs.c.finished_at,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """A run without what only its own page shows."""

    id: RunId
    deployment: str
    state: RunState
    reason: str | None
    scheduled_for: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def find_all(tx: Transaction) -> dict[str, LastRun]:
    """Of every deployment in force that has any."""
    in_force = (inventory.c.project == tx.project, inventory.c.removed_at.is_(None))
    mine = runs.alias()
    newest = (
        select(func.max(mine.c.id))
        .where(mine.c.project == tx.project, mine.c.deployment == inventory.c.name)
        .correlate(inventory)
        .scalar_subquery()
    )
    query = select(*_COLUMNS).select_from(inventory).join(runs, runs.c.id == newest).where(*in_force)
    return {row.deployment: _from_row(row) for row in tx.connection.execute(query)}


def find(tx: Transaction, deployment: str) -> LastRun | None:
    """Of this one."""
    mine = (runs.c.project == tx.project, runs.c.deployment == deployment)
    row = tx.connection.execute(select(*_COLUMNS).where(*mine).order_by(runs.c.id.desc()).limit(1)).first()
    return None if row is None else _from_row(row)


def find_since(tx: Transaction, first: str) -> Iterator[LastRun]:
    """Every run whose id does not sort before this, oldest first."""
    query = select(*_COLUMNS).where(unindexed(runs.c.project) == tx.project, runs.c.id >= first).order_by(runs.c.id)
    yield from map(_from_row, tx.connection.execute(query))


def find_many(tx: Transaction, ids: Collection[RunId]) -> Iterator[LastRun]:
    """The runs of these ids."""
    left = sorted(ids)
    for start in range(0, len(left), _AT_ONCE):
        mine: ColumnElement[bool] = runs.c.id.in_(left[start : start + _AT_ONCE])
        yield from map(_from_row, tx.connection.execute(select(*_COLUMNS).where(mine)))


def _from_row(row: Any) -> LastRun:
    values = row._asdict()
    return LastRun(**{**values, "id": RunId(row.id), "state": RunState(row.state)})
