"""The table of gates: what the runs of due times wait for. `runs.upstream_gates` decides about them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Row,
    ScalarSelect,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)

from controller.model.gates import Gate, GateState, join_texts
from controller.model.runs import RunId, RunState
from controller.model.triggers import UpstreamOutcome
from controller.store.prepared import Prepared, listed, listed_rows, one_of
from controller.store.rows import from_row, to_row
from controller.store.schema import runs
from controller.store.store import Transaction
from controller.store.trigger_tables import gates

Parameter = BindParameter[Any]

_SAVE_STATE = (
    update(gates)
    .where(gates.c.run_id == bindparam("of_run"), gates.c.upstream == bindparam("of_upstream"))
    .values(state=bindparam("new_state"), upstream_run_id=bindparam("new_run"))
)
_SAVE_TIMES = (
    update(gates)
    .where(gates.c.run_id == bindparam("of_run"), gates.c.upstream == bindparam("of_upstream"))
    .values(until=bindparam("new_until"), since=bindparam("new_since"))
)
_OF_RUNS = Prepared(
    select(gates).where(gates.c.run_id.in_(listed("run_ids"))).order_by(gates.c.run_id, gates.c.upstream)
)
_EXPIRE_RUNS = Prepared(
    update(gates)
    .where(
        gates.c.run_id.in_(listed("run_ids")),
        one_of(gates.c.state, (GateState.WAITING.value, GateState.CLOSED.value)),
    )
    .values(state=literal(GateState.EXPIRED.value))
)
_MOVE = Prepared(update(gates).where(gates.c.run_id == bindparam("old")).values(run_id=bindparam("new")))
_OPENERS = listed_rows("upstream_runs", "run_id").cte("openers")
_OPENED_BY = Prepared(
    select(gates, runs.c.deployment)
    .select_from(
        _OPENERS.outerjoin(  # outer joins make SQLite begin with the list, and look up each of its rows
            gates,
            and_(
                gates.c.project == bindparam("project"),
                gates.c.upstream_run_id == _OPENERS.c.run_id,
                one_of(gates.c.state, (GateState.OPEN.value, GateState.REDONE.value)),
            ),
        ).outerjoin(runs, runs.c.id == gates.c.run_id)
    )
    .order_by(gates.c.run_id, gates.c.upstream)
)
_IS_UNSTARTED = and_(runs.c.id == gates.c.run_id, runs.c.state == RunState.PENDING.value)


def _prepare_in_state(state: GateState, *conditions: ColumnElement[bool]) -> Prepared:
    is_in_state = (gates.c.project == bindparam("of_project"), gates.c.state == state.value)
    return Prepared(select(gates).where(*is_in_state, *conditions).order_by(gates.c.run_id, gates.c.upstream))


_ALL_WAITING = _prepare_in_state(GateState.WAITING, exists().where(_IS_UNSTARTED))
_ALL_CLOSED = _prepare_in_state(GateState.CLOSED, gates.c.until > bindparam("now"))
_ALL_REDONE = _prepare_in_state(GateState.REDONE)


def insert_all(tx: Transaction, new: Iterable[Gate]) -> None:
    """Record the gates of new runs."""
    rows = [to_row(tx, gates, gate) for gate in new]
    if rows:
        tx.connection.execute(insert(gates), rows)


def save_states(tx: Transaction, changed: Iterable[Gate]) -> None:
    """Save the states of gates, and the runs that opened them."""
    rows = [
        {
            "of_run": gate.run_id,
            "of_upstream": gate.upstream,
            "new_state": gate.state.value,
            "new_run": gate.upstream_run_id,
        }
        for gate in changed
    ]
    if rows:
        tx.connection.execute(_SAVE_STATE, rows)


def find_of_run(tx: Transaction, run_id: RunId) -> list[Gate]:
    """Return the gates of a run, by the name of the upstream."""
    return find_of_runs(tx, [run_id]).get(run_id, [])


def find_of_runs(tx: Transaction, run_ids: Collection[RunId]) -> dict[RunId, list[Gate]]:
    """Return the gates of these runs, by the name of the upstream. Runs without gates are left out."""
    by_run: dict[RunId, list[Gate]] = {}
    for row in _OF_RUNS.fetch(tx, run_ids=list(run_ids)) if run_ids else ():
        by_run.setdefault(RunId(row.run_id), []).append(_from_row(row))
    return by_run


def find_waiting(tx: Transaction, upstreams: Collection[str] | None = None) -> list[Gate]:
    """Return the waiting gates of runs that have not started; with `upstreams`, only those that wait for these."""
    if upstreams is None:
        return [_from_row(row) for row in _ALL_WAITING.fetch(tx, of_project=tx.project)]
    query = select(gates).where(*_of_upstreams(tx, GateState.WAITING, upstreams), exists().where(_IS_UNSTARTED))
    rows = tx.connection.execute(query.order_by(gates.c.run_id, gates.c.upstream))
    return [_from_row(row) for row in rows]


def find_waiting_by_run(tx: Transaction) -> Mapping[RunId, list[Gate]]:
    """Return the waiting gates of all runs that have not started."""
    by_run: dict[RunId, list[Gate]] = defaultdict(list)
    for gate in find_waiting(tx):
        by_run[gate.run_id].append(gate)
    return by_run


def describe_waiting(tx: Transaction, run_ids: Collection[RunId]) -> dict[RunId, str]:
    """Return the upstream deployments that these runs still wait for, as a text for each run that waits."""
    waits = {}
    for run_id, of_run in find_of_runs(tx, run_ids).items():
        waiting = [gate for gate in of_run if gate.state is GateState.WAITING]
        if waiting:
            waits[run_id] = join_texts(waiting)
    return waits


def find_closed(tx: Transaction, now: datetime, upstreams: Collection[str] | None = None) -> list[Gate]:
    """Return the closed gates that may still be opened at `now`; with `upstreams`, only those of these."""
    if upstreams is None:
        return [_from_row(row) for row in _ALL_CLOSED.fetch(tx, of_project=tx.project, now=now)]
    query = select(gates).where(*_of_upstreams(tx, GateState.CLOSED, upstreams), gates.c.until > now)
    rows = tx.connection.execute(query.order_by(gates.c.run_id, gates.c.upstream))
    return [_from_row(row) for row in rows]


def find_redone(tx: Transaction) -> list[Gate]:
    """Return the gates whose upstream run was repeated, and whose run has not been repeated yet."""
    return [_from_row(row) for row in _ALL_REDONE.fetch(tx, of_project=tx.project)]


def find_opened_by(
    tx: Transaction, upstream_runs: Collection[RunId], deployments: Collection[str]
) -> list[tuple[str, Gate]]:
    """Return the gates of the runs of these deployments that one of these runs has opened, with their deployments."""
    names = set(deployments)
    rows = _OPENED_BY.fetch(tx, upstream_runs=[[run_id] for run_id in upstream_runs], project=tx.project)
    return [(row.deployment, _from_row(row)) for row in rows if row.deployment in names]


def find_late(tx: Transaction, now: datetime, limit: int) -> list[RunId]:
    """Return up to `limit` runs that have not started and wait for an upstream whose deadline has passed."""
    query = select(gates.c.run_id).distinct().where(*_is_late(tx, now), exists().where(_IS_UNSTARTED))
    return [RunId(row.run_id) for row in tx.connection.execute(query.order_by(gates.c.run_id).limit(limit))]


def expire(tx: Transaction, now: datetime) -> None:
    """Mark the gates of ended runs whose deadline has passed, so that nothing opens them any more."""
    for state in (GateState.WAITING, GateState.CLOSED):
        is_over = (*_of_upstreams(tx, state, None), gates.c.until <= now, ~exists().where(_IS_UNSTARTED))
        tx.connection.execute(update(gates).where(*is_over).values(state=GateState.EXPIRED.value))


def expire_runs(tx: Transaction, run_ids: Collection[RunId]) -> None:
    """Mark the gates of these runs that nothing may open any more."""
    if run_ids:
        _EXPIRE_RUNS.run(tx, run_ids=list(run_ids))


def move_all(tx: Transaction, new_ids: Mapping[RunId, RunId]) -> None:
    """Give the gates of each run to the run that repeats it."""
    _MOVE.execute(tx, ({"old": old, "new": new} for old, new in new_ids.items()))


def shift(tx: Transaction, now: datetime, by: timedelta) -> None:
    """Shift the deadline of the undecided gates of due times after `now`, and their `since` if it is after `now`."""
    is_undecided = gates.c.state.in_([GateState.WAITING.value, GateState.CLOSED.value])
    is_future = exists().where(runs.c.id == gates.c.run_id, runs.c.scheduled_for > now)
    query = select(gates).where(gates.c.project == tx.project, is_undecided, is_future)
    rows = [
        {
            "of_run": row.run_id,
            "of_upstream": row.upstream,
            "new_until": row.until + by,
            "new_since": row.since if row.since is None or row.since <= now else row.since + by,
        }
        for row in tx.connection.execute(query)
    ]
    if rows:
        tx.connection.execute(_SAVE_TIMES, rows)


def next_deadline(project: Parameter, now: Parameter) -> ScalarSelect[Any]:
    """Return the first deadline of a waiting gate after `now`, as part of a statement; NULL if there is none."""
    is_waiting = (gates.c.project == project, gates.c.state == GateState.WAITING.value)
    return select(func.min(gates.c.until)).where(*is_waiting, gates.c.until > now).scalar_subquery()


def has_late(project: Parameter, now: Parameter) -> ColumnElement[bool]:
    """Return the condition that the deadline of a waiting gate has passed, as part of a statement."""
    is_waiting = (gates.c.project == project, gates.c.state == GateState.WAITING.value)
    return exists().where(*is_waiting, gates.c.until <= now)


def has_waiting_gate() -> ColumnElement[bool]:
    """Return the condition that a row of `runs` waits for an upstream deployment."""
    return exists().where(gates.c.run_id == runs.c.id, gates.c.state == GateState.WAITING.value)


def _is_late(tx: Transaction, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (*_of_upstreams(tx, GateState.WAITING, None), gates.c.until <= now)


def _of_upstreams(
    tx: Transaction, state: GateState, upstreams: Collection[str] | None
) -> tuple[ColumnElement[bool], ...]:
    conditions = (gates.c.project == tx.project, gates.c.state == state.value)
    return conditions if upstreams is None else (*conditions, gates.c.upstream.in_(upstreams))


def _from_row(row: Row[Any]) -> Gate:
    condition, state = UpstreamOutcome(row.condition), GateState(row.state)
    run_id, upstream_run_id = RunId(row.run_id), row.upstream_run_id and RunId(row.upstream_run_id)
    return from_row(Gate, row, run_id=run_id, condition=condition, state=state, upstream_run_id=upstream_run_id)
