"""The tables of runs and attempts. Every state change is a compare-and-set; a finished run never changes."""

from collections.abc import Collection, Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, and_, bindparam, func, insert, or_, select, update

from controller.model.policies import Retries, RetryOn
from controller.model.python_environments import PythonSummary
from controller.model.runs import (
    ACTIVE,
    Attempt,
    DueRun,
    Run,
    RunId,
    RunState,
    Trigger,
    UpstreamRun,
    first_id,
)
from controller.store.batches import batches
from controller.store.prepared import Prepared, listed, listed_rows, one_of
from controller.store.schema import attempts, runs
from controller.store.store import Transaction

_RELEASED = ("upstream", "parameters", "name", "not_before", "start_by")
_SAVE_RELEASED = (
    update(runs)
    .where(runs.c.id == bindparam("run"))
    .values({name: bindparam(f"new_{name}", type_=runs.columns[name].type) for name in _RELEASED})
)
_SAME_NAMES = sorted({column.name for column in runs.columns} - {"project", "python", "python_declared_at"})
"""The columns that have the name and the value of a field of `Run`, or are converted from it."""
_INSERT = Prepared(insert(runs).values({column.name: bindparam(column.name) for column in runs.columns}))
_FIND_CANCELLED = Prepared(
    select(runs.c.id).where(
        runs.c.project == bindparam("project"),
        one_of(runs.c.state, (RunState.LAUNCHING.value, RunState.RUNNING.value)),
        runs.c.cancel_reason.is_not(None),
    )
)
_PAIRS = listed_rows("pairs", "deployment", "key").cte("pairs")
_IDS_BY_KEYS = Prepared(
    select(runs.c.deployment, runs.c.idempotency_key, runs.c.id).select_from(
        _PAIRS.outerjoin(  # an outer join makes SQLite begin with the pairs, and look up each of them
            runs,
            and_(
                runs.c.project == bindparam("project"),
                runs.c.deployment == _PAIRS.c.deployment,
                runs.c.idempotency_key == _PAIRS.c.key,
            ),
        )
    )
)
_FIND_ALL = Prepared(select(runs).where(runs.c.id.in_(listed("ids"))))


def insert_all(tx: Transaction, new: Iterable[Run]) -> None:
    """Record new runs."""
    _INSERT.execute(tx, (_to_row(tx, run) for run in new))


def find(tx: Transaction, run_id: str) -> Run | None:
    """Return the run with this id, or None."""
    row = tx.connection.execute(_of_project(tx).where(runs.c.id == run_id)).first()
    return None if row is None else from_row(row)


def find_by_prefix(tx: Transaction, prefix: str, limit: int = 2) -> list[Run]:
    """Return the run with this id, or else up to `limit` runs whose ids begin or end with it, newest first."""
    exact = find(tx, prefix)
    if exact is not None:
        return [exact]
    matches = runs.c.id.startswith(prefix, autoescape=True) | runs.c.id.endswith(prefix, autoescape=True)
    rows = tx.connection.execute(_of_project(tx).where(matches).order_by(runs.c.id.desc()).limit(limit))
    return [from_row(row) for row in rows]


def find_by_id_part(tx: Transaction, part: str, limit: int, *, is_end: bool) -> list[Run]:
    """Return up to `limit` runs whose ids begin with this part, or with `is_end` end with it; newest first.

    The beginning is found with the index. The end is not: use it for whole short ids only.
    """
    begins = (runs.c.id >= part) & (runs.c.id < f"{part}g")  # no digit of an id is above f
    matches = or_(begins, runs.c.id.endswith(part, autoescape=True)) if is_end else begins
    rows = tx.connection.execute(_of_project(tx).where(matches).order_by(runs.c.id.desc()).limit(limit))
    return [from_row(row) for row in rows]


def find_by_key(tx: Transaction, deployment: str, idempotency_key: str) -> Run | None:
    """Return the run that was requested with this idempotency key, or None."""
    row = tx.connection.execute(
        _of_project(tx).where(runs.c.deployment == deployment, runs.c.idempotency_key == idempotency_key)
    ).first()
    return None if row is None else from_row(row)


def ids_by_key(tx: Transaction, deployment: str, keys: Collection[str]) -> dict[str, RunId]:
    """Return the ids of the runs of a deployment that have these idempotency keys, by key. At most 500 keys."""
    is_of_deployment = (runs.c.project == tx.project, runs.c.deployment == deployment)
    query = select(runs.c.idempotency_key, runs.c.id).where(*is_of_deployment, runs.c.idempotency_key.in_(list(keys)))
    return {row.idempotency_key: RunId(row.id) for row in tx.connection.execute(query)}


def ids_by_keys(tx: Transaction, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], RunId]:
    """Return the ids of the runs that have these pairs of a deployment and an idempotency key, by pair."""
    pairs = [list(pair) for pair in set(keys)]
    rows = _IDS_BY_KEYS.fetch(tx, pairs=pairs, project=tx.project) if pairs else ()
    return {(row.deployment, row.idempotency_key): RunId(row.id) for row in rows if row.id is not None}


