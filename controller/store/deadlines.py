"""The table of deadlines: up to when each was evaluated, and which were missed. `notify.deadlines` writes it."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, exists, func, or_, select

from controller.model.notifications import DeadlineKind, DeadlineRecord, MissedDeadline
from controller.model.runs import ACTIVE, TERMINAL, Outcome, RunId, RunState, Trigger, first_id
from controller.records import dataclass
from controller.store.batches import batches
from controller.store.notification_tables import deadlines
from controller.store.rows import from_row
from controller.store.schema import occurrences, runs
from controller.store.sql_functions import upsert
from controller.store.store import Transaction

_KEY = ("project", "deployment", "kind")
_ACTIVE, _FINAL = ([state.value for state in states] for states in (ACTIVE, TERMINAL))
_MOST_RUNS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedRun:
    """When a run was due, was created, started and ended, and what it waits for."""

    id: RunId
    deployment: str
    state: RunState
    trigger: Trigger
    reason: str | None
    queue: str
    serial: bool
    scheduled_for: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


_RUN_COLUMNS = tuple(runs.columns[name] for name in TimedRun.__slots__)


def find_all(tx: Transaction, deployments: Collection[str] | None = None) -> list[DeadlineRecord]:
    """Return all records, or those of these deployments."""
    query = select(deadlines).where(deadlines.c.project == tx.project)
    queries = [query]
    if deployments is not None:
        queries = [query.where(deadlines.c.deployment.in_(group)) for group in batches(deployments)]
    return [
        DeadlineRecord(
            deployment=row.deployment,
            kind=DeadlineKind(row.kind),
            length=timedelta(seconds=row.length),
            checked_at=row.checked_at,
            miss=None if row.since is None else _miss(row),
        )
        for each in queries
        for row in tx.connection.execute(each)
    ]


def find_missed(tx: Transaction) -> list[MissedDeadline]:
    """Return the missed deadlines that are not met yet, by deployment."""
    is_missed = (deadlines.c.project == tx.project, deadlines.c.since.is_not(None))
    rows = tx.connection.execute(select(deadlines).where(*is_missed).order_by(deadlines.c.deployment, deadlines.c.kind))
    return [_miss(row) for row in rows]


def save(tx: Transaction, records: Iterable[DeadlineRecord]) -> None:
    """Save records; each replaces the one of the same deployment and kind."""
    rows = []
    for record in records:
        row: dict[str, Any] = {
            "project": tx.project,
            "deployment": record.deployment,
            "kind": record.kind.value,
            "length": record.length.total_seconds(),
            "checked_at": record.checked_at,
        }
        miss = record.miss
        for name in ("due_time", "deadline", "since", "run_id"):
            row[name] = getattr(miss, name, None)
        rows.append({**row, "count": 0 if miss is None else miss.count, "reason": "" if miss is None else miss.reason})
    if rows:
        statement = upsert(deadlines)
        changed = {name: statement.excluded[name] for name in rows[0] if name not in _KEY}
        tx.connection.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=changed), rows)


def remove(tx: Transaction, records: Iterable[DeadlineRecord]) -> None:
    """Delete records."""
    for record in records:
        is_own = (deadlines.c.project == tx.project, deadlines.c.deployment == record.deployment)
        tx.connection.execute(delete(deadlines).where(*is_own, deadlines.c.kind == record.kind.value))


def find_doubtful(tx: Transaction, policy_skips: Collection[str]) -> set[tuple[str, DeadlineKind]]:
    """Return the missed deadlines that may have been met since, or may no longer apply, with one statement.

    `policy_skips` are the reasons for which a due time is skipped without being missed.
    """
    is_own = and_(runs.c.project == deadlines.c.project, runs.c.deployment == deadlines.c.deployment)
    has_success = exists().where(is_own, runs.c.state == "succeeded", runs.c.finished_at > deadlines.c.checked_at)
    has_started = or_(runs.c.started_at.is_not(None), runs.c.state.in_(_FINAL))
    is_start = deadlines.c.kind == DeadlineKind.START_WITHIN.value
    has_come = or_(and_(is_start, has_started), runs.c.state.in_(_FINAL))
    is_skipped = exists().where(
        occurrences.c.project == deadlines.c.project,
        occurrences.c.deployment == deadlines.c.deployment,
        occurrences.c.scheduled_for == deadlines.c.due_time,
        occurrences.c.outcome == Outcome.SKIPPED.value,
        occurrences.c.reason.in_(list(policy_skips)),
    )
    without_run = and_(
        deadlines.c.run_id.is_(None),
        or_(is_skipped, exists().where(is_own, runs.c.scheduled_for >= deadlines.c.due_time)),
    )
    with_run = and_(
        deadlines.c.run_id.is_not(None),
        or_(
            exists().where(runs.c.id == deadlines.c.run_id, has_come), ~exists().where(runs.c.id == deadlines.c.run_id)
        ),
    )
    is_success = deadlines.c.kind == DeadlineKind.SUCCESS_EVERY.value
    is_doubtful = or_(and_(is_success, has_success), and_(~is_success, or_(with_run, without_run)))
    query = select(deadlines.c.deployment, deadlines.c.kind)
    rows = tx.connection.execute(
        query.where(deadlines.c.project == tx.project, deadlines.c.since.is_not(None), is_doubtful)
    )
    return {(row.deployment, DeadlineKind(row.kind)) for row in rows}


def last_success(tx: Transaction, deployment: str, until: datetime) -> datetime | None:
    """Return when the last successful run of this deployment ended, at or before `until`; None if none is stored."""
    is_success = (*_of(tx, deployment), runs.c.state == "succeeded", runs.c.finished_at <= until)
    end: datetime | None = tx.connection.execute(select(func.max(runs.c.finished_at)).where(*is_success)).scalar()
    return end


def find_due_runs(tx: Transaction, deployment: str, since: datetime, until: datetime) -> list[TimedRun]:
    """Return the newest 1,000 runs for the due times in [since, until], oldest first."""
    is_due = (*_of(tx, deployment), runs.c.scheduled_for >= since, runs.c.scheduled_for <= until)
    query = select(*_RUN_COLUMNS).where(*is_due).order_by(runs.c.scheduled_for.desc(), runs.c.id.desc())
    return [_timed(row) for row in tx.connection.execute(query.limit(_MOST_RUNS))][::-1]


def find_manual_runs(tx: Transaction, deployment: str, since: datetime, until: datetime) -> list[TimedRun]:
    """Return the newest 1,000 runs without a due time that were created in (since, until], oldest first."""
    is_created = (runs.c.id >= first_id(since), runs.c.created_at > since, runs.c.created_at <= until)
    query = select(*_RUN_COLUMNS).where(*_of(tx, deployment), runs.c.scheduled_for.is_(None), *is_created)
    return [_timed(row) for row in tx.connection.execute(query.order_by(runs.c.id.desc()).limit(_MOST_RUNS))][::-1]


def has_come_later(tx: Transaction, deployment: str, due_time: datetime, kind: DeadlineKind) -> bool:
    """Return whether a run of a later due time has started, or with `finish_within` has ended."""
    has_come: ColumnElement[bool] = runs.c.started_at.is_not(None)
    if kind is not DeadlineKind.START_WITHIN:
        has_come = and_(has_come, runs.c.state.in_(_FINAL))
    query = select(runs.c.id).where(*_of(tx, deployment), runs.c.scheduled_for > due_time, has_come)
    return tx.connection.execute(query.limit(1)).first() is not None


def find_active(tx: Transaction, deployments: Collection[str]) -> list[TimedRun]:
    """Return the unfinished runs of these deployments."""
    is_active = (runs.c.project == tx.project, runs.c.state.in_(_ACTIVE))
    rows = tx.connection.execute(select(*_RUN_COLUMNS).where(*is_active))
    return [_timed(row) for row in rows if row.deployment in deployments]


def find_in_progress(tx: Transaction) -> set[str]:
    """Return the deployments that have a run in progress."""
    states = [RunState.LAUNCHING.value, RunState.RUNNING.value, RunState.RETRYING.value]
    is_in_progress = (runs.c.project == tx.project, runs.c.state.in_(states))
    return set(tx.connection.execute(select(runs.c.deployment).distinct().where(*is_in_progress)).scalars())


def find_new_manual_runs(tx: Transaction, since: str) -> list[TimedRun]:
    """Return the runs without a due time whose ids are at least `since`."""
    is_new = (runs.c.id >= since, runs.c.scheduled_for.is_(None))
    rows = tx.connection.execute(select(*_RUN_COLUMNS).where(*is_new).order_by(runs.c.id))
    return [_timed(row) for row in rows]


def _of(tx: Transaction, deployment: str) -> tuple[ColumnElement[bool], ...]:
    return (runs.c.project == tx.project, runs.c.deployment == deployment)


def _miss(row: Row[Any]) -> MissedDeadline:
    return from_row(MissedDeadline, row, kind=DeadlineKind(row.kind))


def _timed(row: Row[Any]) -> TimedRun:
    return from_row(TimedRun, row, id=RunId(row.id), state=RunState(row.state), trigger=Trigger(row.trigger))
