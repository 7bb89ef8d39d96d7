"""Summaries of the newest run of each deployment, for all deployments or only those that can have changed.

Ids sort by creation time, so the newest run is the one with the largest id. The summary of a skipped run has the newest
run that was not skipped, too.
"""

from collections.abc import Collection, Iterator
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import ColumnElement, func, select

from controller.model.runs import LastRun, RunId, RunState
from controller.store.rows import from_row
from controller.store.schema import inventory, runs, without_index
from controller.store.store import Transaction

_BATCH = 500
_COLUMNS = tuple(runs.columns[field.name] for field in fields(LastRun) if field.name in runs.columns)


def find_all(tx: Transaction) -> dict[str, LastRun]:
    """Return the newest run of every active deployment that has one, by deployment."""
    newest = _find_all(tx, with_skipped=True)
    skipped = [run for run in newest.values() if run.state is RunState.SKIPPED]
    before = _find_all(tx, with_skipped=False) if skipped else {}
    return newest | {run.deployment: replace(run, before=before.get(run.deployment)) for run in skipped}


def _find_all(tx: Transaction, *, with_skipped: bool) -> dict[str, LastRun]:
    is_active = (inventory.c.project == tx.project, inventory.c.removed_at.is_(None))
    own_runs = runs.alias()
    is_candidate = () if with_skipped else (own_runs.c.state != RunState.SKIPPED.value,)
    newest = (
        select(func.max(own_runs.c.id))
        .where(own_runs.c.project == tx.project, own_runs.c.deployment == inventory.c.name, *is_candidate)
        .correlate(inventory)
        .scalar_subquery()
    )
    query = select(*_COLUMNS).select_from(inventory).join(runs, runs.c.id == newest).where(*is_active)
    return {row.deployment: _from_row(row) for row in tx.connection.execute(query)}


def find(tx: Transaction, deployment: str) -> LastRun | None:
    """Return the newest run of this deployment, or None."""
    is_own = (runs.c.project == tx.project, runs.c.deployment == deployment)
    row = tx.connection.execute(select(*_COLUMNS).where(*is_own).order_by(runs.c.id.desc()).limit(1)).first()
    return None if row is None else _complete(tx, _from_row(row))


def _complete(tx: Transaction, run: LastRun) -> LastRun:
    """Add the newest run before a skipped run that was not skipped."""
    if run.state is not RunState.SKIPPED:
        return run
    is_earlier = (runs.c.project == tx.project, runs.c.deployment == run.deployment, runs.c.id < run.id)
    is_relevant = (*is_earlier, runs.c.state != RunState.SKIPPED.value)
    row = tx.connection.execute(select(*_COLUMNS).where(*is_relevant).order_by(runs.c.id.desc()).limit(1)).first()
    return run if row is None else replace(run, before=_from_row(row))


def find_since(tx: Transaction, first: str) -> Iterator[LastRun]:
    """Yield every run with an id of at least `first`, oldest first."""
    query = select(*_COLUMNS).where(without_index(runs.c.project) == tx.project, runs.c.id >= first).order_by(runs.c.id)
    for row in tx.connection.execute(query).all():
        yield _complete(tx, _from_row(row))


def find_many(tx: Transaction, ids: Collection[RunId]) -> Iterator[LastRun]:
    """Yield the runs with these ids."""
    in_order = sorted(ids)
    for start in range(0, len(in_order), _BATCH):
        is_in_batch: ColumnElement[bool] = runs.c.id.in_(in_order[start : start + _BATCH])
        for row in tx.connection.execute(select(*_COLUMNS).where(is_in_batch)).all():
            yield _complete(tx, _from_row(row))


def _from_row(row: Any) -> LastRun:
    return from_row(LastRun, row, state=RunState(row.state), before=None)
