"""The pauses between launches of a run that have failed."""

from datetime import datetime, timedelta

from controller.clock import Clock
from controller.model.runs import RunId
from controller.runs.failed_launches import MAX_LAUNCHES, FailedLaunches
from tests.conftest import NOW

RUN, OTHER = RunId("a"), RunId("b")


class PassingClock(Clock):
    """A clock whose time passes only in tests, also the monotonic one."""

    seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    def elapsed(self) -> float:
        return self.seconds


def test_each_pause_is_twice_as_long_as_the_one_before() -> None:
    clock = PassingClock()
    launches = FailedLaunches(clock)
    pauses = []
    for _ in range(MAX_LAUNCHES - 1):
        assert not launches.is_last(RUN)
        launches.record(RUN, 10.0, "no quota")
        assert launches.find_pause(RUN) is not None
        assert launches.take_ended() == set()
        pause = launches.remaining
        assert pause is not None
        pauses.append(pause)
        clock.seconds += pause
        assert launches.find_pause(RUN) is None
        assert (launches.take_ended(), launches.take_ended(), launches.remaining) == ({RUN}, set(), None)
    assert pauses == [10.0, 20.0, 40.0, 60.0]
    assert launches.is_last(RUN)


def test_a_pause_says_when_and_why_the_run_is_launched_again() -> None:
    launches = FailedLaunches(PassingClock())
    launches.record(RUN, 10.0, "no quota")
    launches.record(OTHER, 10.0, None)
    at = "launch 2 of 5 at 2026-06-01 12:00:10 UTC"
    assert launches.find_pause(RUN) == f"{at}, because the last one failed: no quota"
    assert launches.find_pause(OTHER) == at
    launches.forget(RUN)
    assert (launches.find_pause(RUN), launches.remaining) == (None, 10.0)


def test_an_executor_without_pauses_launches_at_once() -> None:
    launches = FailedLaunches(PassingClock())
    for _ in range(MAX_LAUNCHES - 1):
        launches.record(RUN, 0.0, "no quota")
        assert (launches.find_pause(RUN), launches.remaining) == (None, None)
    assert launches.is_last(RUN)
