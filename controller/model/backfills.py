"""Backfills: requests to run the due times of a past range, as objects that can be watched, paused and cancelled."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any

from controller.model import INTERNAL, json_key
from controller.model.runs import RunId, RunState
from controller.records import dataclass


class BackfillState(StrEnum):
    """The state of a backfill. `failed`: all due times have finished, and at least one of them did not succeed."""

    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the backfill creates no more runs."""
        return self not in (BackfillState.RUNNING, BackfillState.PAUSED)


class Redo(StrEnum):
    """Which due times run again, in addition to those that have no run."""

    FAILED = "failed"
    SKIPPED = "skipped"
    ALL = "all"


class CodeVersion(StrEnum):
    """The code that a repeated run executes: what is active now, or what its earlier run executed."""

    LATEST = "latest"
    ORIGINAL = "original"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """A backfill of the due times in a range, both ends included. All times are aware UTC datetimes.

    - `total`: the number of due times that were selected.
    - `redo`: which due times run again; None: only those without a run were selected.
    - `code`: what a due time that had a run executes. All others execute the deployment that was active when the
      backfill was created, at `revision`.
    - `parameters`: override those of the deployment.
    - `parallel`: how many runs may be in progress at the same time.
    """

    id: str
    deployment: str
    state: BackfillState
    since: datetime = field(metadata=json_key("from"))
    until: datetime = field(metadata=json_key("to"))
    created_at: datetime
    finished_at: datetime | None = None
    author: str
    revision: str
    redo: Redo | None = None
    code: CodeVersion = CodeVersion.LATEST
    parameters: Mapping[str, Any] = field(default_factory=dict)
    parallel: int = 1
    total: int
    file: str = field(metadata=INTERNAL)
    line: int = field(metadata=INTERNAL)
    document: Mapping[str, Any] = field(metadata=INTERNAL)
    spec_digest: str = field(metadata=INTERNAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillProgress(Backfill):
    """A backfill, and how many of its due times are in which state. The numbers add up to `total`.

    `waiting` includes due times whose run has not been created yet; `done` are those that succeeded or were skipped.
    """

    done: int
    failed: int
    cancelled: int
    running: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillTime:
    """A due time of a backfill with its latest run. `state` is None if it has no run yet."""

    due_time: datetime
    run_id: RunId | None
    state: RunState | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillDetail(BackfillProgress):
    """All details of a backfill.

    - `failures`: the first 100 due times whose latest run failed or was cancelled, or that were cancelled.
    - `unfinished`: the first 10 due times whose run has not finished.
    - `more_failures`, `more_unfinished`: how many due times the lists leave out.
    """

    failures: tuple[BackfillTime, ...]
    more_failures: int
    unfinished: tuple[BackfillTime, ...]
    more_unfinished: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The numbers of a `BackfillProgress`."""

    total: int = 0
    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0


def summarize(counts: Mapping[RunState | None, int]) -> Progress:
    """Return the progress, given the number of due times by the state of their run; None is the key for no run yet."""
    waiting = running = done = failed = cancelled = 0
    for state, count in counts.items():
        match state:
            case None | RunState.SCHEDULED | RunState.PENDING | RunState.RETRYING:
                waiting += count
            case RunState.LAUNCHING | RunState.RUNNING:
                running += count
            case RunState.SUCCEEDED | RunState.SKIPPED:
                done += count
            case RunState.CANCELLED:
                cancelled += count
            case _:
                failed += count
    total = waiting + running + done + failed + cancelled
    return Progress(total=total, waiting=waiting, running=running, done=done, failed=failed, cancelled=cancelled)
