"""The runs of upstream deployments that a run depends on, and the values that its parameters take from them.

Used by `upstream_gates` and `upstream_events` when a run is released, and by `admission` for a run that a user
requested: that one gets the latest upstream runs. `launch_preparation` calls `check_released` before a run is launched.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.run_names import complete_name
from controller.manifests.run_references import MissingValueError
from controller.manifests.upstream_references import MissingResultError, resolve_upstream_references
from controller.model.deployments import Deployment
from controller.model.gates import is_fulfilled
from controller.model.runs import TERMINAL, Run, RunId, RunOutcome, RunState, Trigger, UpstreamRun
from controller.model.triggers import Upstream
from controller.runs.outcomes import record_outcomes
from controller.schedules import find_latest_due
from controller.store import Transaction, inventory, occurrences, runs, upstream_lookup
from controller.store.upstream_lookup import DueTime


def to_upstream_runs(tx: Transaction, stored: Mapping[RunId, Run]) -> dict[RunId, UpstreamRun]:
    """Return what the runs of dependants get to know about these runs, by id."""
    firsts = upstream_lookup.find_first_runs(tx, stored)
    return {
        run_id: UpstreamRun(
            deployment=run.deployment,
            run_id=run.id,
            due_time=_due_time(run, firsts[run_id]),
            state=run.state,
            result=run.result,
        )
        for run_id, run in stored.items()
    }


def due_time_of(tx: Transaction, run: Run) -> datetime | None:
    """Return the due time of the run; for one that upstream runs released, or a retry of it, the latest of theirs."""
    return _due_time(run, runs.find_first(tx, run))


def _due_time(run: Run, first: Run) -> datetime | None:
    if run.scheduled_for is None and first.trigger is Trigger.UPSTREAM:
        return nominal_time(run.upstream)
    return run.scheduled_for


def latest_due_times(
    tx: Transaction, limits: Collection[DueTime], deployments: ActiveDeployments
) -> dict[DueTime, datetime | None]:
    """Return the latest due time of each of these deployments at or before the given time.

    It is None without a schedule or a due time. Times that a calendar or a window excludes are left out.
    """
    entries = {entry.name: entry for entry in inventory.find_many(tx, {name for name, _ in limits})}
    latest: dict[DueTime, datetime | None] = dict.fromkeys(limits)
    unknown = set()
    for name, until in limits:
        entry = entries.get(name)
        schedules = () if entry is None else deployments.build(entry).schedules
        if entry is None or not schedules:
            continue
        due = find_latest_due(schedules, entry.cursor, until) if entry.cursor < until else None
        if due is None:
            unknown.add((name, until))
        latest[name, until] = due
    return {**latest, **upstream_lookup.find_latest_due(tx, unknown)}


def find_latest(
    tx: Transaction, deployment: Deployment, until: datetime, deployments: ActiveDeployments
) -> tuple[UpstreamRun, ...]:
    """Return the latest runs of the upstream deployments that have finished as required, as far as there are any.

    For an upstream deployment with schedules, that is the run of its latest due time at or before `until`.
    """
    names = [upstream.deployment for upstream in deployment.after.upstreams]
    due_times = latest_due_times(tx, {(name, until) for name in names}, deployments)
    latest = {
        run.id: run
        for upstream in deployment.after.upstreams
        if (run := _find_latest(tx, upstream, due_times[upstream.deployment, until])) is not None
    }
    upstream_runs = to_upstream_runs(tx, latest)
    return tuple(upstream_runs[run_id] for run_id in latest)


def _find_latest(tx: Transaction, upstream: Upstream, due_time: datetime | None) -> Run | None:
    if due_time is None:
        states = [state for state in TERMINAL if is_fulfilled(upstream.on, state)]
        return runs.find_newest_since(tx, upstream.deployment, None, states)
    settled = occurrences.find_settled(tx, upstream.deployment, due_time, due_time).get(due_time)
    if settled is None or not is_fulfilled(upstream.on, settled.state):
        return None
    return runs.find(tx, settled.run_id)


def with_latest_upstream(tx: Transaction, deployment: Deployment, run: Run, deployments: ActiveDeployments) -> Run:
    """Return a run with the latest runs of its upstream deployments, and their results. Raises MissingResultError."""
    if not deployment.after.upstreams:
        return run
    return with_results(run, find_latest(tx, deployment, run.scheduled_for or run.created_at, deployments))


def with_upstream(tx: Transaction, deployment: Deployment, run: Run, deployments: ActiveDeployments) -> Run:
    """Return a run that a user requested with the results of its upstream runs, or else of the latest ones.

    Raises UsageError if a parameter refers to a value that there is not.
    """
    try:
        if run.upstream:
            return with_results(run, run.upstream)
        return with_latest_upstream(tx, deployment, run, deployments)
    except MissingResultError as error:
        raise error.as_usage_error("Run the upstream deployment first, or pass a value for it.") from error


def with_current_names(tx: Transaction, upstream: Sequence[UpstreamRun]) -> tuple[UpstreamRun, ...]:
    """Return these upstream runs with the names that their deployments have now."""
    stored = runs.find_all(tx, [each.run_id for each in upstream])
    return tuple(
        replace(each, deployment=stored[each.run_id].deployment) if each.run_id in stored else each for each in upstream
    )


def nominal_time(upstream: Iterable[UpstreamRun]) -> datetime | None:
    """Return the time that references to the due time stand for in a run that these upstream runs released."""
    return max((run.due_time for run in upstream if run.due_time is not None), default=None)


def with_results(run: Run, upstream: Sequence[UpstreamRun]) -> Run:
    """Return the run with these upstream runs, whose values its parameters and its name get.

    Raises MissingResultError.
    """
    results = {released.deployment: released.result for released in upstream}
    parameters = resolve_upstream_references(run.parameters, results)
    name = complete_name(run.name, run.parameters, parameters)
    return replace(run, upstream=tuple(upstream), parameters=parameters, name=name)


def check_released(run: Run, deployment: Deployment) -> None:
    """Raise MissingResultError if no upstream run has released this run, and one of its parameters refers to one."""
    if deployment.after.upstreams and not run.upstream:
        resolve_upstream_references(run.parameters, {})


def record_missing_values(tx: Transaction, failed: Sequence[tuple[Run, MissingValueError]], now: datetime) -> None:
    """Record waiting runs as failed, because one of their parameters has no value."""
    if failed:
        record_outcomes(tx, [(run, missing_value(error)) for run, error in failed], now)


def missing_value(error: MissingValueError) -> RunOutcome:
    """Return the outcome of a run that can't start because one of its parameters has no value."""
    advice = f"; {error.hint}" if error.hint else ""
    return RunOutcome(state=RunState.FAILED, reason=f"not launched: {error.message}{advice}")
