"""The table of upstream runs that count for deployments without schedules, and of the runs that they released."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, exists, select, update
from sqlalchemy.dialects.sqlite import insert

from controller.model.runs import RunId
from controller.store.rows import from_row, to_row
from controller.store.schema import runs
from controller.store.store import Transaction
from controller.store.trigger_tables import releases

_NEW = insert(releases)
_SAVE = _NEW.on_conflict_do_update(
    index_elements=("project", "deployment", "upstream", "chain"),
    set_={name: _NEW.excluded[name] for name in ("upstream_run_id", "finished_at", "run_id")},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """An upstream run that counts for `deployment`, and the run that it released; None if it has not released one yet.

    All runs of the same due time, or of the same chain of retries, have the same `chain`.
    """

    deployment: str
    upstream: str
    chain: str
    upstream_run_id: RunId
    finished_at: datetime
    run_id: RunId | None = None


def find(tx: Transaction, deployment: str, upstream: str, chain: str) -> Release | None:
    """Return what is recorded for this chain of upstream runs, or None."""
    row = tx.connection.execute(
        select(releases).where(
            releases.c.project == tx.project,
            releases.c.deployment == deployment,
            releases.c.upstream == upstream,
            releases.c.chain == chain,
        )
    ).first()
    return None if row is None else _from_row(row)


def save(tx: Transaction, release: Release) -> None:
    """Record an upstream run; it replaces an earlier one of the same chain."""
    tx.connection.execute(_SAVE, to_row(tx, releases, release))


def find_pending(tx: Transaction, deployment: str) -> list[Release]:
    """Return the upstream runs that have not released a run of this deployment yet, in the order of their ends."""
    rows = tx.connection.execute(
        select(releases)
        .where(releases.c.project == tx.project, releases.c.deployment == deployment, releases.c.run_id.is_(None))
        .order_by(releases.c.finished_at, releases.c.upstream_run_id)
    )
    return [_from_row(row) for row in rows]


def mark_released(tx: Transaction, consumed: Collection[Release], run_id: RunId) -> None:
    """Record that these upstream runs have released this run."""
    for release in consumed:
        is_release = (
            releases.c.project == tx.project,
            releases.c.deployment == release.deployment,
            releases.c.upstream == release.upstream,
            releases.c.chain == release.chain,
        )
        tx.connection.execute(update(releases).where(*is_release).values(run_id=run_id))


def delete_pending(tx: Transaction, deployment: str, upstream: str) -> None:
    """Delete upstream runs that have not released a run, because the deployment does not wait for them any more."""
    tx.connection.execute(
        delete(releases).where(
            releases.c.project == tx.project,
            releases.c.deployment == deployment,
            releases.c.upstream == upstream,
            releases.c.run_id.is_(None),
        )
    )


def delete_old(tx: Transaction, deployment: str) -> None:
    """Delete the records of released runs of this deployment that are no longer stored."""
    tx.connection.execute(
        delete(releases).where(
            releases.c.project == tx.project,
            releases.c.deployment == deployment,
            releases.c.run_id.is_not(None),
            ~exists().where(runs.c.id == releases.c.run_id),
        )
    )


def _from_row(row: Row[Any]) -> Release:
    return from_row(Release, row, upstream_run_id=RunId(row.upstream_run_id), run_id=row.run_id and RunId(row.run_id))
