"""The table of upstream runs that count for deployments without schedules, and of the runs that they released."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, delete, exists, select, update

from controller.model.runs import RunId
from controller.records import dataclass
from controller.store.prepared import Prepared, listed, listed_rows
from controller.store.rows import from_row, to_row
from controller.store.schema import runs
from controller.store.sql_functions import upsert
from controller.store.store import Transaction
from controller.store.trigger_tables import releases

_NEW = upsert(releases)
_SAVE = _NEW.on_conflict_do_update(
    index_elements=("project", "deployment", "upstream", "chain"),
    set_={name: _NEW.excluded[name] for name in ("upstream_run_id", "finished_at", "run_id")},
)
_KEYS = listed_rows("keys", "deployment", "upstream", "chain").cte("keys")
_FIND_ALL = Prepared(
    select(releases).select_from(
        _KEYS.outerjoin(  # an outer join makes SQLite begin with the keys, and look up each of them
            releases,
            and_(
                releases.c.project == bindparam("project"),
                releases.c.deployment == _KEYS.c.deployment,
                releases.c.upstream == _KEYS.c.upstream,
                releases.c.chain == _KEYS.c.chain,
            ),
        )
    )
)
_PENDING = Prepared(
    select(releases)
    .where(
        releases.c.project == bindparam("project"),
        releases.c.deployment.in_(listed("names")),
        releases.c.run_id.is_(None),
    )
    .order_by(releases.c.finished_at, releases.c.upstream_run_id)
)
_MARK_RELEASED = (
    update(releases)
    .where(
        releases.c.project == bindparam("of_project"),
        releases.c.deployment == bindparam("of_deployment"),
        releases.c.upstream == bindparam("of_upstream"),
        releases.c.chain == bindparam("of_chain"),
    )
    .values(run_id=bindparam("released"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """An upstream run that counts for `deployment`, and the run that it released; None if it has not released one yet.

    All runs of the same due time, or of the same chain of retries, have the same `chain`. `first_run_id` is the first
    of them that has counted.
    """

    deployment: str
    upstream: str
    chain: str
    upstream_run_id: RunId
    finished_at: datetime
    first_run_id: RunId
    run_id: RunId | None = None


def find_all(tx: Transaction, keys: Collection[tuple[str, str, str]]) -> dict[tuple[str, str, str], Release]:
    """Return what is recorded for each of these deployments about a chain of an upstream deployment.

    A key consists of the deployment, the upstream deployment and the chain.
    """
    rows = _FIND_ALL.fetch(tx, project=tx.project, keys=[list(key) for key in keys]) if keys else ()
    found = [_from_row(row) for row in rows if row.deployment is not None]
    return {(each.deployment, each.upstream, each.chain): each for each in found}


def save_all(tx: Transaction, new: Iterable[Release]) -> None:
    """Record upstream runs; each replaces an earlier one of the same chain, but for the first one of the chain."""
    rows = [to_row(tx, releases, release) for release in new]
    if rows:
        tx.connection.execute(_SAVE, rows)


def find_pending(tx: Transaction, deployments: Collection[str]) -> dict[str, list[Release]]:
    """Return the upstream runs that have not released a run of these deployments yet, in the order of their ends."""
    by_deployment: dict[str, list[Release]] = {}
    for row in _PENDING.fetch(tx, project=tx.project, names=sorted(deployments)):
        by_deployment.setdefault(row.deployment, []).append(_from_row(row))
    return by_deployment


def mark_released(tx: Transaction, used: Iterable[tuple[Release, RunId]]) -> None:
    """Record which run each of these upstream runs has released."""
    rows = [
        {
            "of_project": tx.project,
            "of_deployment": release.deployment,
            "of_upstream": release.upstream,
            "of_chain": release.chain,
            "released": run_id,
        }
        for release, run_id in used
    ]
    if rows:
        tx.connection.execute(_MARK_RELEASED, rows)


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
    """Delete the records of this deployment whose released run and upstream run are no longer stored."""
    tx.connection.execute(delete(releases).where(*_is_old(tx, deployment)))


def has_old(tx: Transaction, deployment: str) -> bool:
    """Return whether `delete_old` deletes something."""
    query = select(releases.c.deployment).where(*_is_old(tx, deployment))
    return tx.connection.execute(query.limit(1)).first() is not None


def _is_old(tx: Transaction, deployment: str) -> tuple[ColumnElement[bool], ...]:
    return (
        releases.c.project == tx.project,
        releases.c.deployment == deployment,
        releases.c.run_id.is_not(None),
        ~exists().where(runs.c.id == releases.c.run_id),
        ~exists().where(runs.c.id == releases.c.upstream_run_id),
    )


def _from_row(row: Row[Any]) -> Release:
    ids = {"upstream_run_id": RunId(row.upstream_run_id), "first_run_id": RunId(row.first_run_id)}
    return from_row(Release, row, **ids, run_id=row.run_id and RunId(row.run_id))
