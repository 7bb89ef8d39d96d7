"""Gates: the run of a due time waits until its upstream deployments have finished as asked.

`admission` creates the gates with the run, in one transaction. `settle` decides about them by what is recorded about
the upstream runs, never by what has been reported, so that it can be repeated at any time. `upstreams` calls it when
an upstream run has finished, and with every tick.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from controller.manifests.active_deployments import ActiveDeployments
from controller.model.deployments import Deployment
from controller.model.gates import UPSTREAM, Gate, GateState, are_closed, are_open, describe_late, is_fulfilled
from controller.model.runs import ACTIVE, TERMINAL, Occurrence, Outcome, Run, RunId, RunState
from controller.runs.admission_policy import GATE_DEADLINE
from controller.runs.gate_releases import GatedRun, release_gated
from controller.runs.outcomes import skip_all
from controller.runs.upstream_runs import latest_due_time, latest_recorded
from controller.schedules import find_due
from controller.store import Transaction, gates, inventory, occurrences, runs

_INSTANT = timedelta(microseconds=1)
_LOOKBACK = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=400))
"""How far back the previous fire time is searched, step by step, so that few fire times are computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCheck:
    """The state that a gate has by what is recorded, the run that opened it, and why it is not open."""

    state: GateState
    run_id: RunId | None = None
    reason: str = ""


_WAITING = GateCheck(state=GateState.WAITING)


