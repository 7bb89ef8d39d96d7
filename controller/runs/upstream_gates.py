"""Gates: the run of a due time waits until its upstream deployments have finished as required.

`admission` creates the gates with the run, in one transaction. `settle` decides about them by what is recorded about
the upstream runs, never by what has been reported, so that it can be repeated at any time. `upstreams` calls it when
an upstream run has finished, and with every tick.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from controller.manifests.active_deployments import ActiveDeployments
from controller.model.deployments import Deployment
from controller.model.gates import UPSTREAM, Gate, GateState, are_closed, are_open, describe_late
from controller.model.runs import Run, RunId, RunState
from controller.runs.admission_policy import GATE_DEADLINE
from controller.runs.gate_checks import GateCheck, check_all
from controller.runs.gate_releases import GatedRun, release_gated
from controller.runs.outcomes import skip_all
from controller.runs.upstream_runs import latest_due_times
from controller.schedules import find_due
from controller.store import Transaction, gates, runs, upstream_lookup

_INSTANT = timedelta(microseconds=1)
_LOOKBACK = (timedelta(hours=1), timedelta(days=1), timedelta(days=32), timedelta(days=400))
"""How far back the previous fire time is searched, step by step, so that few fire times are computed."""


def create_gates(
    tx: Transaction, created: Collection[tuple[Deployment, Sequence[Run]]], deployments: ActiveDeployments
) -> None:
    """Record what these new runs of each deployment wait for."""
    awaited = [
        (deployment, run, upstream)
        for deployment, of_deployment in created
        for run in of_deployment
        for upstream in deployment.after.upstreams
    ]
    wanted = {(upstream.deployment, _scheduled_for(run)) for _, run, upstream in awaited}
    due_times = latest_due_times(tx, wanted, deployments)
    without = {
        run.id: (deployment, run)
        for deployment, run, upstream in awaited
        if due_times[upstream.deployment, _scheduled_for(run)] is None
    }
    previous = _find_previous(tx, without.values())
    new = []
    for deployment, run, upstream in awaited:
        due_time = due_times[upstream.deployment, _scheduled_for(run)]
        gate = Gate(
            run_id=run.id,
            upstream=upstream.deployment,
            condition=upstream.on,
            due_time=due_time,
            since=previous[run.id] if due_time is None else None,
            until=(run.not_before or _scheduled_for(run)) + (deployment.start_deadline or GATE_DEADLINE),
            is_enough=deployment.after.any,
            declared=upstream.deployment,
        )
        new.append(gate)
    gates.insert_all(tx, new)


def _scheduled_for(run: Run) -> datetime:
    assert run.scheduled_for is not None
    return run.scheduled_for


def _find_previous(tx: Transaction, of: Collection[tuple[Deployment, Run]]) -> dict[RunId, datetime | None]:
    """Return the due time of the deployment before that of each run; None if there is none."""
    limits = {run.id: (deployment.name, _scheduled_for(run) - _INSTANT) for deployment, run in of}
    recorded = upstream_lookup.find_latest_due(tx, set(limits.values()))
    return {run.id: recorded.get(limits[run.id]) or _compute_previous(deployment, run) for deployment, run in of}


def _compute_previous(deployment: Deployment, run: Run) -> datetime | None:
    until = _scheduled_for(run)
    for span in _LOOKBACK:
        due = find_due(deployment.schedules, until - span, until - _INSTANT, 1).times
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


def skip_late(tx: Transaction, now: datetime, limit: int) -> list[Run]:
    """Skip up to `limit` runs whose upstream deployments have not finished by the deadline. Return these runs."""
    late = gates.find_late(tx, now, limit)
    by_run = gates.find_of_runs(tx, late)
    reasons = {run_id: f"{UPSTREAM}{_describe_waiting(by_run[run_id])} before the deadline" for run_id in late}
    skipped = skip_all(tx, [(run, reasons[run_id]) for run_id, run in runs.find_all(tx, late).items()], now)
    gates.expire(tx, now)
    return skipped


def _describe_waiting(of_run: Iterable[Gate]) -> str:
    return describe_late([gate for gate in of_run if gate.state is GateState.WAITING])


def _decided(tx: Transaction, waiting: Sequence[Gate]) -> Iterator[tuple[Gate, GateCheck]]:
    """Yield the waiting gates that are open or closed by what is recorded."""
    for gate, check in zip(waiting, check_all(tx, waiting), strict=True):
        if check.state is not GateState.WAITING:
            yield gate, check
