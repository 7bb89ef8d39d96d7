"""Runs, and the due times that lead to them, as values. `store` keeps them, `queries` returns them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from controller.model.policies import DEFAULT_QUEUE, Retries

RunId = NewType("RunId", str)
"""A UUIDv7 (RFC 9562, 5.7) as text: ids sort by the time of their making."""


def first_id(moment: datetime) -> str:
    """What no id of a run that was made at this moment or later sorts before."""
    millis = f"{max(0, int(moment.timestamp() * 1000)):012x}"
    return f"{millis[:8]}-{millis[8:]}"


class RunState(StrEnum):
    """Where a run stands. `launching` is shown as `pending`: its supervisor is there, its flow is not started."""

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
        """Whether this state is final: a run never leaves it."""
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
    """What asked for a run."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    BACKFILL = "backfill"
    RETRY = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution, pinned to `revision` and `spec_digest` of the document in `file`.

    It holds resolved parameters but never a command: what to execute is read from the source by its pin.
    All times are aware UTC instants. `scheduled_for` is None when nobody's schedule asked for it. It does not start
    before `not_before` (None is at once), nor for the first time after `start_by`. A `serial` run waits until no other
    run of its deployment is under way. There are up to `attempts` attempts as `retries` says; `attempt` is the number
    of the last. `cancel_reason`: somebody wants it to end. `retry_of` is the run that it does again.
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
    def is_under_way(self) -> bool:
        """Whether an attempt of it has been claimed, and has not ended."""
        return self.state in (RunState.LAUNCHING, RunState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a run. `nonce` names its directory; `boot_id` tells whether the machine is still the same."""

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


class Outcome(StrEnum):
    """What became of a due time."""

    RUN = "run"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One due time of one deployment. There is at most one for each (deployment, instant), for ever."""

    deployment: str
    scheduled_for: datetime
    schedule: str
    outcome: Outcome
    run_id: RunId | None = None
    reason: str | None = None
