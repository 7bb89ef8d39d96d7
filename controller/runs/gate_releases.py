"""Releases waiting runs whose gates are open: each gets its upstream runs, and may start in a window of its schedule.

`upstream_gates` and `upstream_redo` call it. The number of statements does not depend on the number of runs.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.upstream_references import MissingResultError
from controller.model.deployments import Deployment
from controller.model.gates import Gate
from controller.model.runs import Run, RunId, RunOutcome, RunState, UpstreamRun
from controller.model.schedules import Schedule
from controller.records import dataclass
from controller.runs.admission_policy import delay_until_open, start_deadline
from controller.runs.due_schedules import find_schedules
from controller.runs.outcomes import record_outcomes
from controller.runs.upstream_runs import missing_value, to_upstream_runs, with_results
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
    built = {name: deployments.build(entry) for name, entry in entries.items()}
    schedules = _find_schedules(tx, built, released)
    changed: list[Run] = []
    outcomes: list[tuple[Run, RunOutcome]] = []
    for each in released:
        upstream = tuple(
            replace(upstream_run, deployment=gate.declared)
            for gate in each.gates
            if (upstream_run := upstream_runs.get(gate.upstream_run_id or RunId(""))) is not None
        )
        window = schedules.get(each.run.id)
        run, outcome = _release(each, window, upstream, now)
        changed.append(run)
        if outcome is not None:
            outcomes.append((run, outcome))
    runs.save_released(tx, changed)
    record_outcomes(tx, outcomes, now)


def _find_upstream_runs(tx: Transaction, released: Collection[GatedRun]) -> dict[RunId, UpstreamRun]:
    opened = {gate.upstream_run_id for each in released for gate in each.gates if gate.upstream_run_id is not None}
    return to_upstream_runs(tx, runs.find_all(tx, sorted(opened)))


def _find_schedules(
    tx: Transaction, deployments: Mapping[str, Deployment], released: Iterable[GatedRun]
) -> dict[RunId, tuple[Deployment, Schedule]]:
    """Return the schedule of each of these runs whose deployment has windows, with the deployment."""
    wanted = []
    for each in released:
        deployment = deployments.get(each.run.deployment)
        if deployment is not None and any(schedule.windows for schedule in deployment.schedules):
            assert each.run.scheduled_for is not None
            wanted.append((each.run.id, deployment, each.run.scheduled_for))
    schedules = find_schedules(tx, [(deployment, due_time) for _, deployment, due_time in wanted])
    return {
        run_id: (deployment, schedule)
        for (run_id, deployment, _), schedule in zip(wanted, schedules, strict=True)
        if schedule is not None
    }


def _release(
    gated: GatedRun, window: tuple[Deployment, Schedule] | None, upstream: tuple[UpstreamRun, ...], now: datetime
) -> tuple[Run, RunOutcome | None]:
    """Return the released run, and its outcome if it can't start."""
    run, reason = gated.run, None
    if window is not None:
        run, reason = _start_in_window(*window, run, now)
    if reason is not None and gated.may_skip:
        return replace(gated.run, upstream=upstream), RunOutcome(state=RunState.SKIPPED, reason=reason)
    try:
        return with_results(run, upstream), None
    except MissingResultError as error:
        return replace(run, upstream=upstream), missing_value(error)


def _start_in_window(deployment: Deployment, schedule: Schedule, run: Run, now: datetime) -> tuple[Run, str | None]:
    """Return the run with the start that windows allow, and the reason to skip it if `outside` says so."""
    assert run.scheduled_for is not None
    start = run.not_before or run.scheduled_for
    delay, reason = delay_until_open(run.scheduled_for, schedule, start - run.scheduled_for, now)
    opening = run.scheduled_for + delay
    if opening <= max(start, now):
        return run, reason
    deadline = start_deadline(deployment)
    start_by = run.start_by if run.start_by is None or deadline is None else opening + deadline
    return replace(run, not_before=opening, start_by=start_by), reason
