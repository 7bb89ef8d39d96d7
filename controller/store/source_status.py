"""The table with the status of the source as of the last pass, one row per project."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import bindparam, case, insert, select, update

from controller.model.status import SourceStatus, Withheld
from controller.store import json_columns
from controller.store.prepared import Prepared
from controller.store.rows import from_row, to_row
from controller.store.schema import source
from controller.store.store import Transaction

_APPLIED = Prepared(select(source.c.last_applied_revision).where(source.c.project == bindparam("project")))


def find(tx: Transaction) -> SourceStatus | None:
    """Return the status of the source; None before the first pass."""
    row = tx.connection.execute(select(source).where(source.c.project == tx.project)).first()
    if row is None:
        return None
    return from_row(
        SourceStatus,
        row,
        conditions=json_columns.from_json(row.conditions),
        findings=json_columns.findings_from_json(row.findings),
        withheld=row.withheld and Withheld(**{**row.withheld, "deployments": tuple(row.withheld["deployments"])}),
    )


def find_attempted_revision(tx: Transaction) -> str | None:
    """Return the revision of the last pass; None before the first one."""
    query = select(source.c.last_attempted_revision).where(source.c.project == tx.project)
    revision: str | None = tx.connection.execute(query).scalar()
    return revision


def applied_revision(tx: Transaction) -> str | None:
    """Return the last applied revision of the source; None before the first one."""
    return next((row.last_applied_revision for row in _APPLIED.fetch(tx, project=tx.project)), None)


def save(tx: Transaction, status: SourceStatus) -> None:
    """Save the status of the source. An approval is kept while the deletions that it approves are withheld."""
    digest = None if status.withheld is None else status.withheld.digest
    values = to_row(
        tx,
        source,
        status,
        conditions=json_columns.to_json(status.conditions),
        findings=json_columns.findings_to_json(status.findings),
        withheld=None if status.withheld is None else asdict(status.withheld),
        approved=case((source.c.approved == digest, source.c.approved), else_=None),
    )
    result = tx.connection.execute(update(source).where(source.c.project == tx.project).values(**values))
    if not result.rowcount:
        tx.connection.execute(insert(source).values(**{**values, "approved": None}))


def set_repository(tx: Transaction, repo: str) -> None:
    """Record that the state belongs to this repository from now on."""
    tx.connection.execute(update(source).where(source.c.project == tx.project).values(repo=repo))


def set_project(tx: Transaction, name: str) -> None:
    """Record that the state is that of this project."""
    tx.connection.execute(update(source).where(source.c.project == tx.project).values(project_name=name))


def approve(tx: Transaction, digest: str) -> None:
    """Approve the withheld deletions with this digest. The next pass applies them."""
    tx.connection.execute(update(source).where(source.c.project == tx.project).values(approved=digest))


def mark_watching(tx: Transaction, problem: str | None) -> None:
    """Record why changes are not watched for, None if they are. Does nothing before the first pass."""
    tx.connection.execute(update(source).where(source.c.project == tx.project).values(watch_problem=problem))


def mark_overdue(tx: Transaction, since: datetime | None) -> None:
    """Record when the overdue pass began, None once it has finished. Does nothing before the first pass."""
    tx.connection.execute(update(source).where(source.c.project == tx.project).values(overdue_since=since))
