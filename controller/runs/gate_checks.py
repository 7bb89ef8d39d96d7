"""Checks gates by what is recorded about the runs that they wait for.

`upstream_gates` and `upstream_redo` call `check_all`. The number of statements does not depend on the number of gates.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from controller.model.gates import Gate, GateState, is_fulfilled
from controller.model.runs import ACTIVE, TERMINAL, Occurrence, Outcome, RunId, RunState
from controller.model.triggers import UpstreamOutcome
from controller.records import dataclass
from controller.store import Transaction, inventory, runs, upstream_lookup

_Key = tuple[str, UpstreamOutcome, datetime | None, datetime | None]
"""Everything that the check of a gate depends on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCheck:
    """The state that a gate has by what is recorded, the run that opened it, and why it is not open."""

    state: GateState
    run_id: RunId | None = None
    reason: str = ""


_WAITING = GateCheck(state=GateState.WAITING)


def check_all(tx: Transaction, gates: Sequence[Gate]) -> list[GateCheck]:
    """Return what is recorded about each of these gates. Gates that wait for the same run are checked once."""
    checks = {
        **_check_due_times(tx, [gate for gate in gates if gate.due_time is not None]),
        **_check_runs(tx, [gate for gate in gates if gate.due_time is None]),
    }
    return [checks[_key(gate)] for gate in gates]


def _key(gate: Gate) -> _Key:
    return gate.upstream, gate.condition, gate.due_time, gate.since


def _due_time(gate: Gate) -> tuple[str, datetime]:
    assert gate.due_time is not None
    return gate.upstream, gate.due_time


def _check_due_times(tx: Transaction, gates: Iterable[Gate]) -> dict[_Key, GateCheck]:
    """Check gates that wait for the runs of due times."""
    distinct = {_key(gate): gate for gate in gates}
    recorded = upstream_lookup.find_recorded(tx, {_due_time(gate) for gate in distinct.values()})
    checks: dict[_Key, GateCheck] = {}
    unfulfilled: dict[_Key, tuple[Gate, Occurrence]] = {}
    unrecorded: dict[_Key, Gate] = {}
    for key, gate in distinct.items():
        row = recorded.get(_due_time(gate))
        state = None if row is None else _state(row)
        if row is None:
            unrecorded[key] = gate
        elif state is not None and is_fulfilled(gate.condition, state):
            checks[key] = GateCheck(state=GateState.OPEN, run_id=row.run_id)
        else:
            unfulfilled[key] = gate, row
    unfinished = upstream_lookup.find_unfinished(tx, {_due_time(gate) for gate, _ in unfulfilled.values()})
    for key, (gate, row) in unfulfilled.items():
        reason = f"{gate.upstream} {_how_it_ended(row)}"
        is_waiting = _due_time(gate) in unfinished
        checks[key] = _WAITING if is_waiting else GateCheck(state=GateState.CLOSED, reason=reason)
    return {**checks, **_check_unrecorded(tx, unrecorded)}


def _check_unrecorded(tx: Transaction, gates: dict[_Key, Gate]) -> dict[_Key, GateCheck]:
    """Check gates that wait for due times without a row in the ledger."""
    if not gates:
        return {}
    names = {gate.upstream for gate in gates.values()}
    entries = {entry.name: entry for entry in inventory.find_many(tx, names)}
    checks = {}
    for key, gate in gates.items():
        entry, due_time = entries.get(gate.upstream), _due_time(gate)[1]
        if entry is not None and entry.document.get("suspend") is True:
            checks[key] = GateCheck(state=GateState.CLOSED, reason=f"{gate.upstream} is suspended")
        elif entry is not None and entry.cursor >= due_time:  # too many were missed to record each of them
            checks[key] = GateCheck(state=GateState.CLOSED, reason=f"{gate.upstream} was skipped (catch-up)")
        else:
            checks[key] = _WAITING
    return checks


def _check_runs(tx: Transaction, gates: Iterable[Gate]) -> dict[_Key, GateCheck]:
    """Check gates that wait for runs without a due time."""
    distinct = {_key(gate): gate for gate in gates}
    by_condition: dict[UpstreamOutcome, list[_Key]] = defaultdict(list)
    for key, gate in distinct.items():
        by_condition[gate.condition].append(key)
    checks: dict[_Key, GateCheck] = {}
    for condition, keys in by_condition.items():
        fulfilling = [state for state in TERMINAL if is_fulfilled(condition, state)]
        newest = upstream_lookup.find_newest(tx, {_created(key) for key in keys}, fulfilling)
        checks |= {
            key: GateCheck(state=GateState.OPEN, run_id=newest[_created(key)])
            for key in keys
            if _created(key) in newest
        }
    remaining = [key for key in distinct if key not in checks]
    unfinished = upstream_lookup.find_newest(tx, {_created(key) for key in remaining}, ACTIVE)
    checks |= {key: _WAITING for key in remaining if _created(key) in unfinished}
    return {**checks, **_check_ended(tx, [key for key in remaining if key not in checks])}


def _check_ended(tx: Transaction, keys: Collection[_Key]) -> dict[_Key, GateCheck]:
    """Check gates whose upstream deployment has no unfinished run, and none that ended as required."""
    ended = upstream_lookup.find_newest(tx, {_created(key) for key in keys}, TERMINAL)
    stored = runs.find_all(tx, sorted(set(ended.values()))) if ended else {}
    checks = {}
    for key in keys:
        run = stored.get(ended.get(_created(key), RunId("")))
        closed = None if run is None else f"{key[0]} {_in_words(run.state, run.reason)}"
        checks[key] = _WAITING if closed is None else GateCheck(state=GateState.CLOSED, reason=closed)
    return checks


def _created(key: _Key) -> tuple[str, datetime | None]:
    """Return the upstream deployment, and the time after which its run has to be created."""
    return key[0], key[3]


def _state(row: Occurrence) -> RunState | None:
    return RunState.SKIPPED if row.outcome is Outcome.SKIPPED else row.state


def _how_it_ended(row: Occurrence) -> str:
    """Return the predicate for the outcome of a due time: `failed`, or `was skipped (overlap)`."""
    state = _state(row)
    return "has no outcome" if state is None else _in_words(state, row.reason)


def _in_words(state: RunState, reason: str | None) -> str:
    match state:
        case RunState.SKIPPED:
            return f"was skipped ({reason})" if reason else "was skipped"
        case RunState.CANCELLED:
            return "was cancelled"
    return state.value.replace("_", " ")
