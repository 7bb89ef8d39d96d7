"""The ledger: one row per due time of each deployment. Its unique key guarantees promise 1: no due time runs twice."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from controller.model.runs import Occurrence, Outcome, Run
from controller.store.rows import from_row, to_row
from controller.store.schema import occurrences
from controller.store.store import Transaction

_CHUNK = 500
"""How many due times one statement may contain."""


def recorded_times(tx: Transaction, deployment: str, since: datetime, until: datetime) -> set[datetime]:
    """Return the due times in [since, until] that are already recorded, as runs or as skipped."""
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
    """Return the due times in [since, until] whose outcome is a run."""
    return _times(tx, deployment, since, until, Outcome.RUN)


def skipped_times(tx: Transaction, deployment: str, since: datetime, until: datetime) -> set[datetime]:
    """Return the due times in [since, until] that were skipped."""
    return _times(tx, deployment, since, until, Outcome.SKIPPED)


def _times(tx: Transaction, deployment: str, since: datetime, until: datetime, outcome: Outcome) -> set[datetime]:
    rows = tx.connection.execute(
        select(occurrences.c.scheduled_for).where(
            occurrences.c.project == tx.project,
            occurrences.c.deployment == deployment,
            occurrences.c.scheduled_for >= since,
            occurrences.c.scheduled_for <= until,
            occurrences.c.outcome == outcome.value,
        )
    )
    return set(rows.scalars())


def append(tx: Transaction, new: Iterable[Occurrence]) -> None:
    """Record due times. A second record of the same due time fails with an integrity error, on purpose."""
    rows = [to_row(tx, occurrences, occurrence) for occurrence in new]
    if rows:
        tx.connection.execute(insert(occurrences), rows)


def mark_skipped(tx: Transaction, run: Run, reason: str) -> None:
    """Change the outcome of this run's due time to skipped, because the run waited too long. Its `run_id` remains."""
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
    """Delete skipped due times after this instant, so that they can be decided again. Those with runs are kept."""
    tx.connection.execute(
        delete(occurrences).where(
            occurrences.c.project == tx.project,
            occurrences.c.outcome == Outcome.SKIPPED.value,
            occurrences.c.scheduled_for > instant,
        )
    )


def replace_with_runs(tx: Transaction, entries: Sequence[Occurrence]) -> None:
    """Record the runs of due times of one deployment that may have had other outcomes, or none (a backfill, a redo)."""
    for start in range(0, len(entries), _CHUNK):
        chunk = entries[start : start + _CHUNK]
        tx.connection.execute(
            delete(occurrences).where(
                occurrences.c.project == tx.project,
                occurrences.c.deployment == chunk[0].deployment,
                occurrences.c.scheduled_for.in_([entry.scheduled_for for entry in chunk]),
            )
        )
        append(tx, chunk)


def find_newest(
    tx: Transaction,
    deployment: str,
    limit: int,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    before: datetime | None = None,
) -> list[Occurrence]:
    """Return the newest `limit` due times of a deployment in [since, until] and earlier than `before`, newest first."""
    query = select(occurrences).where(occurrences.c.project == tx.project, occurrences.c.deployment == deployment)
    if since is not None:
        query = query.where(occurrences.c.scheduled_for >= since)
    if until is not None:
        query = query.where(occurrences.c.scheduled_for <= until)
    if before is not None:
        query = query.where(occurrences.c.scheduled_for < before)
    rows = tx.connection.execute(query.order_by(occurrences.c.scheduled_for.desc()).limit(limit))
    return [from_row(Occurrence, row, runs=(), outcome=Outcome(row.outcome)) for row in rows]
