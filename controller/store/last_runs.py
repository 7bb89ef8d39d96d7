"""Summaries of the newest run of each deployment, for all deployments or only those that can have changed.

Ids sort by creation time, so the newest run is the one with the largest id. The summary of a skipped run has the newest
run that was not skipped, too. The summary of a run that waits for upstream deployments names them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import Row, func, select

from controller.model.runs import FAILURES, LastRun, RunId, RunState
from controller.store import gates, run_statistics
from controller.store.batches import batches
from controller.store.rows import from_row
from controller.store.schema import inventory, runs
from controller.store.sql_functions import without_index
from controller.store.store import Transaction

_COLUMNS = tuple(runs.columns[field.name] for field in fields(LastRun) if field.name in runs.columns)


def find_all(tx: Transaction) -> dict[str, LastRun]:
    """Return the newest run of every active deployment that has one, by deployment."""
    newest = _find_all(tx, with_skipped=True)
    skipped = [run for run in newest.values() if run.state is RunState.SKIPPED]
    before = _find_all(tx, with_skipped=False) if skipped else {}
    newest |= {run.deployment: replace(run, before=before.get(run.deployment)) for run in skipped}
    waits = _describe_gates(tx, newest.values())
    newest |= {run.deployment: replace(run, waits_for=waits[run.id]) for run in newest.values() if run.id in waits}
    return add_streaks(tx, newest)


def add_streaks(tx: Transaction, newest: Mapping[str, LastRun]) -> dict[str, LastRun]:
    """Return these newest runs of deployments with the consecutive failures up to them."""
    names = [name for name, run in newest.items() if (last := run.relevant) and _may_follow_failures(last)]
    streaks = run_statistics.failure_streaks(tx, names) if names else {}
    return {name: replace(run, streak=streaks.get(name)) for name, run in newest.items()}


def _may_follow_failures(run: LastRun) -> bool:
    return run.state in FAILURES or not run.state.is_terminal


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
    return None if row is None else add_streaks(tx, {deployment: _complete(tx, [_from_row(row)])[0]})[deployment]


def find_since(tx: Transaction, first: str) -> list[LastRun]:
    """Return the newest run of each deployment among the runs with an id of at least `first`."""
    query = select(*_COLUMNS).where(without_index(runs.c.project) == tx.project, runs.c.id >= first).order_by(runs.c.id)
    newest = {row.deployment: _from_row(row) for row in tx.connection.execute(query)}
    return _complete(tx, newest.values())


def find_many(tx: Transaction, ids: Collection[RunId]) -> list[LastRun]:
    """Return the runs with these ids."""
    return _complete(tx, [_from_row(row) for batch in batches(ids) for row in _select(tx, batch)])


def _select(tx: Transaction, ids: Sequence[RunId]) -> Sequence[Row[Any]]:
    return tx.connection.execute(select(*_COLUMNS).where(runs.c.id.in_(ids))).all()


def _complete(tx: Transaction, newest_runs: Collection[LastRun]) -> list[LastRun]:
    """Add to each skipped run the newest run before it that was not skipped, and to each waiting run what it waits for.

    This takes one statement for many runs.
    """
    before: dict[RunId, LastRun] = {}
    for batch in batches([run.id for run in newest_runs if run.state is RunState.SKIPPED]):
        skipped, earlier = runs.alias(), runs.alias()
        newest = (
            select(func.max(earlier.c.id))
            .where(
                earlier.c.project == skipped.c.project,
                earlier.c.deployment == skipped.c.deployment,
                earlier.c.id < skipped.c.id,
                earlier.c.state != RunState.SKIPPED.value,
            )
            .correlate(skipped)
            .scalar_subquery()
        )
        query = select(skipped.c.id.label("skipped"), *_COLUMNS).select_from(skipped)
        query = query.join(runs, runs.c.id == newest)
        for row in tx.connection.execute(query.where(skipped.c.id.in_(batch))):
            before[RunId(row.skipped)] = _from_row(row)
    waits = _describe_gates(tx, newest_runs)
    return [
        replace(run, before=before.get(run.id), waits_for=waits.get(run.id))
        if run.id in before or run.id in waits
        else run
        for run in newest_runs
    ]


def _describe_gates(tx: Transaction, newest_runs: Collection[LastRun]) -> dict[RunId, str]:
    """Return the upstream deployments that these runs of due times wait for, as a text for each run that waits."""
    ids = [run.id for run in newest_runs if run.state is RunState.PENDING and run.scheduled_for is not None]
    return gates.describe_waiting(tx, ids)


def _from_row(row: Any) -> LastRun:
    return from_row(LastRun, row, state=RunState(row.state), waits_for=None, before=None, streak=None)
