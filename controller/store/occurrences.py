"""The ledger: one row for each due time of each deployment, for ever. The unique key is promise 1."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import insert, select

from controller.model.runs import Occurrence, Outcome, RunId
from controller.store.schema import occurrences
from controller.store.store import Transaction


def known(tx: Transaction, deployment: str, since: datetime, until: datetime) -> set[datetime]:
    """The due times in [since, until] that are accounted for already."""
    rows = tx.connection.execute(
        select(occurrences.c.scheduled_for).where(
            occurrences.c.project == tx.project,
            occurrences.c.deployment == deployment,
            occurrences.c.scheduled_for >= since,
            occurrences.c.scheduled_for <= until,
        )
    )
    return set(rows.scalars())


def append(tx: Transaction, new: Iterable[Occurrence]) -> None:
    """Account for these due times. A second row for one of them is an integrity error, on purpose."""
    rows = [
        {
            "project": tx.project,
            "deployment": occurrence.deployment,
            "scheduled_for": occurrence.scheduled_for,
            "schedule": occurrence.schedule,
            "outcome": occurrence.outcome.value,
            "run_id": occurrence.run_id,
            "reason": occurrence.reason,
        }
        for occurrence in new
    ]
    if rows:
        tx.connection.execute(insert(occurrences), rows)


def of(tx: Transaction, deployment: str, limit: int) -> list[Occurrence]:
    """The newest `limit` due times of a deployment, newest first."""
    rows = tx.connection.execute(
        select(occurrences)
        .where(occurrences.c.project == tx.project, occurrences.c.deployment == deployment)
        .order_by(occurrences.c.scheduled_for.desc())
        .limit(limit)
    )
    return [
        Occurrence(
            deployment=row.deployment,
            scheduled_for=row.scheduled_for,
            schedule=row.schedule,
            outcome=Outcome(row.outcome),
            run_id=None if row.run_id is None else RunId(row.run_id),
            reason=row.reason,
        )
        for row in rows
    ]
