"""Summaries of the newest run of each deployment, for all deployments or only those that can have changed.

Ids sort by creation time, so the newest run is the one with the largest id.
"""

from collections.abc import Collection, Iterator
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, func, select

from controller.model.runs import LastRun, RunId, RunState
from controller.store.rows import from_row
from controller.store.schema import inventory, runs, unindexed
from controller.store.store import Transaction

_BATCH = 500
_COLUMNS = tuple(runs.columns[field.name] for field in fields(LastRun))


def find_all(tx: Transaction) -> dict[str, LastRun]:
    """Return the newest run of every active deployment that has one, by deployment."""
    is_active = (inventory.c.project == tx.project, inventory.c.removed_at.is_(None))
    own_runs = runs.alias()
    newest = (
        select(func.max(own_runs.c.id))
        .where(own_runs.c.project == tx.project, own_runs.c.deployment == inventory.c.name)
        .correlate(inventory)
        .scalar_subquery()
    )
    query = select(*_COLUMNS).select_from(inventory).join(runs, runs.c.id == newest).where(*is_active)
    return {row.deployment: _from_row(row) for row in tx.connection.execute(query)}


def find(tx: Transaction, deployment: str) -> LastRun | None:
    """Return the newest run of this deployment, or None."""
    is_own = (runs.c.project == tx.project, runs.c.deployment == deployment)
    row = tx.connection.execute(select(*_COLUMNS).where(*is_own).order_by(runs.c.id.desc()).limit(1)).first()
    return None if row is None else _from_row(row)


def find_since(tx: Transaction, first: str) -> Iterator[LastRun]:
    """Yield every run with an id of at least `first`, oldest first."""
    query = select(*_COLUMNS).where(unindexed(runs.c.project) == tx.project, runs.c.id >= first).order_by(runs.c.id)
    yield from map(_from_row, tx.connection.execute(query))


def find_many(tx: Transaction, ids: Collection[RunId]) -> Iterator[LastRun]:
    """Yield the runs with these ids."""
    in_order = sorted(ids)
    for start in range(0, len(in_order), _BATCH):
        is_in_batch: ColumnElement[bool] = runs.c.id.in_(in_order[start : start + _BATCH])
        yield from map(_from_row, tx.connection.execute(select(*_COLUMNS).where(is_in_batch)))


def _from_row(row: Any) -> LastRun:
    return from_row(LastRun, row, state=RunState(row.state))
