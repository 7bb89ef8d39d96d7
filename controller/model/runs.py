"""Runs and the due times that cause them. `store` stores them, `queries` returns them."""

from collections.abc import Mapping
from dataclasses import field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NewType

from controller.model import INTERNAL
from controller.model.artifacts import Artifact
from controller.model.commits import Commit
from controller.model.policies import DEFAULT_QUEUE, Retries
from controller.model.python_environments import PythonSummary
from controller.model.task_runs import TaskRun
from controller.records import dataclass

RunId = NewType("RunId", str)
"""A UUIDv7 (RFC 9562, 5.7) as a string: ids sort by creation time."""


COMMIT_DELAY = timedelta(seconds=10)
"""The longest time from the creation of a run's id to the commit of the run."""


def first_id(moment: datetime) -> str:
    """Return a lower bound for the ids of runs created at or after `moment`."""
    millis = f"{max(0, int(moment.timestamp() * 1000)):012x}"
    return f"{millis[:8]}-{millis[8:]}"


def creation_time(run_id: RunId | str) -> datetime:
    """Return when the run with this id was created, in UTC."""
    return datetime.fromtimestamp(int(run_id.replace("-", "")[:12], 16) / 1000, UTC)


def first_unread_id(last_id: str) -> str:
    """Return a lower bound for the ids of runs that may not have been read yet, if this one was the newest."""
    return first_id(creation_time(last_id) - COMMIT_DELAY) if last_id else ""


class RunState(StrEnum):
    """The state of a run.

    `launching` is shown as `pending`: the supervisor is being started, and the flow has not started yet. `scheduled` is
    reserved; no run has it.
    """

    SCHEDULED = "scheduled"
    PENDING = "pending"
    LAUNCHING = "launching"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    CRASHED = "crashed"
    SKIPPED = "skipped"

    @property
    def is_terminal(self) -> bool:
        """Whether this state is final. A run never leaves a final state."""
        return self in TERMINAL

    @property
    def public(self) -> "RunState":
        """The state as users see it: `launching` is shown as `pending`."""
        return RunState.PENDING if self is RunState.LAUNCHING else self


TERMINAL = frozenset(
    {
        RunState.SUCCEEDED,
        RunState.FAILED,
        RunState.TIMED_OUT,
        RunState.CANCELLED,
        RunState.CRASHED,
        RunState.SKIPPED,
    }
)
ACTIVE = frozenset(RunState) - TERMINAL
FAILURES = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED})


