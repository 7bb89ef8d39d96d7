"""What the last pass found at the source: one row a project."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import case, insert, select, update

from controller.model.status import SourceStatus, Withheld
from controller.store import json_columns
from controller.store.schema import source
from controller.store.store import Transaction


def find(tx: Transaction) -> SourceStatus | None:
    """The source's status, None before the first pass."""
    row = tx.connection.execute(select(source).where(source.c.project == tx.project)).first()
    if row is None:
        return None
    return SourceStatus(
        repo=row.repo,
        ref=row.ref,
        revision=row.revision,
        last_attempted_revision=row.last_attempted_revision,
        last_applied_revision=row.last_applied_revision,
        conditions=json_columns.from_json(row.conditions),
        findings=json_columns.findings_from_json(row.findings),
        withheld=row.withheld and Withheld(**{**row.withheld, "deployments": tuple(row.withheld["deployments"])}),
        approved=row.approved,
        followed=row.followed,
        watch_problem=row.watch_problem,
        overdue_since=row.overdue_since,
        environment=row.environment,
    )


def save(tx: Transaction, status: SourceStatus) -> None:
    """Replace the source's status. An approval stays for as long as what it names is withheld."""
    digest = None if status.withheld is None else status.withheld.digest
    values: dict[str, Any] = {
        "project": tx.project,
        "repo": status.repo,
        "ref": status.ref,
        "revision": status.revision,
        "last_attempted_revision": status.last_attempted_revision,
        "last_applied_revision": status.last_applied_revision,
        "conditions": json_columns.to_json(status.conditions),
        "findings": json_columns.findings_to_json(status.findings),
        "followed": status.followed,
        "watch_problem": status.watch_problem,
        "overdue_since": status.overdue_since,
        "withheld": None if status.withheld is None else asdict(status.withheld),
        "environment": status.environment,
        "approved": case((source.c.approved == digest, source.c.approved), else_=None),
    }
    done = tx.connection.execute(update(source).where(source.c.project == tx.project).values(**values))
    if not done.rowcount:
        tx.connection.execute(insert(source).values(**{**values, "approved": None}))


def set_repository(tx: Transaction, repo: str) -> None:
    """Record that this repository is followed from now on."""
    tx.connection.execute(update(source).where(source.c.project == tx.project).values(repo=repo))


def approve(tx: Transaction, digest: str) -> None:
    """Release the deletions of this digest, to be carried out by the next pass."""
    tx.connection.execute(update(source).where(source.c.project == tx.project).values(approved=digest))


def mark_watching(tx: Transaction, problem: str | None) -> None:
    """Record why changes are not watched for; None if they are. Nothing is recorded before the first pass."""
    tx.connection.execute(update(source).where(source.c.project == tx.project).values(watch_problem=problem))


def mark_overdue(tx: Transaction, since: datetime | None) -> None:
    """Record when a pass began that has not ended in time; None once it has. Nothing before the first pass."""
    tx.connection.execute(update(source).where(source.c.project == tx.project).values(overdue_since=since))
