"""Runs and the due times that cause them. `store` stores them, `queries` returns them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from controller.model.policies import DEFAULT_QUEUE, Retries

RunId = NewType("RunId", str)
"""A UUIDv7 (RFC 9562, 5.7) as a string: ids sort by creation time."""


def first_id(moment: datetime) -> str:
    """Return a lower bound for the ids of runs created at or after `moment`."""
    millis = f"{max(0, int(moment.timestamp() * 1000)):012x}"
    return f"{millis[:8]}-{millis[8:]}"


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


class Trigger(StrEnum):
    """The origin of a run."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    BACKFILL = "backfill"
    RETRY = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a deployment, pinned to `revision` and to the `spec_digest` of the document in `file`.

    A run contains resolved parameters but never a command: what to execute is read from the source by this pin.
    All times are aware UTC datetimes.

    - `scheduled_for`: the due time; None if the run was triggered without one.
    - `not_before`: the earliest start, None if it may start immediately.
    - `start_by`: the deadline for the first start.
    - `serial`: the run waits until no other run of its deployment is in progress.
    - `attempt`: the number of the last attempt, of at most `attempts`; see `retries`.
    - `cancel_reason`: set once the run was cancelled, even while it has not ended yet.
    - `retry_of`: the run of which this one is a retry.
    """

    id: RunId
    deployment: str
    state: RunState
    trigger: Trigger
    created_at: datetime
    revision: str
    file: str
    spec_digest: str
    scheduled_for: datetime | None = None
    not_before: datetime | None = None
    idempotency_key: str | None = None
    reason: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempt: int = 0
    attempts: int = 1
    exit_code: int | None = None
    signal: int | None = None
    version: str | None = None
    tags: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    serial: bool = False
    start_by: datetime | None = None
    retries: Retries | None = None
    cancel_reason: str | None = None
    retry_of: RunId | None = None

    @property
    def is_in_progress(self) -> bool:
        """Whether an attempt was claimed and has not ended."""
        return self.state in (RunState.LAUNCHING, RunState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt of a run.

    `nonce` is part of the name of its directory. `boot_id` shows whether the machine has restarted since it was
    launched.
    """

    run_id: RunId
    number: int
    nonce: str
    boot_id: str
    state: RunState
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None


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
    """One due time of one deployment. There is never more than one per deployment and instant."""

    deployment: str
    scheduled_for: datetime
    schedule: str
    outcome: Outcome
    run_id: RunId | None = None
    reason: str | None = None
