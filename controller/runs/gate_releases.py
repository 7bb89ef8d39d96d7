"""Releases waiting runs whose gates are open: each gets its upstream runs, and may start in a window of its schedule.

`upstream_gates` and `upstream_redo` call it. The number of statements does not depend on the number of runs.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.upstream_references import MissingResultError
from controller.model.deployments import Deployment
from controller.model.gates import Gate
from controller.model.runs import Run, RunId, RunOutcome, RunState, UpstreamRun
from controller.model.status import InventoryEntry
from controller.runs.admission_policy import delay_until_open, start_deadline
from controller.runs.due_schedules import find_schedule
from controller.runs.outcomes import record_outcomes
from controller.runs.upstream_runs import missing_result, to_upstream_run, with_results
from controller.store import Transaction, gates, inventory, runs


@dataclass(frozen=True, slots=True)
class GatedRun:
    """A waiting run with its gates, by the name of the upstream. Without `may_skip` it is never skipped."""

    run: Run
    gates: Sequence[Gate]
    may_skip: bool = True


def release_gated(
    tx: Transaction, deployments: ActiveDeployments, released: Collection[GatedRun], now: datetime
) -> None:
    """Release these waiting runs, whose gates are open.

    A run that could only start outside of the windows of its schedule waits for one, or is skipped, as `outside` says.
    """
    if not released:
        return
    gates.expire_runs(tx, [each.run.id for each in released])  # those that are not needed: another one was enough
    upstream_runs = _find_upstream_runs(tx, released)
    entries = {entry.name: entry for entry in inventory.find_many(tx, {each.run.deployment for each in released})}
    changed: list[Run] = []
    outcomes: list[tuple[Run, RunOutcome]] = []
    for each in released:
        opened = [gate for gate in each.gates if gate.upstream_run_id in upstream_runs]
        upstream = tuple(replace(upstream_runs[gate.upstream_run_id], deployment=gate.declared) for gate in opened)
        run, outcome = _release(tx, _build(deployments, entries, each.run), each, upstream, now)
        changed.append(run)
        if outcome is not None:
            outcomes.append((run, outcome))
    runs.save_released(tx, changed)
    record_outcomes(tx, outcomes, now)


def _find_upstream_runs(tx: Transaction, released: Collection[GatedRun]) -> dict[RunId | None, UpstreamRun]:
    opened = {gate.upstream_run_id for each in released for gate in each.gates if gate.upstream_run_id is not None}
    return {run_id: to_upstream_run(tx, run) for run_id, run in runs.find_all(tx, sorted(opened)).items()}


def _build(deployments: ActiveDeployments, entries: Mapping[str, InventoryEntry], run: Run) -> Deployment | None:
    entry = entries.get(run.deployment)
    return None if entry is None else deployments.build(entry)


def _release(
    tx: Transaction, deployment: Deployment | None, gated: GatedRun, upstream: tuple[UpstreamRun, ...], now: datetime
) -> tuple[Run, RunOutcome | None]:
    """Return the released run, and its outcome if it can't start."""
    run, reason = gated.run, None
    if deployment is not None:
        run, reason = _start_in_window(tx, deployment, run, now)
    if reason is not None and gated.may_skip:
        return replace(gated.run, upstream=upstream), RunOutcome(state=RunState.SKIPPED, reason=reason)
    try:
        return with_results(run, upstream), None
    except MissingResultError as error:
        return replace(run, upstream=upstream), missing_result(error)


def _start_in_window(tx: Transaction, deployment: Deployment, run: Run, now: datetime) -> tuple[Run, str | None]:
    """Return the run with the start that windows allow, and the reason to skip it if `outside` says so."""
    assert run.scheduled_for is not None
    has_windows = any(schedule.windows for schedule in deployment.schedules)
    schedule = find_schedule(tx, deployment, run.scheduled_for) if has_windows else None
    if schedule is None:
        return run, None
    start = run.not_before or run.scheduled_for
    delay, reason = delay_until_open(run.scheduled_for, schedule, start - run.scheduled_for, now)
    opening = run.scheduled_for + delay
    if opening <= max(start, now):
        return run, reason
    deadline = start_deadline(deployment)
    start_by = run.start_by if run.start_by is None or deadline is None else opening + deadline
    return replace(run, not_before=opening, start_by=start_by), reason
