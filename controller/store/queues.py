"""The queues: their limits, waiting and running runs, and the changes of waiting runs that become due with time."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, case, delete, exists, func, insert, literal, or_, select, update

from controller.model.backfills import BackfillState
from controller.model.gates import join_names, join_texts
from controller.model.queues import EVERYTHING, SHORTAGE, ActiveRuns, Load, QueuedRun
from controller.model.runs import RunId, RunState, Trigger
from controller.store import gates, holds
from controller.store.prepared import Prepared, listed, one_of
from controller.store.schema import IS_REDO, Instant, backfills, queues, runs
from controller.store.sql_functions import without_index
from controller.store.store import Transaction

_OF_OTHER_TABLES = ("parallel", "is_paused", "waits_for", "upstreams")
"""The fields of a `QueuedRun` that its backfill or its gates have."""
_IN_PROGRESS = (RunState.LAUNCHING.value, RunState.RUNNING.value)
_WAITING = (RunState.PENDING.value, RunState.RETRYING.value)
_COUNTS = and_(~IS_REDO, ~runs.c.behind_backfill)
_IS_NEW = and_(runs.c.state == RunState.PENDING.value, runs.c.attempt == 0)
_COUNT_ACTIVE = Prepared(
    select(
        runs.c.deployment,
        func.sum(case((_COUNTS, 1), else_=0)).label("active"),
        func.sum(case((and_(_IS_NEW, _COUNTS), 1), else_=0)).label("waiting"),
        func.sum(case((and_(IS_REDO, one_of(runs.c.state, _IN_PROGRESS)), 1), else_=0)).label("redoing"),
        func.sum(case((runs.c.behind_backfill, 1), else_=0)).label("behind"),
    )
    .where(
        runs.c.project == bindparam("project"),
        one_of(runs.c.state, (*_IN_PROGRESS, *_WAITING)),
        without_index(runs.c.deployment).in_(listed("names")),  # which would read all finished runs too
    )
    .group_by(without_index(runs.c.deployment))
)

_IS_OF_PROJECT = runs.c.project == bindparam("project")
_IS_PENDING = runs.c.state == RunState.PENDING.value
_NOW = bindparam("now", type_=Instant)
_IS_LATE = and_(_IS_PENDING, runs.c.attempt == 0, runs.c.start_by <= _NOW, ~gates.has_waiting_gate())
_IS_DUE_RETRY = and_(runs.c.state == RunState.RETRYING.value, runs.c.not_before <= _NOW)
_IS_PAUSED = func.coalesce(backfills.c.state, "") == BackfillState.PAUSED.value
_QUEUED = (
    select(
        *(runs.columns[field.name] for field in fields(QueuedRun) if field.name not in _OF_OTHER_TABLES),
        func.coalesce(backfills.c.parallel, 1).label("parallel"),
        _IS_PAUSED.label("is_paused"),
    )
    .select_from(runs.outerjoin(backfills, runs.c.backfill_id == backfills.c.id))
    .where(_IS_OF_PROJECT)
)
_FIND_WAITING = Prepared(_QUEUED.where(one_of(runs.c.state, _WAITING)))
_FIND_STARTABLE = Prepared(
    _QUEUED.where(
        _IS_PENDING,
        or_(runs.c.not_before.is_(None), runs.c.not_before <= _NOW),
        or_(runs.c.start_by.is_(None), runs.c.start_by > _NOW, runs.c.attempt > 0),
        ~gates.has_waiting_gate(),
    )
)
_LOAD = Prepared(
    select(
        runs.c.id, runs.c.deployment, runs.c.queue, runs.c.state, runs.c.backfill_id, IS_REDO.label("is_redo")
    ).where(_IS_OF_PROJECT, one_of(runs.c.state, (*_IN_PROGRESS, RunState.RETRYING.value)))
)
_LIMITS = Prepared(select(queues.c.name, queues.c.limit).where(queues.c.project == bindparam("project")))
_NEXT_CHANGE = Prepared(
    select(
        select(func.min(runs.c.not_before))
        .where(_IS_OF_PROJECT, one_of(runs.c.state, _WAITING), runs.c.not_before > _NOW)
        .scalar_subquery()
        .label("not_before"),
        select(func.min(runs.c.start_by))
        .where(_IS_OF_PROJECT, _IS_PENDING, runs.c.start_by > _NOW)
        .scalar_subquery()
        .label("start_by"),
        gates.next_deadline(bindparam("project"), _NOW).label("deadline"),
        holds.next_end(bindparam("project"), _NOW).label("hold_end"),
    )
)
_HAS_DUE_CHANGES = Prepared(
    select(literal(1)).where(
        or_(
            exists().where(_IS_OF_PROJECT, or_(_IS_DUE_RETRY, _IS_LATE)),
            gates.has_late(bindparam("project"), _NOW),
        )
    )
)
_STATES = {state.value: state for state in RunState}
_TRIGGERS = {trigger.value: trigger for trigger in Trigger}


def save_limits(tx: Transaction, limits: Mapping[str, int]) -> None:
    """Replace the limits of the project's queues, but not the total limit of the controller."""
    tx.connection.execute(delete(queues).where(queues.c.project == tx.project, queues.c.name != EVERYTHING))
    rows = [{"project": tx.project, "name": name, "limit": limit} for name, limit in limits.items()]
    if rows:
        tx.connection.execute(insert(queues), rows)


def save_total_limit(tx: Transaction, limit: int) -> None:
    """Replace the total limit of the controller (`--max-running`)."""
    tx.connection.execute(delete(queues).where(queues.c.project == tx.project, queues.c.name == EVERYTHING))
    tx.connection.execute(insert(queues).values(project=tx.project, name=EVERYTHING, limit=limit))


