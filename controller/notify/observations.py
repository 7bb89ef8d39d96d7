"""Reads from the database what has gone wrong and what has recovered. Called by `evaluation` in its transaction.

The failures of runs come from new events. Successful runs have no events, so they are looked up for what is failing.
The troubles of the source, of Python environments and of the disk are conditions, which are read as they are now.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from controller.model.findings import Finding, Severity
from controller.model.notifications import CONTROLLER_SUBJECT, SOURCE_SUBJECT, IncidentMember, Trouble
from controller.model.python_environments import PythonState
from controller.model.runs import LastRun, RunId
from controller.model.status import (
    INVALID,
    WITHHELD,
    Condition,
    ConditionType,
    Event,
    SourceStatus,
)
from controller.notify.deadlines import WITHDRAWN, DeadlineChange
from controller.notify.grouping import DEADLINE, Failure, Observation, Recovery, kind, run_failure
from controller.store import Transaction, deadlines, last_runs, python_uses, run_outcomes, source_status
from controller.store.run_outcomes import FailedRun

_RUN_EVENTS = {
    "RunFailed": Trouble.FAILED,
    "RunTimedOut": Trouble.TIMED_OUT,
    "RunCrashed": Trouble.CRASHED,
}
_RUN = kind(Trouble.FAILED)
SOURCE_KINDS = (Trouble.SOURCE, Trouble.INVALID, Trouble.WITHHELD)
MAX_NAMED = 1000
"""Maximum number of deployments whose deletion waits for approval that are members of an incident."""


def read_runs(tx: Transaction, events: Iterable[Event], failing: Iterable[IncidentMember]) -> list[Observation]:
    """Return the failed runs of these events, and the successes after them and after those of failing deployments."""
    failed = [event for event in events if event.reason in _RUN_EVENTS and event.run_id and event.deployment]
    last_failed = {member.subject: member.run_id for member in failing if member.run_id is not None}
    by_deployment: dict[str, list[str]] = {name: [run_id] for name, run_id in last_failed.items()}
    for event in failed:
        by_deployment.setdefault(str(event.deployment), []).append(str(event.run_id))
    if not by_deployment:
        return []
    sequences = {name: sorted(set(ids)) for name, ids in by_deployment.items()}
    observations: list[Observation] = list(_failures(tx, failed, last_failed, sequences))
    listed = [
        FailedRun(deployment=name, run_id=run_id, next_id=next_id)
        for name, ids in sequences.items()
        for run_id, next_id in zip(ids, [*ids[1:], None], strict=True)
        if run_id >= last_failed.get(name, "")
    ]
    for success in run_outcomes.next_successes(tx, listed):
        observations.append(Recovery(subject=success.deployment, kind=_RUN, at=success.finished_at))
    return observations


def _failures(
    tx: Transaction, events: Sequence[Event], failing: Mapping[str, str], sequences: Mapping[str, Sequence[str]]
) -> Iterator[Failure]:
    if not events:
        return
    runs: dict[str, LastRun] = {run.id: run for run in last_runs.find_many(tx, [RunId(str(e.run_id)) for e in events])}
    first = [FailedRun(deployment=name, run_id=ids[0]) for name, ids in sequences.items() if name not in failing]
    counts = run_outcomes.count_failures(tx, first)
    for event in events:
        run = runs.get(str(event.run_id))
        yield run_failure(
            str(event.deployment),
            _RUN_EVENTS[event.reason],
            reason=event.message.partition(": ")[2] if run is None else run.reason or "",
            at=event.time if run is None or run.finished_at is None else run.finished_at,
            run_id=str(event.run_id),
            failures=counts.get(str(event.run_id)),
        )


def read_deletions(events: Iterable[Event]) -> list[Observation]:
    """Return the deployments that were deleted, according to these events."""
    pruned = [event for event in events if event.reason == "Pruned" and event.deployment]
    return [Recovery(subject=str(event.deployment), kind=None, at=event.time) for event in pruned]


def read_source(tx: Transaction, now: datetime) -> list[Failure]:
    """Return the troubles of the source: it can't be read, manifests are invalid, or deletions wait for approval."""
    status = source_status.find(tx)
    return [] if status is None else [*_unreadable(status), *_invalid(status, now), *_withheld(status, now)]


