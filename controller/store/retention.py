"""Finds and deletes expired runs, due times, backfills and events in small batches, but never unfinished ones."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import Select, and_, delete, exists, func, or_, select

from controller.model.runs import TERMINAL, Outcome, RunId, RunState
from controller.store import backfills
from controller.store.schema import backfills as backfill_table
from controller.store.schema import events, occurrences, runs
from controller.store.store import Transaction

_FINAL = [state.value for state in TERMINAL]


def deployments_after(tx: Transaction, name: str, limit: int) -> list[str]:
    """Return the next `limit` deployment names after `name` that have runs or due times, whether active or not."""
    of_runs = select(runs.c.deployment).where(runs.c.project == tx.project, runs.c.deployment > name)
    of_times = select(occurrences.c.deployment).where(
        occurrences.c.project == tx.project, occurrences.c.deployment > name
    )
    names: set[str] = set()
    for query, column in ((of_runs, runs.c.deployment), (of_times, occurrences.c.deployment)):
        names.update(tx.connection.execute(query.distinct().order_by(column).limit(limit)).scalars())
    return sorted(names)[:limit]


def find_expired(tx: Transaction, deployment: str, *, keep: int, before: datetime | None, limit: int) -> list[RunId]:
    """Return up to `limit` expired runs of a deployment, oldest first.

    A finished run is expired if it finished before `before`, or if it is neither among the newest `keep` that were
    skipped nor among the newest `keep` others. So a flow that mostly has nothing to do keeps its other runs. The newest
    finished run never expires, and neither does the newest that was not skipped: health follows from it. Runs whose
    code a backfill will execute again are kept until then.
    """
    final = (runs.c.project == tx.project, runs.c.deployment == deployment, runs.c.state.in_(_FINAL))
    newest_first = select(runs.c.id).where(*final).order_by(runs.c.id.desc()).limit(1)
    is_kept = [tx.connection.execute(newest_first).scalar() or ""]
    is_expired = [] if before is None else [runs.c.finished_at < before]
    is_skipped = runs.c.state == RunState.SKIPPED.value
    for kind in (is_skipped, ~is_skipped):
        of_kind = newest_first.where(kind)
        last_kept = tx.connection.execute(of_kind.offset(max(1, keep) - 1)).scalar()
        is_expired.append(and_(kind, runs.c.id < (last_kept or "")))
    is_kept.append(tx.connection.execute(newest_first.where(~is_skipped)).scalar() or "")
    is_deletable = (or_(*is_expired), runs.c.id.not_in(is_kept), ~backfills.repeats_code())
    query = select(runs.c.id).where(*final, *is_deletable).order_by(runs.c.id).limit(limit)
    return [RunId(row.id) for row in tx.connection.execute(query)]


def delete_runs(tx: Transaction, run_ids: Collection[RunId]) -> None:
    """Delete finished runs and their attempts; their due times stay in the ledger."""
    if run_ids:
        backfills.keep_outcomes(tx, run_ids)
        tx.connection.execute(delete(runs).where(runs.c.id.in_(run_ids), runs.c.state.in_(_FINAL)))


def delete_due_times(
    tx: Transaction, deployment: str, *, skipped_before: datetime, run_before: datetime, limit: int
) -> int:
    """Delete up to `limit` due times: skipped ones before `skipped_before`, others before `run_before`.

    A due time before `run_before` remains as long as one of its runs is stored. Return how many were deleted.
    """
    old = _old_due_times(tx, deployment, skipped_before, run_before).order_by(occurrences.c.scheduled_for).limit(limit)
    return int(tx.connection.execute(delete(occurrences).where(occurrences.c.id.in_(old))).rowcount)


def has_old_due_times(tx: Transaction, deployment: str, *, skipped_before: datetime, run_before: datetime) -> bool:
    """Return whether `delete_due_times` deletes something."""
    old = _old_due_times(tx, deployment, skipped_before, run_before)
    return tx.connection.execute(old.limit(1)).first() is not None


def _old_due_times(
    tx: Transaction, deployment: str, skipped_before: datetime, run_before: datetime
) -> Select[tuple[int]]:
    has_run = exists().where(
        runs.c.project == occurrences.c.project,
        runs.c.deployment == occurrences.c.deployment,
        runs.c.scheduled_for == occurrences.c.scheduled_for,
    )
    is_old = or_(
        and_(occurrences.c.outcome == Outcome.SKIPPED.value, occurrences.c.scheduled_for < skipped_before),
        and_(occurrences.c.scheduled_for < run_before, ~has_run),
    )
    of_deployment = (occurrences.c.project == tx.project, occurrences.c.deployment == deployment)
    return select(occurrences.c.id).where(*of_deployment, is_old)


def delete_events(tx: Transaction, *, keep: int, before: datetime, limit: int) -> int:
    """Delete up to `limit` events that are not among the newest `keep`, or older than `before`. Return how many.

    The newest event is never deleted: SQLite would give its number to the next one, and readers that resume after
    a number would miss events.
    """
    old = _old_events(tx, keep, before).order_by(events.c.id).limit(limit)
    return int(tx.connection.execute(delete(events).where(events.c.id.in_(old))).rowcount)


def has_old_events(tx: Transaction, *, keep: int, before: datetime) -> bool:
    """Return whether `delete_events` deletes something."""
    old = _old_events(tx, keep, before).order_by(events.c.id)
    return tx.connection.execute(old.limit(1)).first() is not None


def _old_events(tx: Transaction, keep: int, before: datetime) -> Select[tuple[int]]:
    newest = select(func.max(events.c.id)).scalar_subquery()
    of_project = events.c.project == tx.project
    last_kept = tx.connection.execute(
        select(events.c.id).where(of_project).order_by(events.c.id.desc()).limit(1).offset(keep - 1)
    ).scalar()
    is_old = or_(events.c.id < (last_kept or 0), events.c.time < before)
    return select(events.c.id).where(of_project, events.c.id < newest, is_old)


def delete_backfills(tx: Transaction, *, before: datetime, limit: int) -> int:
    """Delete up to `limit` backfills that ended before `before`. Return how many."""
    old = _old_backfills(tx, before).order_by(backfill_table.c.finished_at).limit(limit)
    return int(tx.connection.execute(delete(backfill_table).where(backfill_table.c.id.in_(old))).rowcount)


def has_old_backfills(tx: Transaction, *, before: datetime) -> bool:
    """Return whether `delete_backfills` deletes something."""
    return tx.connection.execute(_old_backfills(tx, before).limit(1)).first() is not None


def _old_backfills(tx: Transaction, before: datetime) -> Select[tuple[str]]:
    is_old = (backfill_table.c.project == tx.project, backfill_table.c.finished_at < before)
    return select(backfill_table.c.id).where(*is_old)


def unknown_ids(tx: Transaction, run_ids: Iterable[str]) -> set[str]:
    """Return those of the ids that no run has."""
    candidates = list(run_ids)
    existing: set[str] = set()
    for start in range(0, len(candidates), 500):
        chunk = candidates[start : start + 500]
        existing.update(tx.connection.execute(select(runs.c.id).where(runs.c.id.in_(chunk))).scalars())
    return set(candidates) - existing
