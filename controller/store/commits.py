"""The table of commits that passes have seen, with what each of them added, changed and removed."""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, delete, func, insert, select

from controller.model.commits import Commit, DeploymentNames, RecordedCommit, commit_id
from controller.store.rows import from_row, to_row
from controller.store.schema import commits, inventory
from controller.store.store import Transaction

MAX_RECORDS = 5000
_BATCH = 500
_NAMES = ("added", "changed", "removed")


def save(tx: Transaction, new: Iterable[RecordedCommit]) -> None:
    """Record these commits, oldest first, except those that are recorded already.

    Old commits are deleted, except those that changed or removed a deployment of the inventory.
    """
    by_sha = {commit.sha: commit for commit in new}
    known = set(_shas(tx, by_sha))
    rows = [_to_row(tx, commit) for sha, commit in by_sha.items() if sha not in known]
    if not rows:
        return
    tx.connection.execute(insert(commits), rows)
    of_project = commits.c.project == tx.project
    newest = tx.connection.execute(select(func.max(commits.c.id)).where(of_project)).scalar() or 0
    is_used = commits.c.sha.in_(
        select(inventory.c.changed_in).where(inventory.c.project == tx.project, inventory.c.changed_in.is_not(None))
    )
    tx.connection.execute(delete(commits).where(of_project, commits.c.id <= newest - MAX_RECORDS, ~is_used))


def find(tx: Transaction, revision: str | None) -> Commit | None:
    """Return the commit of a revision, or with this id; None if it is not recorded, or no revision of git."""
    sha = commit_id(revision) if revision and ":" in revision else revision
    if not sha:
        return None
    row = tx.connection.execute(select(commits).where(commits.c.project == tx.project, commits.c.sha == sha)).first()
    return None if row is None else from_row(Commit, row)


def find_all(tx: Transaction, revisions: Iterable[str]) -> dict[str, Commit]:
    """Return the recorded commits of these revisions, by the id of the commit, with one statement."""
    shas = sorted({sha for revision in revisions if (sha := commit_id(revision))})
    query = select(commits).where(commits.c.project == tx.project, commits.c.sha.in_(shas))
    return {row.sha: from_row(Commit, row) for row in tx.connection.execute(query)} if shas else {}


def latest(tx: Transaction, limit: int, before: str | None = None) -> list[RecordedCommit]:
    """Return the newest commits, newest first; with `before`, only those that were recorded before this one."""
    query = select(commits).where(commits.c.project == tx.project).order_by(commits.c.id.desc()).limit(limit)
    if before is not None:
        start = select(commits.c.id).where(commits.c.project == tx.project, commits.c.sha == before)
        query = query.where(commits.c.id < start.scalar_subquery())
    return [_from_row(row) for row in tx.connection.execute(query)]


def between(tx: Transaction, earlier: str, later: str, limit: int) -> list[RecordedCommit]:
    """Return the commits after that of the revision `earlier`, up to that of `later`, newest first, at most `limit`.

    None if one of the two is not recorded.
    """
    ids = [
        select(commits.c.id).where(commits.c.project == tx.project, commits.c.sha == commit_id(each)).scalar_subquery()
        for each in (earlier, later)
    ]
    query = select(commits).where(commits.c.project == tx.project, commits.c.id > ids[0], commits.c.id <= ids[1])
    return [_from_row(row) for row in tx.connection.execute(query.order_by(commits.c.id.desc()).limit(limit))]


def _shas(tx: Transaction, shas: Collection[str]) -> Iterable[str]:
    candidates = list(shas)
    for start in range(0, len(candidates), _BATCH):
        is_listed = commits.c.sha.in_(candidates[start : start + _BATCH])
        yield from tx.connection.execute(
            select(commits.c.sha).where(commits.c.project == tx.project, is_listed)
        ).scalars()


def _to_row(tx: Transaction, commit: RecordedCommit) -> dict[str, Any]:
    return to_row(tx, commits, commit, **{name: asdict(getattr(commit, name)) for name in _NAMES})


def _from_row(row: Row[Any]) -> RecordedCommit:
    names = {name: _deployments(getattr(row, name)) for name in _NAMES}
    return from_row(RecordedCommit, row, **names)


def _deployments(value: dict[str, Any]) -> DeploymentNames:
    return DeploymentNames(count=value["count"], names=tuple(value["names"]))