def find_all(tx: Transaction, run_ids: Iterable[RunId]) -> dict[RunId, Run]:
    """Return those of these runs that exist, by id."""
    return {RunId(row.id): from_row(row) for row in _FIND_ALL.fetch(tx, ids=list(run_ids))}


def history(tx: Transaction, deployment: str, since: datetime, until: datetime) -> dict[datetime, list[DueRun]]:
    """Return all runs of the due times in [since, until], oldest first, by due time."""
    rows = tx.connection.execute(
        select(runs.c.scheduled_for, runs.c.id, runs.c.state)
        .where(
            runs.c.project == tx.project,
            runs.c.deployment == deployment,
            runs.c.scheduled_for >= since,
            runs.c.scheduled_for <= until,
        )
        .order_by(runs.c.scheduled_for, runs.c.id)
    )
    by_time: dict[datetime, list[DueRun]] = {}
    for row in rows:
        by_time.setdefault(row.scheduled_for, []).append(DueRun(run_id=RunId(row.id), state=RunState(row.state)))
    return by_time


def retries_without_due_time(tx: Transaction, deployment: str) -> dict[RunId, tuple[RunId, RunState]]:
    """Return the retries of runs without a due time, oldest first: their states, and which run each one retries."""
    rows = tx.connection.execute(
        select(runs.c.id, runs.c.retry_of, runs.c.state)
        .where(
            runs.c.project == tx.project,
            runs.c.deployment == deployment,
            runs.c.scheduled_for.is_(None),
            runs.c.retry_of.is_not(None),
        )
        .order_by(runs.c.id)
    )
    return {RunId(row.id): (RunId(row.retry_of), RunState(row.state)) for row in rows}


def waiting_for_time(tx: Transaction, now: datetime) -> list[Run]:
    """Return the waiting runs whose start, retry or due time is after `now`."""
    states = (RunState.PENDING.value, RunState.RETRYING.value)
    is_waiting = or_(runs.c.not_before > now, runs.c.scheduled_for > now)
    return [from_row(row) for row in tx.connection.execute(_of_project(tx).where(runs.c.state.in_(states), is_waiting))]


def newest_id(tx: Transaction) -> RunId | None:
    """Return the greatest run id of all projects; None before the first run."""
    run_id = tx.connection.execute(select(func.max(runs.c.id))).scalar()
    return None if run_id is None else RunId(run_id)


def find_cancelled(tx: Transaction) -> list[RunId]:
    """Return the runs in progress that should be cancelled."""
    return [RunId(row.id) for row in _FIND_CANCELLED.fetch(tx, project=tx.project)]


def active_counts(tx: Transaction) -> dict[str, int]:
    """Return the number of unfinished runs by deployment, without deployments that have none."""
    rows = tx.connection.execute(
        select(runs.c.deployment, func.count())
        .where(runs.c.project == tx.project, runs.c.state.in_([state.value for state in ACTIVE]))
        .group_by(runs.c.deployment)
    )
    return {row[0]: row[1] for row in rows}


def active_revisions(tx: Transaction) -> set[str]:
    """Return the revisions that unfinished runs still need."""
    rows = tx.connection.execute(
        select(runs.c.revision)
        .distinct()
        .where(runs.c.project == tx.project, runs.c.state.in_([state.value for state in ACTIVE]))
    )
    return set(rows.scalars())


def counts(tx: Transaction) -> dict[RunState, int]:
    """Return the number of unfinished runs by state."""
    rows = tx.connection.execute(
        select(runs.c.state, func.count())
        .where(runs.c.project == tx.project, runs.c.state.in_([state.value for state in ACTIVE]))
        .group_by(runs.c.state)
    )
    return {RunState(state): count for state, count in rows}


def count_in_progress(tx: Transaction) -> int:
    """Return the number of runs whose flow was started, or is about to be started on this machine.

    A job that has not started its flow can wait a long time for a node of its cluster.
    """
    launching = select(runs.c.id).where(runs.c.project == tx.project, runs.c.state == RunState.LAUNCHING.value)
    executors = executors_of(tx, [RunId(run_id) for run_id in tx.connection.execute(launching).scalars()])
    return counts(tx).get(RunState.RUNNING, 0) + sum(name == "local" for name in executors.values())


def move(tx: Transaction, run_id: RunId, *, expect: RunState, to: RunState, **changes: Any) -> bool:
    """Change a run's state and the given columns if it is still in state `expect`. Return False if it is not."""
    result = tx.connection.execute(
        update(runs).where(runs.c.id == run_id, runs.c.state == expect.value).values(state=to.value, **changes)
    )
    return bool(result.rowcount == 1)