def _unreadable(status: SourceStatus) -> Iterator[Failure]:
    for condition in status.conditions:
        is_failure = condition.type is ConditionType.READY and not condition.is_true
        if is_failure and condition.reason not in (INVALID, WITHHELD):
            yield Failure(
                subject=SOURCE_SUBJECT,
                trouble=Trouble.SOURCE,
                key=f"source/{condition.reason}",
                cause=condition.message,
                at=condition.last_transition_time,
                reason=f"{condition.reason}: {condition.message}",
            )
            return
    if status.overdue_since is not None:
        yield Failure(
            subject=SOURCE_SUBJECT,
            trouble=Trouble.SOURCE,
            key="source/PassOverdue",
            cause="A pass has not finished; schedules keep firing.",
            at=status.overdue_since,
            reason="A pass has not finished; schedules keep firing.",
        )


def _invalid(status: SourceStatus, now: datetime) -> Iterator[Failure]:
    ready = next((each for each in status.conditions if each.type is ConditionType.READY), None)
    since = ready.last_transition_time if ready is not None and ready.reason == INVALID else now
    errors: dict[str, Finding] = {}
    for finding in status.findings:
        if finding.severity is Severity.ERROR:
            errors.setdefault(finding.deployment or SOURCE_SUBJECT, finding)
    for subject, finding in errors.items():
        yield Failure(
            subject=subject,
            trouble=Trouble.INVALID,
            key="invalid",
            cause=f"{finding.file}:{finding.line}: {finding.message}",
            at=since,
            reason=f"{finding.file}:{finding.line}: {finding.message}",
        )


def _withheld(status: SourceStatus, now: datetime) -> Iterator[Failure]:
    if status.withheld is None:
        return
    times = (each.last_transition_time for each in status.conditions if each.type is ConditionType.PRUNE_WITHHELD)
    since = next(times, now)
    reason = f"{status.withheld.reason}; to approve: controller approve {status.withheld.digest}"
    for name in status.withheld.deployments[:MAX_NAMED]:
        yield Failure(subject=name, trouble=Trouble.WITHHELD, key="withheld", cause=reason, at=since, reason=reason)


def read_python(tx: Transaction, failing: Iterable[IncidentMember], now: datetime) -> list[Failure]:
    """Return the deployments whose Python environment could not be built, also while the build is retried."""
    names = {member.subject for member in failing}
    return [
        Failure(
            subject=problem.deployment,
            trouble=Trouble.PYTHON,
            key=f"python/{problem.request}",
            cause=f"{problem.reason}: {problem.message}",
            at=now,
            reason=f"{problem.reason}: {problem.message}",
        )
        for problem in python_uses.find_not_ready(tx)
        if problem.state is PythonState.FAILED or problem.deployment in names
    ]


def read_notices(notices: Iterable[Condition]) -> list[Failure]:
    """Return the full disk, if one of these conditions reports it."""
    return [
        Failure(
            subject=CONTROLLER_SUBJECT,
            trouble=Trouble.STORAGE,
            key="storage",
            cause=notice.message,
            at=notice.last_transition_time,
            reason=notice.message,
        )
        for notice in notices
        if notice.type is ConditionType.STORAGE_FULL and notice.is_true
    ]


def deadline_observations(tx: Transaction, change: DeadlineChange, now: datetime) -> list[Observation]:
    """Return the deadlines that were missed or met. Deployments that are late for the same reason have one cause.

    A deployment recovers when it misses no deadline any more.
    """
    observations: list[Observation] = [
        Failure(
            subject=missed.deployment,
            trouble=missed.trouble,
            key=f"{missed.trouble}/{missed.reason or missed.deployment}",
            cause=missed.reason,
            at=min(missed.since, now),
            run_id=missed.run_id,
            reason=missed.message,
            failures=missed.count,
        )
        for missed in change.missed
    ]
    ended = {name: WITHDRAWN for name, _ in change.withdrawn} | {name: "" for name, _ in change.met}
    missed = {each.deployment for each in deadlines.find_missed(tx)} if ended else set()
    for name, reason in ended.items():
        if name not in missed:
            observations.append(Recovery(subject=name, kind=DEADLINE, at=now, reason=reason))
    return observations