class GateChecks:
    """Checks gates within one transaction. Gates that wait for the same run are checked once."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._results: dict[tuple[object, ...], GateCheck] = {}

    def check(self, gate: Gate) -> GateCheck:
        """Return what is recorded about a gate."""
        key = (gate.upstream, gate.condition, gate.due_time, gate.since)
        if key not in self._results:
            find = _check_runs if gate.due_time is None else _check_due_time
            self._results[key] = find(self._tx, gate)
        return self._results[key]


def create_gates(
    tx: Transaction, deployment: Deployment, created: Sequence[Run], deployments: ActiveDeployments
) -> None:
    """Record what these new runs of a deployment wait for."""
    new: list[Gate] = []
    for run in created:
        previous = _Previous(tx, deployment, run)
        for upstream in deployment.after.upstreams:
            due_time = latest_due_time(tx, upstream.deployment, previous.until, deployments)
            gate = Gate(
                run_id=run.id,
                upstream=upstream.deployment,
                condition=upstream.on,
                due_time=due_time,
                since=previous.due_time if due_time is None else None,
                until=previous.start + (deployment.start_deadline or GATE_DEADLINE),
                is_enough=deployment.after.any,
                declared=upstream.deployment,
            )
            new.append(gate)
    gates.insert_all(tx, new)


class _Previous:
    """The times of a run that its gates depend on."""

    def __init__(self, tx: Transaction, deployment: Deployment, run: Run) -> None:
        assert run.scheduled_for is not None
        self.until = run.scheduled_for
        self.start = run.not_before or run.scheduled_for
        self._tx = tx
        self._deployment = deployment

    @cached_property
    def due_time(self) -> datetime | None:
        """The due time of the deployment before this one; None if there is none."""
        recorded = latest_recorded(self._tx, self._deployment.name, self.until - _INSTANT)
        if recorded is not None:
            return recorded
        for span in _LOOKBACK:
            due = find_due(self._deployment.schedules, self.until - span, self.until - _INSTANT, 1).times
            if due:
                return due[-1][0]
        return None


def settle(
    tx: Transaction, deployments: ActiveDeployments, now: datetime, upstreams: Collection[str] | None = None
) -> None:
    """Open and close the waiting gates by what is recorded; with `upstreams`, only those that wait for these.

    A run whose gates are open may start. A run with a gate that can't open any more is skipped.
    """
    reasons: dict[RunId, str] = {}
    changed: list[Gate] = []
    for gate, check in _decided(tx, gates.find_waiting(tx, upstreams)):
        changed.append(replace(gate, state=check.state, upstream_run_id=check.run_id))
        reasons[gate.run_id] = check.reason or reasons.get(gate.run_id, "")
    if not changed:
        return
    gates.save_states(tx, changed)
    stored, by_run = runs.find_all(tx, reasons), gates.find_of_runs(tx, reasons)
    waiting = [GatedRun(run, by_run[run_id]) for run_id, run in stored.items() if run.state is RunState.PENDING]
    release_gated(tx, deployments, [each for each in waiting if are_open(each.gates)], now)
    closed = [each.run for each in waiting if are_closed(each.gates)]
    skip_all(tx, [(run, f"{UPSTREAM}{reasons[run.id]}") for run in closed], now)


def has_decided(tx: Transaction) -> bool:
    """Return whether `settle` would open or close a gate."""
    return next(_decided(tx, gates.find_waiting(tx)), None) is not None


def skip_late(tx: Transaction, now: datetime, limit: int) -> list[Run | None]:
    """Skip up to `limit` runs whose upstream deployments have not finished by the deadline. Return these runs."""
    late = gates.find_late(tx, now, limit)
    by_run = gates.find_of_runs(tx, late)
    reasons = {run_id: f"{UPSTREAM}{_describe_waiting(by_run[run_id])} before the deadline" for run_id in late}
    skipped = skip_all(tx, [(run, reasons[run_id]) for run_id, run in runs.find_all(tx, late).items()], now)
    gates.expire(tx, now)
    return [*skipped]


def _describe_waiting(of_run: Iterable[Gate]) -> str:
    return describe_late([gate for gate in of_run if gate.state is GateState.WAITING])


def _decided(tx: Transaction, waiting: Iterable[Gate]) -> Iterator[tuple[Gate, GateCheck]]:
    checks = GateChecks(tx)
    for gate in waiting:
        check = checks.check(gate)
        if check.state is not GateState.WAITING:
            yield gate, check


def _check_due_time(tx: Transaction, gate: Gate) -> GateCheck:
    """Check a gate that waits for the run of a due time."""
    assert gate.due_time is not None
    recorded = occurrences.find_newest(tx, gate.upstream, 1, since=gate.due_time, until=gate.due_time)
    if not recorded:
        return _check_unrecorded(tx, gate)
    [row] = recorded
    state = RunState.SKIPPED if row.outcome is Outcome.SKIPPED else row.state
    if state is not None and is_fulfilled(gate.condition, state):
        return GateCheck(state=GateState.OPEN, run_id=row.run_id)
    if occurrences.find_unfinished(tx, gate.upstream, gate.due_time, gate.due_time):
        return _WAITING
    return GateCheck(state=GateState.CLOSED, reason=f"{gate.upstream} {_how_it_ended(row, state)}")


def _check_unrecorded(tx: Transaction, gate: Gate) -> GateCheck:
    """Check a gate that waits for a due time without a row in the ledger."""
    assert gate.due_time is not None
    entry = inventory.find(tx, gate.upstream)
    if entry is not None and entry.document.get("suspend") is True:
        return GateCheck(state=GateState.CLOSED, reason=f"{gate.upstream} is suspended")
    if entry is not None and entry.cursor >= gate.due_time:  # too many due times were missed to record each of them
        return GateCheck(state=GateState.CLOSED, reason=f"{gate.upstream} was skipped (catch-up)")
    return _WAITING


def _check_runs(tx: Transaction, gate: Gate) -> GateCheck:
    """Check a gate that waits for a run without a due time."""
    fulfilling = [state for state in TERMINAL if is_fulfilled(gate.condition, state)]
    run = runs.find_newest_since(tx, gate.upstream, gate.since, fulfilling)
    if run is not None:
        return GateCheck(state=GateState.OPEN, run_id=run.id)
    if runs.find_newest_since(tx, gate.upstream, gate.since, ACTIVE) is not None:
        return _WAITING
    run = runs.find_newest_since(tx, gate.upstream, gate.since, TERMINAL)
    if run is None:
        return _WAITING
    return GateCheck(state=GateState.CLOSED, reason=f"{gate.upstream} {_in_words(run.state, run.reason)}")


def _how_it_ended(row: Occurrence, state: RunState | None) -> str:
    """Return the predicate for the outcome of a due time: `failed`, or `was skipped (overlap)`."""
    return "has no outcome" if state is None else _in_words(state, row.reason)


def _in_words(state: RunState, reason: str | None) -> str:
    match state:
        case RunState.SKIPPED:
            return f"was skipped ({reason})" if reason else "was skipped"
        case RunState.CANCELLED:
            return "was cancelled"
    return state.value.replace("_", " ")
