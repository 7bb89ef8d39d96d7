"""Setting the clock while a flow runs does not change its duration, and no duration is negative."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from controller.cli.terminal import text_format
from controller.model.runs import Run, RunOutcome, RunState
from controller.runs.executors.local.recovery import recover
from controller.runs.outcomes import record_outcomes
from controller.store import runs
from controller.time_format import format_span
from tests.conftest import NOW
from tests.unit.runs.conftest import NONCE, Supervise, World
from tests.unit.runs.test_queueing import account, hourly

no_supervisor = pytest.mark.parametrize("start", ["cold"])
DAYS = timedelta(days=3)
SECOND = timedelta(seconds=1)


@pytest.fixture
def run(world: World) -> Run:
    world.declare(a=hourly())
    world.clock.turn(timedelta(hours=1))
    [made] = account(world, "a")
    return replace(made, state=RunState.RUNNING, started_at=NOW, attempt=1)


def finished_at(world: World, run: Run, outcome: RunOutcome, now: datetime) -> datetime | None:
    """When a run with this outcome finished, as recorded at `now`."""
    with world.store.write() as tx:
        runs.move(tx, run.id, expect=RunState.PENDING, to=RunState.RUNNING, started_at=run.started_at)
        record_outcomes(tx, [(run, outcome)], now)
    return world.find(run).finished_at


@no_supervisor
@pytest.mark.parametrize("step", [-DAYS, DAYS, timedelta(0)])
def test_the_measured_duration_is_used_if_the_clock_was_set(world: World, run: Run, step: timedelta) -> None:
    outcome = RunOutcome(state=RunState.SUCCEEDED, finished_at=NOW + 7 * SECOND + step, seconds=7.0)
    assert finished_at(world, run, outcome, NOW + DAYS) == NOW + 7 * SECOND


@no_supervisor
@pytest.mark.parametrize(
    ("state", "ended", "now", "expected"),
    [
        (RunState.SUCCEEDED, NOW - DAYS, NOW, NOW),
        (RunState.SUCCEEDED, NOW + DAYS, NOW, NOW + DAYS),
        (RunState.CRASHED, None, NOW - DAYS, NOW),
    ],
)
def test_without_a_measured_duration_a_run_never_ends_before_its_start(
    world: World, run: Run, state: RunState, ended: datetime | None, now: datetime, expected: datetime
) -> None:
    assert finished_at(world, run, RunOutcome(state=state, finished_at=ended), now) == expected


def test_a_supervisor_measures_how_long_the_flow_took(supervise: Supervise) -> None:
    one = supervise(["true"])
    one.say(b"GO\n")
    one.wait()
    found = recover(one.directory, NONCE, same_boot=True)
    assert isinstance(found, RunOutcome)
    assert found.seconds is not None
    assert found.seconds >= 0


@pytest.mark.parametrize("seconds", ["-1", "1e300", "NaN", '"7"', "[]"])
def test_an_invalid_measured_duration_is_ignored(supervise: Supervise, seconds: str) -> None:
    one = supervise(["true"])
    one.say(b"GO\n")
    one.wait()
    mark = f'{{"nonce": "{NONCE}", "outcome": "succeeded", "exit_code": 0, "seconds": {seconds}}}'
    (one.directory / "exit").write_text(mark, encoding="utf-8")
    found = recover(one.directory, NONCE, same_boot=True)
    assert isinstance(found, RunOutcome)
    assert found.state is RunState.CRASHED


def test_past_times_are_never_shown_as_future() -> None:
    assert text_format.past(NOW - DAYS, NOW).plain == "3d ago"
    assert text_format.past(NOW + SECOND, NOW).plain == "0s ago"
    assert text_format.past(NOW + DAYS, NOW).plain == text_format.local(NOW + DAYS).plain
    assert text_format.past(None, NOW).plain == "-"
    assert text_format.ago(NOW + DAYS, NOW).plain == "in 3d"
    assert format_span(-DAYS) == "0s"
