"""The ledger: one row per due time of each deployment. Its unique key guarantees promise 1: no due time runs twice."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, String, and_, bindparam, delete, exists, insert, or_, select, update

from controller.model.runs import ACTIVE, DueRun, Occurrence, Outcome, Run, RunId, RunOutcome, RunState
from controller.store.prepared import Prepared, as_stored, listed_rows
from controller.store.rows import from_row, to_row
from controller.store.schema import occurrences, runs
from controller.store.sql_functions import as_time, upsert
from controller.store.store import Transaction

_IS_CANCELLED = occurrences.c.state == RunState.CANCELLED.value
_IS_EARLIER = occurrences.c.run_id < bindparam("new_run")
_RECORD_OUTCOME = Prepared(
    update(occurrences)
    .where(
        occurrences.c.project == bindparam("of_project"),
        occurrences.c.deployment == bindparam("of_deployment"),
        occurrences.c.scheduled_for == bindparam("of_time"),
        or_(
            occurrences.c.state.is_(None),
            and_(_IS_CANCELLED, _IS_EARLIER),
            and_(bindparam("new_state", type_=String) != RunState.CANCELLED.value, or_(_IS_CANCELLED, _IS_EARLIER)),
        ),
    )
    .values(
        state=bindparam("new_state"),
        run_id=bindparam("new_run"),
        outcome=bindparam("new_outcome"),
        reason=bindparam("new_reason"),
    )
)
_APPENDED = [column.name for column in occurrences.columns if column.name not in ("id", "state")]
_APPEND = Prepared(insert(occurrences).values({name: bindparam(name) for name in _APPENDED}))
_RANGES = listed_rows("ranges", "deployment", "since", "until").cte("ranges")
_RECORDED = Prepared(
    select(occurrences.c.deployment, occurrences.c.scheduled_for).select_from(
        _RANGES.outerjoin(  # an outer join makes SQLite begin with the ranges, and look up each of them
            occurrences,
            and_(
                occurrences.c.project == bindparam("project"),
                occurrences.c.deployment == _RANGES.c.deployment,
                occurrences.c.scheduled_for.between(as_time(_RANGES.c.since), as_time(_RANGES.c.until)),
            ),
        )
    )
)
_NEW = upsert(occurrences)
_RECORD_RUN = _NEW.on_conflict_do_update(
    index_elements=("project", "deployment", "scheduled_for"),
    set_={name: _NEW.excluded[name] for name in ("outcome", "run_id", "reason")},
    where=occurrences.c.state.is_(None),
)


def recorded_times(tx: Transaction, deployment: str, since: datetime, until: datetime) -> set[datetime]:
    """Return the due times in [since, until] that are already recorded, as runs or as skipped."""
    rows = tx.connection.execute(select(occurrences.c.scheduled_for).where(*_between(tx, deployment, since, until)))
    return set(rows.scalars())


def find_recorded(tx: Transaction, ranges: Iterable[tuple[str, datetime, datetime]]) -> set[tuple[str, datetime]]:
    """Return the recorded due times of these deployments, each in the range [since, until] that is given for it."""
    rows = [(name, as_stored(since), as_stored(until)) for name, since, until in ranges]
    found = _RECORDED.fetch(tx, ranges=rows, project=tx.project)
    return {(row.deployment, row.scheduled_for) for row in found if row.deployment is not None}


def find_states(tx: Transaction, deployment: str, since: datetime, until: datetime) -> dict[datetime, RunState | None]:
    """Return the state of each due time in [since, until] that has had a run, whether or not the run is still stored.

    It is that of a run that has not finished, or else that of the latest run that was not cancelled, or `cancelled` if
    all were. None: the runs were deleted before the ledger kept states.
    """
    rows = tx.connection.execute(
        select(occurrences.c.scheduled_for, occurrences.c.state).where(
            *_between(tx, deployment, since, until), occurrences.c.outcome == Outcome.RUN.value
        )
    )
    states = {row.scheduled_for: None if row.state is None else RunState(row.state) for row in rows}
    return {**states, **{time: run.state for time, run in find_unfinished(tx, deployment, since, until).items()}}


def find_schedules(
    tx: Transaction, deployment: str, since: datetime, until: datetime, limit: int
) -> dict[datetime, str]:
    """Return up to `limit` recorded due times in [since, until], oldest first, each with the id of its schedule."""
    query = select(occurrences.c.scheduled_for, occurrences.c.schedule).where(*_between(tx, deployment, since, until))
    rows = tx.connection.execute(query.order_by(occurrences.c.scheduled_for).limit(limit))
    return {row.scheduled_for: row.schedule for row in rows}


def find_unfinished(tx: Transaction, deployment: str, since: datetime, until: datetime) -> dict[datetime, DueRun]:
    """Return the latest unfinished run of each due time in [since, until] that has one."""
    rows = tx.connection.execute(
        select(runs.c.scheduled_for, runs.c.id, runs.c.state)
        .where(
            runs.c.project == tx.project,
            runs.c.deployment == deployment,
            runs.c.state.in_([state.value for state in ACTIVE]),
            runs.c.scheduled_for >= since,
            runs.c.scheduled_for <= until,
        )
        .order_by(runs.c.scheduled_for, runs.c.id)
    )
    return {row.scheduled_for: DueRun(run_id=RunId(row.id), state=RunState(row.state)) for row in rows}


def find_settled(tx: Transaction, deployment: str, since: datetime, until: datetime) -> dict[datetime, DueRun]:
    """Return the finished run that decides the state of each due time in [since, until]. It may have been deleted."""
    rows = tx.connection.execute(
        select(occurrences.c.scheduled_for, occurrences.c.run_id, occurrences.c.state).where(
            *_between(tx, deployment, since, until), occurrences.c.state.is_not(None)
        )
    )
    return {row.scheduled_for: DueRun(run_id=RunId(row.run_id), state=RunState(row.state)) for row in rows}


def _between(tx: Transaction, deployment: str, since: datetime, until: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        occurrences.c.project == tx.project,
        occurrences.c.deployment == deployment,
        occurrences.c.scheduled_for >= since,
        occurrences.c.scheduled_for <= until,
    )


def append(tx: Transaction, new: Iterable[Occurrence]) -> None:
    """Record due times. A second record of the same due time fails with an integrity error, on purpose."""
    _APPEND.execute(tx, (to_row(tx, occurrences, occurrence) for occurrence in new))


def record_outcomes(tx: Transaction, ended: Iterable[tuple[Run, RunOutcome]]) -> None:
    """Record the outcomes of these runs as the states of their due times, if they decide them: see `find_states`.

    A run that was skipped before it started makes its due time a skipped one.
    """
    rows = []
    for run, outcome in ended:
        is_expired = outcome.state is RunState.SKIPPED and not run.is_in_progress
        row = {
            "of_project": tx.project,
            "of_deployment": run.deployment,
            "of_time": run.scheduled_for,
            "new_run": run.id,
            "new_state": outcome.state.value,
            "new_outcome": (Outcome.SKIPPED if is_expired else Outcome.RUN).value,
            "new_reason": outcome.reason if is_expired else None,
        }
        rows += [] if run.scheduled_for is None else [row]
    _RECORD_OUTCOME.execute(tx, rows)


def delete_skipped_after(tx: Transaction, instant: datetime) -> None:
    """Delete skipped due times after this instant, so that they can be decided again.

    Those with runs are kept, and so are those with an unfinished redo: they would run twice.
    """
    is_redone = exists().where(
        runs.c.project == occurrences.c.project,
        runs.c.deployment == occurrences.c.deployment,
        runs.c.scheduled_for == occurrences.c.scheduled_for,
        runs.c.state.in_([state.value for state in ACTIVE]),
    )
    is_skipped = (occurrences.c.project == tx.project, occurrences.c.outcome == Outcome.SKIPPED.value)
    tx.connection.execute(delete(occurrences).where(*is_skipped, occurrences.c.scheduled_for > instant, ~is_redone))


def record_runs(tx: Transaction, entries: Sequence[Occurrence]) -> None:
    """Record the runs of due times that may have had other outcomes, or none (a backfill, a redo).

    A due time that has a state keeps it until the run ends, in case that the run is cancelled. Each keeps the schedule
    under which it was recorded.
    """
    rows = [to_row(tx, occurrences, entry) for entry in entries]
    if rows:
        tx.connection.execute(_RECORD_RUN, rows)


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
    return [_from_row(row) for row in rows]


def _from_row(row: Row[Any]) -> Occurrence:
    state = None if row.state is None else RunState(row.state)
    return from_row(Occurrence, row, runs=(), outcome=Outcome(row.outcome), state=state)
