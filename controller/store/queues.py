"""The queues: their limits, what waits in them, what is under way, and what time does to those who wait."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, delete, func, insert, or_, select, update

from controller.model.queues import EVERYTHING, SHORTAGE, Load, QueuedRun
from controller.model.runs import RunId, RunState, Trigger
from controller.store import holds
from controller.store.schema import queues, runs
from controller.store.store import Transaction

_UNDER_WAY = (RunState.LAUNCHING.value, RunState.RUNNING.value)
_WAITING = (RunState.PENDING.value, RunState.RETRYING.value)


def save_limits(tx: Transaction, limits: Mapping[str, int]) -> None:
    """Replace the limits of the project's queues. That of the whole controller stays."""
    tx.connection.execute(delete(queues).where(queues.c.project == tx.project, queues.c.name != EVERYTHING))
    rows = [{"project": tx.project, "name": name, "limit": limit} for name, limit in limits.items()]
    if rows:
        tx.connection.execute(insert(queues), rows)


def save_total_limit(tx: Transaction, limit: int) -> None:
    """Replace the limit of the whole controller."""
    tx.connection.execute(delete(queues).where(queues.c.project == tx.project, queues.c.name == EVERYTHING))
    tx.connection.execute(insert(queues).values(project=tx.project, name=EVERYTHING, limit=limit))


def limits(tx: Transaction) -> dict[str, int]:
    """The limits by queue, and that of the whole controller."""
    rows = tx.connection.execute(select(queues.c.name, queues.c.limit).where(queues.c.project == tx.project))
    return {row.name: row.limit for row in rows}


def record_shortage(tx: Transaction, what: str | None) -> None:
    """Let every run that could start say what the machine is short of; None takes that back."""
    is_pending = (runs.c.project == tx.project, runs.c.state == RunState.PENDING.value)
    is_noted = runs.c.reason.startswith(SHORTAGE)
    if what is None:
        query = update(runs).where(*is_pending, is_noted).values(reason=None)
    else:
        said = f"{SHORTAGE}{what}"
        query = update(runs).where(
            *is_pending, or_(runs.c.reason.is_(None), is_noted), runs.c.reason.is_distinct_from(said)
        )
        query = query.values(reason=said)
    tx.connection.execute(query)


def read_load(tx: Transaction, now: datetime) -> Load:
    """What is under way now."""
    columns = (runs.c.id, runs.c.deployment, runs.c.queue, runs.c.state)
    states = (*_UNDER_WAY, RunState.RETRYING.value)
    rows = tx.connection.execute(select(*columns).where(runs.c.project == tx.project, runs.c.state.in_(states)))
    running: Counter[str] = Counter()
    busy: dict[str, RunId] = {}
    for row in rows:
        busy[row.deployment] = RunId(row.id)
        if row.state != RunState.RETRYING.value:
            running.update((row.queue, EVERYTHING))
    held = {name: hold.reason for name, hold in holds.find_all(tx).items() if not hold.is_over(now)}
    return Load(limits=limits(tx), running=running, busy=busy, held=held)


def find_waiting(tx: Transaction, now: datetime | None = None) -> list[QueuedRun]:
    """All that wait, in no order; with `now` only those that wait for nothing but a place."""
    query = select(
        runs.c.id,
        runs.c.deployment,
        runs.c.state,
        runs.c.trigger,
        runs.c.queue,
        runs.c.priority,
        runs.c.serial,
        runs.c.attempt,
        runs.c.attempts,
        runs.c.not_before,
        runs.c.reason,
    ).where(runs.c.project == tx.project)
    if now is None:
        query = query.where(runs.c.state.in_(_WAITING))
    else:
        may_start = or_(runs.c.not_before.is_(None), runs.c.not_before <= now)
        query = query.where(runs.c.state == RunState.PENDING.value, may_start)
    return [
        QueuedRun(
            id=RunId(row.id),
            deployment=row.deployment,
            state=RunState(row.state),
            trigger=Trigger(row.trigger),
            queue=row.queue,
            priority=row.priority,
            serial=row.serial,
            attempt=row.attempt,
            attempts=row.attempts,
            not_before=row.not_before,
            reason=row.reason,
        )
        for row in tx.connection.execute(query)
    ]


def next_change(tx: Transaction, now: datetime) -> datetime | None:
    """The first instant after `now` at which one that waits may start, or must not start any more; None if none."""
    is_pending = runs.c.state == RunState.PENDING.value
    instants = (
        select(func.min(runs.c.not_before)).where(
            runs.c.project == tx.project, runs.c.state.in_(_WAITING), runs.c.not_before > now
        ),
        select(func.min(runs.c.start_by)).where(runs.c.project == tx.project, is_pending, runs.c.start_by > now),
    )
    found = [tx.connection.execute(query).scalar() for query in instants]
    return min((instant for instant in found if instant is not None), default=None)


def has_due_changes(tx: Transaction, now: datetime) -> bool:
    """Whether `ripen` or `late` would find anything."""
    return bool(
        tx.connection.execute(
            select(runs.c.id).where(runs.c.project == tx.project, or_(_is_ripe(now), _is_late(now))).limit(1)
        ).first()
    )


def queue_due_retries(tx: Transaction, now: datetime) -> int:
    """Let those whose next attempt is due wait for a place again, as that attempt; how many."""
    done = tx.connection.execute(
        update(runs)
        .where(runs.c.project == tx.project, _is_ripe(now))
        .values(state=RunState.PENDING.value, attempt=runs.c.attempt + 1, not_before=None)
    )
    return int(done.rowcount)


def find_late(tx: Transaction, now: datetime, limit: int) -> list[tuple[RunId, str]]:
    """Up to `limit` runs that wait for their first start and must not start any more, with their deployments."""
    query = select(runs.c.id, runs.c.deployment).where(runs.c.project == tx.project, _is_late(now)).limit(limit)
    return [(RunId(row.id), row.deployment) for row in tx.connection.execute(query)]


def count_active(tx: Transaction, names: list[str]) -> dict[str, tuple[int, int]]:
    """By deployment: how many runs count as under way for an overlap, and how many of its own wait to begin.

    A backfill that waits keeps nobody from running.
    """
    is_new = and_(runs.c.state == RunState.PENDING.value, runs.c.attempt == 0)
    is_aside = and_(is_new, runs.c.trigger == Trigger.BACKFILL.value)
    is_active = runs.c.state.in_([*_UNDER_WAY, *_WAITING])
    rows = tx.connection.execute(
        select(
            runs.c.deployment,
            func.sum(case((is_aside, 0), else_=1)).label("active"),
            func.sum(case((and_(is_new, ~is_aside), 1), else_=0)).label("waiting"),
        )
        .where(runs.c.project == tx.project, is_active, runs.c.deployment.in_(names))
        .group_by(runs.c.deployment)
    )
    return {row.deployment: (row.active, row.waiting) for row in rows}


def _is_ripe(now: datetime) -> ColumnElement[bool]:
    return and_(runs.c.state == RunState.RETRYING.value, runs.c.not_before <= now)


def _is_late(now: datetime) -> ColumnElement[bool]:
    return and_(runs.c.state == RunState.PENDING.value, runs.c.attempt == 0, runs.c.start_by <= now)
