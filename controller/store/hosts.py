"""The hosts whose controllers share a state, the runs in progress on them, and the reports of their standbys.

The leader calls it in its transactions. `sign_of_life` has what every controller writes outside of them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, delete, func, select

from controller.model.hosts import AttemptReport, Host, HostState, directory_of, host_of
from controller.model.runs import Attempt, Run, RunId, RunOutcome, RunState
from controller.store.leaders import find_leader
from controller.store.leadership_tables import attempt_reports, hosts
from controller.store.runs import attempts_of
from controller.store.runs import from_row as run_from_row
from controller.store.schema import Instant, attempts, runs
from controller.store.store import Transaction

AWAY = timedelta(seconds=30)
"""A host is away if none of its controllers was seen for this long."""
_LAST_ATTEMPT = and_(attempts.c.run_id == runs.c.id, attempts.c.number == runs.c.attempt)


def find_hosts(tx: Transaction) -> list[Host]:
    """Return the hosts of the state by name: those that were seen, and those of runs in progress."""
    running = _running_by_place(tx)
    seen: dict[str, datetime] = {row.place: row.seen_at for row in _seen(tx)}
    present, leader = find_present(tx), find_leader(tx)
    leading = leader.host if leader is not None and leader.leads else None
    places: dict[str, list[str]] = defaultdict(list)
    for place in sorted({*seen, *running}):
        places[host_of(place)].append(place)
    return [
        Host(
            name=name,
            state=_state(name, leading, present),
            seen_at=max((seen[place] for place in own if place in seen), default=None),
            running=sum(running.get(place, 0) for place in own),
            directories=tuple(directory_of(place) for place in own),
        )
        for name, own in sorted(places.items())
    ]


def find_present(tx: Transaction) -> set[str]:
    """Return the hosts whose controllers were seen lately, by the clock of the server."""
    return {host_of(row.place) for row in _seen(tx) if row.now - row.seen_at < AWAY}


def running_on(tx: Transaction, host: str) -> list[tuple[Run, Attempt]]:
    """Return the running runs whose flow was started on this host, and their last attempts, oldest first."""
    is_there = attempts.c.place.startswith(f"{host}:", autoescape=True)
    is_running = (runs.c.project == tx.project, runs.c.state == RunState.RUNNING.value, is_there)
    found = select(runs).join(attempts, _LAST_ATTEMPT).where(*is_running).order_by(runs.c.id)
    running = [run_from_row(row) for row in tx.connection.execute(found)]
    return [(run, attempts_of(tx, run.id)[-1]) for run in running]


def find_reports(tx: Transaction) -> list[AttemptReport]:
    """Return the reports of standbys."""
    query = select(attempt_reports).join(runs, runs.c.id == attempt_reports.c.run_id)
    return [_report(row) for row in tx.connection.execute(query.where(runs.c.project == tx.project))]


def delete_reports(tx: Transaction, run_ids: Collection[RunId]) -> None:
    """Delete the reports about these runs."""
    if run_ids:
        tx.connection.execute(delete(attempt_reports).where(attempt_reports.c.run_id.in_(list(run_ids))))


def outcome_to_json(outcome: RunOutcome) -> dict[str, Any]:
    """Return the outcome of an attempt as JSON values."""
    finished = None if outcome.finished_at is None else outcome.finished_at.isoformat()
    return {**asdict(outcome), "state": outcome.state.value, "finished_at": finished}


def _running_by_place(tx: Transaction) -> dict[str, int]:
    query = select(attempts.c.place, func.count()).select_from(runs).join(attempts, _LAST_ATTEMPT)
    is_running = (runs.c.project == tx.project, runs.c.state == RunState.RUNNING.value, attempts.c.place.is_not(None))
    return {row[0]: row[1] for row in tx.connection.execute(query.where(*is_running).group_by(attempts.c.place))}


def _seen(tx: Transaction) -> Iterable[Row[Any]]:
    query = select(hosts.c.place, hosts.c.seen_at, func.current_timestamp(type_=Instant).label("now"))
    return tx.connection.execute(query.where(hosts.c.project == tx.project)).all()


def _state(host: str, leading: str | None, present: Collection[str]) -> HostState:
    if host == leading:
        return HostState.LEADING
    return HostState.STANDBY if host in present else HostState.AWAY


def _report(row: Row[Any]) -> AttemptReport:
    return AttemptReport(
        run_id=RunId(row.run_id),
        number=row.number,
        nonce=row.nonce,
        outcome=None if row.outcome is None else _outcome(row.outcome),
        doubt=row.doubt,
        events=row.events,
    )


def _outcome(values: dict[str, Any]) -> RunOutcome:
    finished = values["finished_at"]
    return RunOutcome(
        **{
            **values,
            "state": RunState(values["state"]),
            "finished_at": None if finished is None else datetime.fromisoformat(finished),
            "unenforced": tuple(values["unenforced"]),
        }
    )
