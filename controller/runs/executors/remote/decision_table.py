"""Decides what is known about a remote attempt, from its runner and its cluster. Used by the handle of the attempt.

The runner's report always comes first. The status of the job in the cluster matters only while the runner is silent,
and only if the cluster was asked after the runner had become silent: it may call a job failed whose flow is running.
"""

import enum

from controller.model.runs import RunOutcome, RunState
from controller.records import dataclass
from controller.runs.executors.executor import Alive, AttemptStatus, NotStarted, Uncertain

SILENT_SECONDS = 30.0
LATE_REPORT_SECONDS = 30.0
"""How long the report of a job that is over may still arrive."""
MISSING_SECONDS = 60.0
"""How long the report of a job that the cluster does not know may still arrive."""


class JobAnswer(enum.Enum):
    """The answer of the cluster about a job. `FORGOTTEN`: it does not know the job, or not in its current session."""

    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"
    FORGOTTEN = "forgotten"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """The last answer of the cluster about a job.

    `since`: the time of the first of the same answers in a row. `asked_at`: when the last question was asked.
    `message`: the cluster's own words.
    """

    answer: JobAnswer
    since: float
    asked_at: float
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The known facts about an attempt whose runner has not reported the end. Times are those of one monotonic clock.

    `cluster` is the name of the executor. `silent_at`: when the runner is treated as silent, unless it sends something.
    `lost_after`: after how many seconds without any answer of the cluster an attempt is given up; None: never.
    `missing_seconds`: how long to wait for the report of a job that the cluster does not know.
    """

    cluster: str
    is_running: bool
    silent_at: float
    sighting: Sighting | None
    lost_after: float | None
    missing_seconds: float = MISSING_SECONDS


def decide(evidence: Evidence, now: float) -> AttemptStatus:
    """Return the status of an attempt."""
    sighting = evidence.sighting
    if now < evidence.silent_at or sighting is None or sighting.asked_at < evidence.silent_at:
        return Alive(started=False)
    if evidence.is_running:
        return _decide_running(evidence, sighting, now)
    if sighting.answer is JobAnswer.UNREACHABLE:
        return Uncertain(reason=_no_answer(evidence, sighting))
    if sighting.answer in (JobAnswer.OVER, JobAnswer.FORGOTTEN):
        return NotStarted()
    return Alive(started=False)


def _decide_running(evidence: Evidence, sighting: Sighting, now: float) -> AttemptStatus:
    both = max(sighting.since, evidence.silent_at)  # since then the runner is silent, and the cluster says this
    if sighting.answer is JobAnswer.OVER:
        words = f"{evidence.cluster}: {sighting.message or 'its job is over'}"
        if now - both >= LATE_REPORT_SECONDS:
            return _lost(f"its node was lost: {words}")
        return Uncertain(reason=f"its runner is silent. {words}")
    if sighting.answer is JobAnswer.FORGOTTEN:
        if now - both >= evidence.missing_seconds:
            return _lost(f"{evidence.cluster} has lost its job")
        return Uncertain(reason=f"its runner is silent, and {evidence.cluster} does not know its job")
    if sighting.answer is JobAnswer.UNREACHABLE:
        if evidence.lost_after is not None and now - both >= evidence.lost_after:
            return _lost(_no_answer(evidence, sighting))
        return Uncertain(reason=f"its runner is silent, and {_no_answer(evidence, sighting)}")
    return Uncertain(reason=f"its runner is silent. {evidence.cluster}: its job is {sighting.answer.value}")


def _no_answer(evidence: Evidence, sighting: Sighting) -> str:
    cause = f": {sighting.message}" if sighting.message else ""
    return f"{evidence.cluster} does not answer{cause}"


def _lost(reason: str) -> RunOutcome:
    """Return the outcome of a flow that was started and whose end is unknown."""
    return RunOutcome(state=RunState.CRASHED, reason=f"outcome unknown: {reason}")
