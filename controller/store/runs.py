"""Runs and their attempts. Every change of state is a compare-and-set; a terminal run never changes."""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select, update

from controller.model.policies import Retries, RetryOn
from controller.model.runs import ACTIVE, Attempt, Run, RunId, RunState, Trigger
from controller.store.schema import attempts, runs
from controller.store.store import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs are asked for; None leaves a question out."""

    deployment: str | None = None
    states: Collection[RunState] | None = None
    tag: str | None = None
    since: datetime | None = None
    limit: int | None = None


def insert_all(tx: Transaction, new: Iterable[Run]) -> None:
    """Record new runs."""
    rows = [_to_row(tx, run) for run in new]
    if rows:
        tx.connection.execute(insert(runs), rows)


def find(tx: Transaction, run_id: str) -> Run | None:
    """The run of this id."""
    row = tx.connection.execute(_of_project(tx).where(runs.c.id == run_id)).first()
    return None if row is None else _from_row(row)


def find_by_prefix(tx: Transaction, prefix: str, limit: int = 2) -> list[Run]:
    """The runs whose id begins or ends with this, newest first; `limit` at most."""
    matches = runs.c.id.startswith(prefix, autoescape=True) | runs.c.id.endswith(prefix, autoescape=True)
    rows = tx.connection.execute(_of_project(tx).where(matches).order_by(runs.c.id.desc()).limit(limit))
    return [_from_row(row) for row in rows]


def find_by_key(tx: Transaction, deployment: str, idempotency_key: str) -> Run | None:
    """The run that was asked for under this key."""
    row = tx.connection.execute(
        _of_project(tx).where(runs.c.deployment == deployment, runs.c.idempotency_key == idempotency_key)
    ).first()
    return None if row is None else _from_row(row)


def select_all(tx: Transaction, wanted: RunFilter) -> list[Run]:
    """The runs that match, newest first."""
    query = _of_project(tx).order_by(runs.c.id.desc())
    if wanted.deployment is not None:
        query = query.where(runs.c.deployment == wanted.deployment)
    if wanted.states is not None:
        query = query.where(runs.c.state.in_([state.value for state in wanted.states]))
    if wanted.since is not None:
        query = query.where(runs.c.created_at >= wanted.since)
    if wanted.limit is not None and wanted.tag is None:
        query = query.limit(wanted.limit)
    found = [_from_row(row) for row in tx.connection.execute(query)]
    if wanted.tag is not None:
        found = [run for run in found if wanted.tag in run.tags][: wanted.limit]
    return found


def waiting_for_time(tx: Transaction, now: datetime) -> list[Run]:
    """The runs that must not start yet, or not try again."""
    states = (RunState.PENDING.value, RunState.RETRYING.value)
    return [
        _from_row(row)
        for row in tx.connection.execute(_of_project(tx).where(runs.c.state.in_(states), runs.c.not_before > now))
    ]


def cancelled(tx: Transaction) -> list[RunId]:
    """The runs under way that somebody wants to end."""
    rows = tx.connection.execute(
        select(runs.c.id).where(
            runs.c.project == tx.project, runs.c.state == RunState.RUNNING.value, runs.c.cancel_reason.is_not(None)
        )
    )
    return [RunId(row.id) for row in rows]


def active_counts(tx: Transaction) -> dict[str, int]:
    """How many runs of each deployment are not final, for those that have any."""
    rows = tx.connection.execute(
        select(runs.c.deployment, func.count())
        .where(runs.c.project == tx.project, runs.c.state.in_([state.value for state in ACTIVE]))
        .group_by(runs.c.deployment)
    )
    return {row[0]: row[1] for row in rows}


def active_revisions(tx: Transaction) -> set[str]:
    """The revisions that a run which is not final still needs."""
    rows = tx.connection.execute(
        select(runs.c.revision)
        .distinct()
        .where(runs.c.project == tx.project, runs.c.state.in_([state.value for state in ACTIVE]))
    )
    return set(rows.scalars())


def last_of_each(tx: Transaction) -> dict[str, Run]:
    """The newest run of every deployment (ids sort by the time of their making)."""
    newest = (
        select(func.max(runs.c.id)).where(runs.c.project == tx.project).group_by(runs.c.deployment).scalar_subquery()
    )
    rows = tx.connection.execute(_of_project(tx).where(runs.c.id.in_(newest)))
    return {row.deployment: _from_row(row) for row in rows}


def counts(tx: Transaction) -> dict[RunState, int]:
    """How many runs are in each state that is not final."""
    rows = tx.connection.execute(
        select(runs.c.state, func.count())
        .where(runs.c.project == tx.project, runs.c.state.in_([state.value for state in ACTIVE]))
        .group_by(runs.c.state)
    )
    return {RunState(state): count for state, count in rows}


def move(tx: Transaction, run_id: RunId, *, expect: RunState, to: RunState, **changes: Any) -> bool:
    """Change a run's state and these columns, if it still is in `expect`. False: somebody was first."""
    done = tx.connection.execute(
        update(runs).where(runs.c.id == run_id, runs.c.state == expect.value).values(state=to.value, **changes)
    )
    return bool(done.rowcount == 1)


def start_attempt(tx: Transaction, attempt: Attempt) -> None:
    """Record an attempt before anything is started on its account; one that was proven not started gives way."""
    tx.connection.execute(
        delete(attempts).where(attempts.c.run_id == attempt.run_id, attempts.c.number == attempt.number)
    )
    tx.connection.execute(insert(attempts).values(**asdict(attempt)))


def move_attempt(tx: Transaction, run_id: RunId, number: int, to: RunState, **changes: Any) -> None:
    """Change an attempt's state and these columns."""
    tx.connection.execute(
        update(attempts)
        .where(attempts.c.run_id == run_id, attempts.c.number == number)
        .values(state=to.value, **changes)
    )


def attempts_of(tx: Transaction, run_id: str) -> list[Attempt]:
    """The attempts of a run, in their order."""
    rows = tx.connection.execute(select(attempts).where(attempts.c.run_id == run_id).order_by(attempts.c.number))
    return [Attempt(**{**row._asdict(), "state": RunState(row.state), "run_id": RunId(row.run_id)}) for row in rows]


def _of_project(tx: Transaction) -> Select[Any]:
    return select(runs).where(runs.c.project == tx.project)


def _to_row(tx: Transaction, run: Run) -> dict[str, Any]:
    row = {field.name: getattr(run, field.name) for field in fields(run)}
    retries = run.retries and {
        "limit": run.retries.limit,
        "delay": run.retries.delay.total_seconds(),
        "backoff": run.retries.backoff,
        "max_delay": run.retries.max_delay.total_seconds(),
        "jitter": run.retries.jitter,
        "on": list(run.retries.on),
    }
    return {**row, "project": tx.project, "tags": list(run.tags), "retries": retries}


def _from_row(row: Row[Any]) -> Run:
    values = row._asdict()
    del values["project"]
    values.update(id=RunId(row.id), state=RunState(row.state), trigger=Trigger(row.trigger), tags=tuple(row.tags))
    values["retries"] = row.retries and Retries(
        limit=row.retries["limit"],
        delay=timedelta(seconds=row.retries["delay"]),
        backoff=row.retries["backoff"],
        max_delay=timedelta(seconds=row.retries["max_delay"]),
        jitter=row.retries["jitter"],
        on=tuple(RetryOn(word) for word in row.retries["on"]),
    )
    return Run(**values)
