"""The tables of files that have started runs, and of folders whose files can't. The file watcher writes them."""

import os
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, tuple_, update

from controller.model.triggers import FileVersion, SeenFile, WatchProblem
from controller.store.rows import from_row, to_row
from controller.store.schema import inventory
from controller.store.sql_functions import upsert
from controller.store.store import Transaction
from controller.store.trigger_tables import seen_files, watch_problems

MAX_PATHS = 500
"""How many paths one statement may contain."""
_KEY = ("project", "deployment", "path")


def find(tx: Transaction, deployment: str, paths: Collection[str]) -> dict[str, FileVersion]:
    """Return the recorded versions of these files of a deployment, by path. At most `MAX_PATHS` paths."""
    is_of_deployment = (seen_files.c.project == tx.project, seen_files.c.deployment == deployment)
    is_named = seen_files.c.path.in_([os.fsencode(path) for path in paths])
    rows = tx.connection.execute(select(seen_files).where(*is_of_deployment, is_named))
    versions = (_version(row) for row in rows)
    return {version.path: version for version in versions}


def save(tx: Transaction, files: Iterable[SeenFile], now: datetime) -> None:
    """Record versions of files; each replaces the earlier version of the same file."""
    rows = [
        {
            "project": tx.project,
            "deployment": file.deployment,
            "path": os.fsencode(file.version.path),
            "inode": _signed(file.version.inode),
            "size": file.version.size,
            "modified_ns": file.version.modified_ns,
            "seen_at": now,
            "run_id": file.run_id,
            "missing_since": None,
        }
        for file in files
    ]
    if rows:
        statement = upsert(seen_files)
        changed = {name: statement.excluded[name] for name in rows[0] if name not in _KEY}
        tx.connection.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=changed), rows)


def page(tx: Transaction, after: tuple[str, str], limit: int) -> list[SeenFile]:
    """Return the next `limit` recorded files after this deployment and path, in their order."""
    key = tuple_(seen_files.c.deployment, seen_files.c.path)
    is_next = (seen_files.c.project == tx.project, key > tuple_(after[0], os.fsencode(after[1])))
    rows = tx.connection.execute(
        select(seen_files).where(*is_next).order_by(seen_files.c.deployment, seen_files.c.path).limit(limit)
    )
    return [
        SeenFile(deployment=row.deployment, version=_version(row), run_id=row.run_id, missing_since=row.missing_since)
        for row in rows
    ]


def record_missing(tx: Transaction, files: Iterable[SeenFile], since: datetime | None) -> None:
    """Record that these files have been missing since a time; None: that they exist."""
    for where in _each(tx, files):
        tx.connection.execute(update(seen_files).where(*where).values(missing_since=since))


def forget(tx: Transaction, files: Iterable[SeenFile]) -> None:
    """Delete the records of these files: if they come back, they start runs again."""
    for where in _each(tx, files):
        tx.connection.execute(delete(seen_files).where(*where))


def forget_removed(tx: Transaction) -> None:
    """Delete the records of the files of deployments that were deleted, and whose tombstone has expired."""
    tx.connection.execute(delete(seen_files).where(*_is_removed(tx)))


def has_removed(tx: Transaction) -> bool:
    """Return whether `forget_removed` deletes something."""
    return tx.connection.execute(select(seen_files.c.path).where(*_is_removed(tx)).limit(1)).first() is not None


def _is_removed(tx: Transaction) -> tuple[ColumnElement[bool], ...]:
    names = select(inventory.c.name).where(inventory.c.project == tx.project)
    return seen_files.c.project == tx.project, seen_files.c.deployment.not_in(names)


def find_problems(tx: Transaction, deployment: str | None = None) -> list[WatchProblem]:
    """Return the problems of watched folders, or those of one deployment, by deployment and folder."""
    query = select(watch_problems).where(watch_problems.c.project == tx.project)
    if deployment is not None:
        query = query.where(watch_problems.c.deployment == deployment)
    rows = tx.connection.execute(query.order_by(watch_problems.c.deployment, watch_problems.c.path))
    return [from_row(WatchProblem, row) for row in rows]


def replace_problems(tx: Transaction, problems: Iterable[WatchProblem]) -> None:
    """Replace all problems of watched folders."""
    tx.connection.execute(delete(watch_problems).where(watch_problems.c.project == tx.project))
    rows = [to_row(tx, watch_problems, problem) for problem in problems]
    if rows:
        tx.connection.execute(insert(watch_problems), rows)


def _each(tx: Transaction, files: Iterable[SeenFile]) -> Iterable[tuple[Any, ...]]:
    """Yield the conditions that select these files, one deployment and at most `MAX_PATHS` files at a time."""
    by_deployment: dict[str, list[bytes]] = {}
    for file in files:
        by_deployment.setdefault(file.deployment, []).append(os.fsencode(file.version.path))
    for deployment, paths in by_deployment.items():
        for start in range(0, len(paths), MAX_PATHS):
            is_of_deployment = (seen_files.c.project == tx.project, seen_files.c.deployment == deployment)
            yield *is_of_deployment, seen_files.c.path.in_(paths[start : start + MAX_PATHS])


def _version(row: Row[Any]) -> FileVersion:
    return FileVersion(path=os.fsdecode(row.path), inode=row.inode % 2**64, size=row.size, modified_ns=row.modified_ns)


def _signed(inode: int) -> int:
    """Return an inode number as SQLite stores integers: some file systems use all 64 bits."""
    return inode - 2**64 if inode >= 2**63 else inode
