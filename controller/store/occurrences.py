"""The ledger: one row for each due time of each deployment, for ever. The unique key is promise 1."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from controller.model.runs import Occurrence, Outcome, Run, RunId
from controller.store.schema import occurrences
from controller.store.store import Transaction


def recorded_times(tx: Transaction, deployment: str, since: datetime, until: datetime) -> set[datetime]:
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


def times_with_run(tx: Transaction, deployment: str, since: datetime, until: datetime) -> set[datetime]:
    """The due times in [since, until] that have become runs."""
    rows = tx.connection.execute(
        select(occurrences.c.scheduled_for).where(
            occurrences.c.project == tx.project,
            occurrences.c.deployment == deployment,
            occurrences.c.scheduled_for >= since,
            occurrences.c.scheduled_for <= until,
            occurrences.c.outcome == Outcome.RUN.value,
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


def mark_skipped(tx: Transaction, run: Run, reason: str) -> None:
    """The run that this due time became has waited in vain: it is a skip, which still names the run."""
    tx.connection.execute(
        update(occurrences)
        .where(
            occurrences.c.project == tx.project,
            occurrences.c.deployment == run.deployment,
            occurrences.c.scheduled_for == run.scheduled_for,
            occurrences.c.run_id == run.id,
        )
        .values(outcome=Outcome.SKIPPED.value, reason=reason)
    )


def delete_skipped_after(tx: Transaction, instant: datetime) -> None:
    """Delete the skips of due times after this instant. Those that had a run keep their row, and get no other one."""
    tx.connection.execute(
        delete(occurrences).where(
            occurrences.c.project == tx.project,
            occurrences.c.outcome == Outcome.SKIPPED.value,
            occurrences.c.scheduled_for > instant,
        )
    )


def replace_with_run(tx: Transaction, occurrence: Occurrence) -> None:
    """A due time that was skipped, or that nothing is known of, becomes this run after all."""
    is_it = (
        occurrences.c.project == tx.project,
        occurrences.c.deployment == occurrence.deployment,
        occurrences.c.scheduled_for == occurrence.scheduled_for,
    )
    tx.connection.execute(delete(occurrences).where(*is_it))
    append(tx, [occurrence])


def find_newest(
    tx: Transaction,
    deployment: str,
    limit: int,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    before: datetime | None = None,
) -> list[Occurrence]:
    """The newest `limit` due times of a deployment in [since, until], and earlier than `before`, newest first."""
    query = select(occurrences).where(occurrences.c.project == tx.project, occurrences.c.deployment == deployment)
    if since is not None:
        query = query.where(occurrences.c.scheduled_for >= since)
    if until is not None:
        query = query.where(occurrences.c.scheduled_for <= until)
    if before is not None:
        query = query.where(occurrences.c.scheduled_for < before)
    rows = tx.connection.execute(query.order_by(occurrences.c.scheduled_for.desc()).limit(limit))
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