def limits(tx: Transaction) -> dict[str, int]:
    """Return the limits by queue, with the total limit of the controller under `EVERYTHING`."""
    return {row.name: row.limit for row in _LIMITS.fetch(tx, project=tx.project)}


def record_shortage(tx: Transaction, shortage: str | None) -> None:
    """Set the reason of all pending runs to this shortage of the machine; None removes it again."""
    is_pending = (runs.c.project == tx.project, runs.c.state == RunState.PENDING.value)
    has_shortage = runs.c.reason.startswith(SHORTAGE)
    if shortage is None:
        query = update(runs).where(*is_pending, has_shortage).values(reason=None)
    else:
        reason = f"{SHORTAGE}{shortage}"
        query = update(runs).where(
            *is_pending, or_(runs.c.reason.is_(None), has_shortage), runs.c.reason.is_distinct_from(reason)
        )
        query = query.values(reason=reason)
    tx.connection.execute(query)


def record_waiting(tx: Transaction, run_id: RunId, resource: str) -> None:
    """Set the reason of a pending run to what it waits for."""
    is_pending = (runs.c.id == run_id, runs.c.state == RunState.PENDING.value)
    reason = f"{SHORTAGE}{resource}"
    tx.connection.execute(update(runs).where(*is_pending, runs.c.reason.is_distinct_from(reason)).values(reason=reason))


def read_load(tx: Transaction, now: datetime) -> Load:
    """Return the current load: limits, running runs by queue, busy deployments, and active holds."""
    running: Counter[str] = Counter()
    busy: dict[str, dict[str | None, list[RunId]]] = defaultdict(dict)
    for row in _LOAD.fetch(tx, project=tx.project):
        is_between_attempts = row.state == RunState.RETRYING.value
        if row.backfill_id is not None:
            running[row.backfill_id] += 1
        if not (row.is_redo and is_between_attempts):
            busy[row.deployment].setdefault(row.backfill_id, []).append(RunId(row.id))
        if not is_between_attempts:
            running.update((row.queue, EVERYTHING))
    held = {name: hold.reason for name, hold in holds.find_all(tx).items() if not hold.is_over(now)}
    return Load(limits=limits(tx), running=running, busy=busy, held=held)


def find_waiting(tx: Transaction) -> list[QueuedRun]:
    """Return all waiting runs, unsorted."""
    waiting_gates = gates.find_waiting_by_run(tx)
    found = []
    for row in _FIND_WAITING.fetch(tx, project=tx.project):
        of_run = waiting_gates.get(row.id)
        texts = {"waits_for": join_texts(of_run), "upstreams": join_names(of_run)} if of_run else {}
        found.append(QueuedRun(**{**_converted(row), **texts}))
    return found


def find_startable(tx: Transaction, now: datetime) -> list[QueuedRun]:
    """Return the waiting runs that may start as soon as a limit allows it, unsorted."""
    return [QueuedRun(**_converted(row)) for row in _FIND_STARTABLE.fetch(tx, project=tx.project, now=now)]


def _converted(row: Any) -> dict[str, Any]:
    return {**row._asdict(), "state": _STATES[row.state], "trigger": _TRIGGERS[row.trigger]}


def next_change(tx: Transaction, now: datetime) -> datetime | None:
    """Return the first instant after `now` at which a waiting run may start, or expires, or at which a hold ends.

    None if there is none.
    """
    [row] = _NEXT_CHANGE.fetch(tx, project=tx.project, now=now)
    return min((instant for instant in row if instant is not None), default=None)


def has_due_changes(tx: Transaction, now: datetime) -> bool:
    """Return whether a retry is due, or whether the deadline of a waiting run has passed."""
    return bool(_HAS_DUE_CHANGES.fetch(tx, project=tx.project, now=now))


def queue_due_retries(tx: Transaction, now: datetime) -> int:
    """Queue the runs whose next attempt is due, with the number of that attempt. Return how many."""
    result = tx.connection.execute(
        update(runs)
        .where(runs.c.project == tx.project, _IS_DUE_RETRY)
        .values(state=RunState.PENDING.value, attempt=runs.c.attempt + 1, not_before=None),
        {"now": now},
    )
    return int(result.rowcount)


def find_late(tx: Transaction, now: datetime, limit: int) -> list[tuple[RunId, str]]:
    """Return up to `limit` runs that expired before their first start (`start_by`), with their deployments.

    Runs that wait for an upstream deployment are left out: see `gates.find_late`.
    """
    query = select(runs.c.id, runs.c.deployment).where(runs.c.project == tx.project, _IS_LATE).limit(limit)
    return [(RunId(row.id), row.deployment) for row in tx.connection.execute(query, {"now": now})]


def count_active(tx: Transaction, names: Iterable[str]) -> dict[str, ActiveRuns]:
    """Return the numbers of these deployments; deployments without unfinished runs are missing."""
    rows = _COUNT_ACTIVE.fetch(tx, project=tx.project, names=list(names))
    return {
        row.deployment: ActiveRuns(active=row.active, waiting=row.waiting, redoing=row.redoing, behind=row.behind)
        for row in rows
    }


def let_others_wait(tx: Transaction, redo_runs: Collection[RunId]) -> None:
    """Mark the waiting runs that these redo runs delay, because they are about to start.

    Delayed runs do not count for the overlap policy, and have no start deadline.
    """
    deployments = select(runs.c.deployment).where(runs.c.id.in_(redo_runs))
    tx.connection.execute(
        update(runs)
        .where(
            runs.c.project == tx.project,
            runs.c.state.in_(_WAITING),
            runs.c.deployment.in_(deployments),
            runs.c.serial,
            ~IS_REDO,
            ~runs.c.behind_backfill,
        )
        .values(behind_backfill=True, start_by=None)
    )