class Trigger(StrEnum):
    """The origin of a run."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    BACKFILL = "backfill"
    RETRY = "retry"
    UPSTREAM = "upstream"
    FILE = "file"
    WEBHOOK = "webhook"


AUTOMATIC = frozenset({Trigger.SCHEDULE, Trigger.UPSTREAM, Trigger.FILE, Trigger.WEBHOOK})
"""The triggers without a user who requested the run: a hold delays its first start, and a prune or suspend skips it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRun:
    """A run of an upstream deployment that released a run.

    `due_time` is its own; if upstream runs released it, the latest one of theirs; None if there is none.
    """

    deployment: str
    run_id: RunId
    due_time: datetime | None
    state: RunState
    result: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a deployment, pinned to `revision` and to the `spec_digest` of its document.

    A run contains resolved parameters but never a command: what to execute is read from the source by this pin.

    - `scheduled_for`: the due time; None if the run was triggered without one.
    - `not_before`: the earliest start, None if it may start immediately.
    - `attempt`: the number of the last attempt, of at most `attempts`.
    - `name`: as the flow reported it, else as the deployment's `run_name` gives it.
    - `tasks`, `artifacts`: what the flow reported; empty in lists of runs.
    - `waiting`: what the run waits for.
    - `start_by`: the deadline for the first start.
    - `retry_of`: the run of which this one is a retry.
    - `took`: seconds that its ended attempts took, without the time between them; None before the first has ended.
    - `backfill_id`: the backfill that this run belongs to.
    - `python`: the Python environment of the last attempt; None for the controller's own interpreter.
    - `due_time_of`: the due time, if a user requested the run for it; None for the run that the schedule started.
    - `upstream`: the runs of upstream deployments that released it; if a user requested it, their latest ones.
    - `cancel_reason`: why a user cancelled the run while it was running; set before its flow has ended.
    - `uncertain_since`, `uncertain_reason`: since when, and why, it is unknown whether the run is still running.
    """

    # The table of runs has no columns for `tasks`, `artifacts`, `waiting` and `due_time_of`: `queries` adds them.

    id: RunId
    deployment: str
    state: RunState
    reason: str | None = None
    trigger: Trigger
    scheduled_for: datetime | None = None
    not_before: datetime | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempt: int = 0
    attempts: int = 1
    exit_code: int | None = None
    signal: int | None = None
    revision: str
    spec_digest: str
    version: str | None = None
    tags: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    name: str | None = None
    tasks: tuple[TaskRun, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    waiting: str | None = None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    start_by: datetime | None = None
    retry_of: RunId | None = None
    backfill_id: str | None = None
    due_time_of: datetime | None = None
    took: float | None = None
    python: PythonSummary | None = None
    upstream: tuple[UpstreamRun, ...] = ()
    cancel_reason: str | None = None
    uncertain_since: datetime | None = None
    uncertain_reason: str | None = None
    running_since: datetime | None = field(default=None, metadata=INTERNAL)
    """While the run is running: when its current attempt started, less the time that earlier attempts took."""
    file: str = field(metadata=INTERNAL)
    """The file with the document, relative to the repository root."""
    idempotency_key: str | None = field(default=None, metadata=INTERNAL)
    serial: bool = field(default=False, metadata=INTERNAL)
    """Whether the run waits until fewer than `overlap_limit` runs of its deployment are in progress."""
    overlap_limit: int = field(default=1, metadata=INTERNAL)
    retries: Retries | None = field(default=None, metadata=INTERNAL)
    behind_backfill: bool = field(default=False, metadata=INTERNAL)
    """Whether this run has to wait for a redo run, directly or behind other such runs. Then it does not count for the
    overlap policy, and has no start deadline."""
    overrides: Mapping[str, Any] | None = field(default=None, metadata=INTERNAL)
    """The parameters that the request for this run set. None for runs of older versions."""
    chain: str | None = field(default=None, metadata=INTERNAL)
    """The common value of the runs that the same upstream runs have released, or that retry the same run. It contains
    no name, which a rename changes. None for a run with a due time, and for one that is neither of both."""

    @property
    def is_redo(self) -> bool:
        """Whether a user requested this run for a due time: with a backfill, a retry or `trigger --due-time`."""
        return self.scheduled_for is not None and self.trigger is not Trigger.SCHEDULE

    @property
    def is_in_progress(self) -> bool:
        """Whether an attempt was claimed and has not ended."""
        return self.state in (RunState.LAUNCHING, RunState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureStreak:
    """The failed runs of a deployment since its last run that succeeded or was cancelled.

    `count` leaves out skipped and unfinished runs. `since` is when the first of them ended. `run_id`, `state` and
    `reason` are those of the newest one.
    """

    count: int
    since: datetime
    run_id: RunId
    state: RunState
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """A summary of the newest run of a deployment.

    The health of a deployment does not depend on skipped runs: `relevant` is the newest run that was not skipped.
    """

    id: RunId
    deployment: str = field(metadata=INTERNAL)
    state: RunState
    reason: str | None
    scheduled_for: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    not_before: datetime | None = field(default=None, metadata=INTERNAL)
    """The earliest start, None if it may start immediately."""
    backfill_id: str | None = field(default=None, metadata=INTERNAL)
    """The backfill that the run belongs to."""
    waits_for: str | None = None
    """The upstream deployments that it waits for, None if it waits for none."""
    before: "LastRun | None" = field(default=None, metadata=INTERNAL)
    """If this run was skipped, the newest run before it that was not."""
    streak: FailureStreak | None = field(default=None, compare=False, metadata=INTERNAL)
    """The consecutive failures of the deployment, up to this run."""

    @property
    def relevant(self) -> "LastRun | None":
        """The run that the health of the deployment follows from; None if all its runs were skipped."""
        return self.before if self.state is RunState.SKIPPED else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt of a run."""

    run_id: RunId = field(metadata=INTERNAL)
    number: int
    nonce: str = field(metadata=INTERNAL)
    """A part of the name of the attempt's directory."""
    boot_id: str = field(metadata=INTERNAL)
    """Shows whether the machine has restarted since the attempt was launched."""
    state: RunState
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    place: str | None = field(default=None, metadata=INTERNAL)
    """The host and the directory of its files, if hosts share the state; only a controller there can read them."""
    executor: str = "local"
    """The name of the executor that has launched the attempt."""
    job_id: str | None = None
    """The id of its job in the cluster; None for a local attempt."""
    session: str | None = field(default=None, metadata=INTERNAL)
    """The session of the cluster that knew the job. A cluster with another session no longer knows it."""
    instance: str | None = field(default=None, metadata=INTERNAL)
    """The id of the runner process that was allowed to start the flow."""
    ticket: str | None = field(default=None, metadata=INTERNAL)
    """The SHA-256 of the ticket with which its runner authenticates."""
    code: str | None = field(default=None, metadata=INTERNAL)
    """The SHA-256 of the package with the code, if its node fetches one."""
    node: str | None = None
    """The name of the node that it runs on, once that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetail(Run):
    """All details of one run. `history` has its attempts so far, oldest first; `commit` is that of its revision.

    `author` is who triggered or retried it; None for a run of a schedule or of a backfill, or if that is not recorded.
    `waits_until` is when it is skipped if it still waits for upstream deployments then; None if it waits for none.
    """

    history: tuple[Attempt, ...]
    commit: Commit | None = None
    author: str | None = None
    waits_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun(Run):
    """A run in a list for people. `commit` is that of its revision.

    `typical_seconds` is the median duration of the successful ones of the deployment's last 20 runs; None without any.
    """

    commit: Commit | None = None
    typical_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRun:
    """The id and the state of one of the runs of a due time."""

    run_id: RunId
    state: RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How an attempt, or a run without one, ended: from the exit file of its supervisor to the columns of the state.

    - `finished_at`: an aware UTC datetime; None: the time at which the outcome is recorded.
    - `seconds`: the duration by the monotonic clock, if the supervisor measured it.
    - `left_behind`: number of processes that were killed after the main one had ended.
    - `dropped_bytes`: output above the log cap.
    - `unenforced`: limits that this machine cannot enforce.
    """

    state: RunState
    reason: str | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    signal: int | None = None
    result: Any = None
    seconds: float | None = None
    left_behind: int = 0
    dropped_bytes: int = 0
    unenforced: tuple[str, ...] = ()


class Outcome(StrEnum):
    """The outcome of a due time."""

    RUN = "run"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One due time of one deployment. There is never more than one per deployment and instant.

    `runs` are its stored runs, oldest first. `run_id` is the run that decides `state`, the state of the due time: one
    that has not finished, or else the latest that was not cancelled, or the latest if all were. Both remain when
    retention deletes the runs. They are also set for a skipped due time whose run was created but expired before it
    could start. `state` is None if the due time had no run, or if an older version deleted it.
    """

    deployment: str
    scheduled_for: datetime
    schedule: str
    outcome: Outcome
    run_id: RunId | None = None
    reason: str | None = None
    state: RunState | None = None
    runs: tuple[DueRun, ...] = ()
