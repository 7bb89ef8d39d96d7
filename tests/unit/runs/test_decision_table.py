"""The decision table of remote attempts, row by row: docs/adr/0022 shows it."""

from dataclasses import replace

import pytest

from controller.model.runs import RunOutcome, RunState
from controller.runs.executors.executor import Alive, AttemptStatus, NotStarted, Uncertain
from controller.runs.executors.remote.decision_table import (
    LATE_REPORT_SECONDS,
    MISSING_SECONDS,
    Evidence,
    JobAnswer,
    Sighting,
    decide,
)

SILENT_AT = 1000.0
HOUR = 3600.0
ALIVE = Alive(started=False)


def evidence(
    answer: JobAnswer | None, *, is_running: bool, since: float = SILENT_AT, message: str | None = None
) -> Evidence:
    """The facts if the cluster has given this answer since then, and was asked after the runner became silent."""
    sighting = answer and Sighting(answer=answer, since=since, asked_at=SILENT_AT + 1, message=message)
    return Evidence(
        cluster="ray", is_running=is_running, silent_at=SILENT_AT, sighting=sighting or None, lost_after=HOUR
    )


def lost(reason: str) -> RunOutcome:
    return RunOutcome(state=RunState.CRASHED, reason=f"outcome unknown: {reason}")


@pytest.mark.parametrize("is_running", [False, True])
@pytest.mark.parametrize("answer", [*JobAnswer, None])
def test_while_the_runner_is_heard_the_cluster_decides_nothing(answer: JobAnswer | None, is_running: bool) -> None:
    known = evidence(answer, is_running=is_running, since=0.0)
    assert decide(known, SILENT_AT - 0.1) == ALIVE


@pytest.mark.parametrize("is_running", [False, True])
@pytest.mark.parametrize("answer", list(JobAnswer))
def test_an_answer_from_before_the_silence_decides_nothing(answer: JobAnswer, is_running: bool) -> None:
    known = evidence(answer, is_running=is_running)
    assert known.sighting is not None
    old = replace(known, sighting=replace(known.sighting, asked_at=SILENT_AT - 1))
    assert decide(old, SILENT_AT + 10 * HOUR) == ALIVE


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (JobAnswer.WAITING, ALIVE),
        (JobAnswer.RUNNING, ALIVE),
        (JobAnswer.OVER, NotStarted()),
        (JobAnswer.FORGOTTEN, NotStarted()),
        (JobAnswer.UNREACHABLE, Uncertain(reason="ray does not answer: connection refused")),
    ],
)
@pytest.mark.parametrize("later", [1.0, 10 * HOUR])
def test_a_silent_runner_that_has_not_started(answer: JobAnswer, status: AttemptStatus, later: float) -> None:
    known = evidence(answer, is_running=False, message="connection refused")
    assert decide(known, SILENT_AT + later) == status


@pytest.mark.parametrize(
    ("answer", "seconds", "status"),
    [
        (JobAnswer.OVER, LATE_REPORT_SECONDS, lost("its node was lost: ray: killed")),
        (JobAnswer.FORGOTTEN, MISSING_SECONDS, lost("ray has lost its job")),
        (JobAnswer.UNREACHABLE, HOUR, lost("ray does not answer: killed")),
    ],
)
def test_a_silent_runner_whose_flow_may_run_is_lost_in_the_end(
    answer: JobAnswer, seconds: float, status: AttemptStatus
) -> None:
    known = evidence(answer, is_running=True, message="killed")
    assert isinstance(decide(known, SILENT_AT + seconds - 0.1), Uncertain)
    assert decide(known, SILENT_AT + seconds) == status


@pytest.mark.parametrize("answer", [JobAnswer.RUNNING, JobAnswer.WAITING])
def test_a_silent_runner_whose_job_runs_is_never_lost(answer: JobAnswer) -> None:
    found = decide(evidence(answer, is_running=True), SILENT_AT + 100 * HOUR)
    assert found == Uncertain(reason=f"its runner is silent. ray: its job is {answer.value}")


@pytest.mark.parametrize("answer", [JobAnswer.OVER, JobAnswer.FORGOTTEN, JobAnswer.UNREACHABLE])
def test_the_time_of_an_answer_from_before_the_silence_does_not_count(answer: JobAnswer) -> None:
    known = evidence(answer, is_running=True, since=0.0)
    assert isinstance(decide(known, SILENT_AT + 1), Uncertain)


@pytest.mark.parametrize("answer", [JobAnswer.OVER, JobAnswer.FORGOTTEN, JobAnswer.UNREACHABLE])
def test_the_time_of_another_answer_does_not_count(answer: JobAnswer) -> None:
    changed = SILENT_AT + 50 * HOUR
    known = evidence(answer, is_running=True, since=changed)
    assert isinstance(decide(known, changed + 1), Uncertain)


def test_without_a_limit_an_attempt_is_never_given_up_while_the_cluster_is_silent() -> None:
    known = replace(evidence(JobAnswer.UNREACHABLE, is_running=True), lost_after=None)
    assert isinstance(decide(known, SILENT_AT + 1000 * HOUR), Uncertain)


def test_a_runner_that_ends_its_flow_on_silence_gets_that_time() -> None:
    known = replace(evidence(JobAnswer.FORGOTTEN, is_running=True), missing_seconds=300.0)
    assert isinstance(decide(known, SILENT_AT + 299), Uncertain)
    assert decide(known, SILENT_AT + 300) == lost("ray has lost its job")
