"""The tables of backfills and of the due times that each of them selected.

A due time gets the id of its run in the transaction that creates the run, so that no due time is run twice by a
backfill, whenever the process is killed.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    String,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from controller.model.backfills import Backfill, BackfillState, BackfillTime, CodeVersion, Progress, Redo, summarize
from controller.model.runs import ACTIVE, Run, RunId, RunState
from controller.store.prepared import Prepared, one_of
from controller.store.rows import from_row, to_row
from controller.store.runs import from_row as run_from_row
from controller.store.schema import backfill_times, backfills, runs
from controller.store.store import Transaction

_UNFINISHED = (BackfillState.RUNNING.value, BackfillState.PAUSED.value)


def insert_new(tx: Transaction, backfill: Backfill, times: Iterable[tuple[datetime, str]]) -> None:
    """Record a new backfill with its due times, each with the id of its schedule."""
    tx.connection.execute(insert(backfills).values(to_row(tx, backfills, backfill)))
    rows = [{"backfill_id": backfill.id, "due_time": time, "schedule": schedule} for time, schedule in times]
    if rows:
        tx.connection.execute(insert(backfill_times), rows)


def find(tx: Transaction, backfill_id: str) -> Backfill | None:
    """Return the backfill with this id, or None."""
    query = select(backfills).where(backfills.c.project == tx.project, backfills.c.id == backfill_id)
    row = tx.connection.execute(query).first()
    return None if row is None else _from_row(row)


def find_by_prefix(tx: Transaction, prefix: str, limit: int = 2) -> list[Backfill]:
    """Return the backfill with this id, or else up to `limit` whose ids begin or end with it, newest first."""
    exact = find(tx, prefix)
    if exact is not None:
        return [exact]
    matches = backfills.c.id.startswith(prefix, autoescape=True) | backfills.c.id.endswith(prefix, autoescape=True)
    query = select(backfills).where(backfills.c.project == tx.project, matches)
    return [_from_row(row) for row in tx.connection.execute(query.order_by(backfills.c.id.desc()).limit(limit))]


def find_newest(
    tx: Transaction, limit: int, *, deployment: str | None = None, before: str | None = None
) -> list[Backfill]:
    """Return the newest `limit` backfills, of one deployment or of all, with ids below `before`; newest first."""
    query = select(backfills).where(backfills.c.project == tx.project)
    if deployment is not None:
        query = query.where(backfills.c.deployment == deployment)
    if before is not None:
        query = query.where(backfills.c.id < before)
    return [_from_row(row) for row in tx.connection.execute(query.order_by(backfills.c.id.desc()).limit(limit))]


def find_unfinished(tx: Transaction) -> list[Backfill]:
    """Return the running and paused backfills, oldest first."""
    query = select(backfills).where(backfills.c.project == tx.project, backfills.c.state.in_(_UNFINISHED))
    return [_from_row(row) for row in tx.connection.execute(query.order_by(backfills.c.id))]


def move(
    tx: Transaction,
    backfill_id: str,
    *,
    expect: Collection[BackfillState],
    to: BackfillState,
    finished_at: datetime | None = None,
) -> bool:
    """Change the state of a backfill if it is one of `expect`. Return False if it is not."""
    result = tx.connection.execute(
        update(backfills)
        .where(backfills.c.id == backfill_id, backfills.c.state.in_([state.value for state in expect]))
        .values(state=to.value, finished_at=finished_at)
    )
    return bool(result.rowcount)


def next_times(tx: Transaction, backfill_id: str, limit: int) -> list[tuple[datetime, str]]:
    """Return up to `limit` due times that have no run yet, oldest first, each with the id of its schedule."""
    query = (
        select(backfill_times.c.due_time, backfill_times.c.schedule)
        .where(*_without_run(backfill_id))
        .order_by(backfill_times.c.due_time)
        .limit(limit)
    )
    return [(row.due_time, row.schedule) for row in tx.connection.execute(query)]


def record_runs(tx: Transaction, created: Iterable[Run]) -> None:
    """Record these runs as the latest ones of the due times of their backfills. Runs without a backfill are ignored."""
    rows = [
        {"of_backfill": run.backfill_id, "of_time": run.scheduled_for, "new_run": run.id}
        for run in created
        if run.backfill_id is not None and run.scheduled_for is not None
    ]
    _record(tx, rows)


def adopt_runs(tx: Transaction, backfill_id: str, run_ids: Mapping[datetime, RunId]) -> None:
    """Record runs that this backfill did not create as the latest ones of these due times."""
    rows = [{"of_backfill": backfill_id, "of_time": time, "new_run": run_id} for time, run_id in run_ids.items()]
    _record(tx, rows)


def replace_run(tx: Transaction, run_id: RunId, new_run: RunId) -> list[str]:
    """Record a new run as the latest one wherever a backfill has this one; return the ids of these backfills."""
    is_latest = backfill_times.c.run_id == run_id
    ids = list(tx.connection.execute(select(backfill_times.c.backfill_id).where(is_latest)).scalars())
    if ids:
        tx.connection.execute(update(backfill_times).where(is_latest).values(run_id=new_run, outcome=None))
    return ids


def release_times(tx: Transaction, backfill_id: str) -> None:
    """Let due times get a run again whose adopted run was cancelled, or skipped before it started."""
    did_not_run = or_(
        runs.c.state == RunState.CANCELLED.value, and_(runs.c.state == RunState.SKIPPED.value, runs.c.attempt == 0)
    )
    is_foreign = runs.c.backfill_id.is_distinct_from(backfill_id)
    released = (
        select(backfill_times.c.run_id)
        .join(runs, runs.c.id == backfill_times.c.run_id)
        .where(backfill_times.c.backfill_id == backfill_id, is_foreign, did_not_run)
    )
    is_released = (backfill_times.c.backfill_id == backfill_id, backfill_times.c.run_id.in_(released))
    tx.connection.execute(update(backfill_times).where(*is_released).values(run_id=None))


def _record(tx: Transaction, rows: list[dict[str, Any]]) -> None:
    if rows:
        is_its_time = (
            backfill_times.c.backfill_id == bindparam("of_backfill"),
            backfill_times.c.due_time == bindparam("of_time"),
        )
        statement = update(backfill_times).where(*is_its_time).values(run_id=bindparam("new_run"), outcome=None)
        tx.connection.execute(statement, rows)


def cancel_times(tx: Transaction, backfill_id: str) -> None:
    """Mark the due times that have no run yet as cancelled, so that they get none."""
    statement = update(backfill_times).where(*_without_run(backfill_id))
    tx.connection.execute(statement.values(outcome=RunState.CANCELLED.value))


def find_planned(tx: Transaction, deployment: str, since: datetime, until: datetime) -> set[datetime]:
    """Return the due times in [since, until] for which unfinished backfills will create a run."""
    query = (
        select(backfill_times.c.due_time)
        .join(backfills, backfills.c.id == backfill_times.c.backfill_id)
        .where(
            backfills.c.project == tx.project,
            backfills.c.deployment == deployment,
            backfills.c.state.in_(_UNFINISHED),
            backfill_times.c.run_id.is_(None),
            backfill_times.c.outcome.is_(None),
            backfill_times.c.due_time >= since,
            backfill_times.c.due_time <= until,
        )
    )
    return set(tx.connection.execute(query).scalars())


def find_times(
    tx: Transaction, backfill_id: str, states: Collection[RunState | None], *, limit: int | None = None
) -> list[BackfillTime]:
    """Return up to `limit` due times whose latest run is in one of these states, oldest first; None is for no run."""
    state = func.coalesce(backfill_times.c.outcome, runs.c.state).label("state")
    values = [state.value for state in states if state is not None]
    matches = or_(state.in_(values), state.is_(None)) if None in states else state.in_(values)
    query = (
        select(backfill_times.c.due_time, backfill_times.c.run_id, state, runs.c.reason)
        .select_from(backfill_times.outerjoin(runs, runs.c.id == backfill_times.c.run_id))
        .where(backfill_times.c.backfill_id == backfill_id, matches)
        .order_by(backfill_times.c.due_time)
        .limit(limit)
    )
    return [
        BackfillTime(
            due_time=row.due_time,
            run_id=row.run_id,
            state=None if row.state is None else RunState(row.state).public,
            reason=row.reason,
        )
        for row in tx.connection.execute(query)
    ]


def keep_outcomes(tx: Transaction, run_ids: Collection[RunId]) -> None:
    """Copy the states of these runs to the due times of their backfills, because the runs are about to be deleted."""
    state = select(runs.c.state).where(runs.c.id == backfill_times.c.run_id).scalar_subquery()
    if run_ids:
        tx.connection.execute(update(backfill_times).where(backfill_times.c.run_id.in_(run_ids)).values(outcome=state))


def count_unfinished_runs(tx: Transaction, backfill_id: str) -> int:
    """Return how many due times of this backfill have a run that has not finished."""
    active = _count_unfinished(literal(tx.project)).where(backfill_times.c.backfill_id == backfill_id).subquery()
    return tx.connection.execute(select(active.c.unfinished)).scalar() or 0


def find_ready(tx: Transaction, refill: int) -> list[str]:
    """Return the backfills that can be advanced, oldest first.

    These are running ones with due times that have no run yet and with at most `refill` unfinished runs, and those
    whose due times have all finished.
    """
    return [row.id for row in _FIND_READY.fetch(tx, of_project=tx.project, refill=refill)]


def _count_unfinished(project: ColumnElement[str]) -> Select[Any]:
    """Count the due times whose run has not finished, by backfill; backfills without any are missing."""
    is_active = (runs.c.project == project, one_of(runs.c.state, [state.value for state in ACTIVE]))
    return (
        select(backfill_times.c.backfill_id, func.count().label("unfinished"))
        .join(runs, runs.c.id == backfill_times.c.run_id)
        .where(*is_active)
        .group_by(backfill_times.c.backfill_id)
    )


def _prepare_find_ready() -> Prepared:
    project = bindparam("of_project", type_=String)
    active = _count_unfinished(project).subquery()
    unfinished = func.coalesce(active.c.unfinished, 0)
    has_more = exists().where(
        backfill_times.c.backfill_id == backfills.c.id,
        backfill_times.c.run_id.is_(None),
        backfill_times.c.outcome.is_(None),
    )
    is_running = backfills.c.state == BackfillState.RUNNING.value
    has_room = unfinished <= bindparam("refill", type_=Integer)
    can_advance = or_(and_(~has_more, unfinished == 0), and_(has_more, is_running, has_room))
    query = (
        select(backfills.c.id)
        .outerjoin(active, active.c.backfill_id == backfills.c.id)
        .where(backfills.c.project == project, one_of(backfills.c.state, _UNFINISHED), can_advance)
    )
    return Prepared(query.order_by(backfills.c.id))


_FIND_READY = _prepare_find_ready()


def count(tx: Transaction, backfill_ids: Sequence[str]) -> Mapping[str, Progress]:
    """Return the progress of these backfills."""
    state = func.coalesce(backfill_times.c.outcome, runs.c.state)
    query = (
        select(backfill_times.c.backfill_id, state.label("state"), func.count().label("times"))
        .select_from(backfill_times.outerjoin(runs, runs.c.id == backfill_times.c.run_id))
        .where(backfill_times.c.backfill_id.in_(backfill_ids))
        .group_by(backfill_times.c.backfill_id, state)
    )
    counts: dict[str, dict[RunState | None, int]] = defaultdict(dict)
    for row in tx.connection.execute(query):
        counts[row.backfill_id][None if row.state is None else RunState(row.state)] = row.times
    return {backfill_id: summarize(counts[backfill_id]) for backfill_id in backfill_ids}


def count_without_run(tx: Transaction, backfill_id: str) -> int:
    """Return how many due times of this backfill still get a run."""
    query = select(func.count()).select_from(backfill_times).where(*_without_run(backfill_id))
    return int(tx.connection.execute(query).scalar_one())


def count_by_state(tx: Transaction) -> dict[BackfillState, int]:
    """Return the number of backfills in each state that occurs."""
    query = select(backfills.c.state, func.count()).where(backfills.c.project == tx.project)
    return {BackfillState(state): number for state, number in tx.connection.execute(query.group_by(backfills.c.state))}


def find_runs(tx: Transaction, backfill_id: str, states: Collection[RunState], limit: int | None = None) -> list[Run]:
    """Return the latest runs of the due times of this backfill that are in one of these states, in order of due time.

    At most `limit`.
    """
    query = (
        select(runs)
        .join(backfill_times, runs.c.id == backfill_times.c.run_id)
        .where(backfill_times.c.backfill_id == backfill_id, runs.c.state.in_([state.value for state in states]))
        .order_by(backfill_times.c.due_time)
        .limit(limit)
    )
    return [run_from_row(row) for row in tx.connection.execute(query)]


def repeats_code() -> ColumnElement[bool]:
    """Return the condition that an unfinished backfill will run the due time of a run again, with its original code."""
    return exists().where(
        backfills.c.project == runs.c.project,
        backfills.c.deployment == runs.c.deployment,
        backfills.c.state.in_(_UNFINISHED),
        backfills.c.code == CodeVersion.ORIGINAL.value,
        backfill_times.c.backfill_id == backfills.c.id,
        backfill_times.c.due_time == runs.c.scheduled_for,
        backfill_times.c.run_id.is_(None),
        backfill_times.c.outcome.is_(None),
    )


def _without_run(backfill_id: str) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for the due times of this backfill that still get a run."""
    return (
        backfill_times.c.backfill_id == backfill_id,
        backfill_times.c.run_id.is_(None),
        backfill_times.c.outcome.is_(None),
    )


def _from_row(row: Row[Any]) -> Backfill:
    redo = None if row.redo is None else Redo(row.redo)
    return from_row(Backfill, row, state=BackfillState(row.state), redo=redo, code=CodeVersion(row.code))