def save_released(tx: Transaction, released: Iterable[Run]) -> None:
    """Record what the release of waiting runs changes: upstream runs, parameters and name, and when they may start."""
    rows = [
        {
            "run": run.id,
            "new_upstream": [_upstream_to_json(each) for each in run.upstream] or None,
            "new_parameters": dict(run.parameters),
            "new_name": run.name,
            "new_not_before": run.not_before,
            "new_start_by": run.start_by,
        }
        for run in released
    ]
    if rows:
        tx.connection.execute(_SAVE_RELEASED, rows)


def find_first(tx: Transaction, run: Run) -> Run:
    """Return the run that this one retries, directly or through other retries, as far as they are stored."""
    while run.retry_of is not None and (earlier := find(tx, run.retry_of)) is not None:
        run = earlier
    return run


def find_newest_since(
    tx: Transaction, deployment: str, since: datetime | None, states: Collection[RunState]
) -> Run | None:
    """Return the newest run in one of these states that was created after `since`, or at any time; or None."""
    is_match = [runs.c.deployment == deployment, runs.c.state.in_([state.value for state in states])]
    if since is not None:
        is_match += [runs.c.id >= first_id(since), runs.c.created_at > since]
    row = tx.connection.execute(_of_project(tx).where(*is_match).order_by(runs.c.id.desc()).limit(1)).first()
    return None if row is None else from_row(row)


def attempt_times(tx: Transaction, run_ids: Collection[RunId]) -> dict[RunId, list[tuple[datetime, datetime | None]]]:
    """Return the start and the end (None: not yet) of all started attempts of these runs."""
    times: dict[RunId, list[tuple[datetime, datetime | None]]] = {}
    for ids in batches(run_ids):
        query = select(attempts.c.run_id, attempts.c.started_at, attempts.c.finished_at)
        is_started = (attempts.c.run_id.in_(ids), attempts.c.started_at.is_not(None))
        for row in tx.connection.execute(query.where(*is_started)):
            times.setdefault(RunId(row.run_id), []).append((row.started_at, row.finished_at))
    return times


def executors_of(tx: Transaction, run_ids: Collection[RunId]) -> dict[RunId, str]:
    """Return the executor of the last attempt of each of these runs that has one."""
    executors: dict[RunId, str] = {}
    for ids in batches(run_ids):
        query = select(attempts.c.run_id, attempts.c.executor).where(attempts.c.run_id.in_(ids))
        for row in tx.connection.execute(query.order_by(attempts.c.number)):
            executors[RunId(row.run_id)] = row.executor
    return executors


def attempts_of(tx: Transaction, run_id: str) -> list[Attempt]:
    """Return the attempts of a run, oldest first."""
    rows = tx.connection.execute(select(attempts).where(attempts.c.run_id == run_id).order_by(attempts.c.number))
    return [Attempt(**{**row._asdict(), "state": RunState(row.state), "run_id": RunId(row.run_id)}) for row in rows]


def _of_project(tx: Transaction) -> Select[Any]:
    return select(runs).where(runs.c.project == tx.project)


def _to_row(tx: Transaction, run: Run) -> dict[str, Any]:
    row = {name: getattr(run, name) for name in _SAME_NAMES}
    retries = run.retries and {
        "limit": run.retries.limit,
        "delay": run.retries.delay.total_seconds(),
        "backoff": run.retries.backoff,
        "max_delay": run.retries.max_delay.total_seconds(),
        "jitter": run.retries.jitter,
        "on": list(run.retries.on),
    }
    python = (None, None) if run.python is None else (run.python.digest, run.python.declared_at)
    row["python"], row["python_declared_at"] = python
    row["upstream"] = [_upstream_to_json(upstream) for upstream in run.upstream] or None
    return {**row, "project": tx.project, "tags": list(run.tags), "retries": retries}


def _upstream_to_json(upstream: UpstreamRun) -> dict[str, Any]:
    due_time = None if upstream.due_time is None else upstream.due_time.isoformat()
    return {**asdict(upstream), "due_time": due_time, "state": upstream.state.value}


def _upstream_from_json(value: dict[str, Any]) -> UpstreamRun:
    due_time = None if value["due_time"] is None else datetime.fromisoformat(value["due_time"])
    return UpstreamRun(**{**value, "due_time": due_time, "state": RunState(value["state"])})


def from_row(row: Row[Any]) -> Run:
    """Convert a row of the table `runs` to a run."""
    values = row._asdict()
    del values["project"]
    values.update(id=RunId(row.id), state=RunState(row.state), trigger=Trigger(row.trigger), tags=tuple(row.tags))
    values["retries"] = row.retries and Retries(
        limit=row.retries["limit"],
        delay=timedelta(seconds=row.retries["delay"]),
        backoff=row.retries["backoff"],
        max_delay=timedelta(seconds=row.retries["max_delay"]),
        jitter=row.retries["jitter"],
        on=tuple(RetryOn(value) for value in row.retries["on"]),
    )
    values["upstream"] = tuple(_upstream_from_json(value) for value in row.upstream or ())
    declared_at = values.pop("python_declared_at") or ""
    values["python"] = None if row.python is None else PythonSummary(digest=row.python, declared_at=declared_at)
    return Run(**values)
