"""The timeline counts the fire times of many deployments in one background thread at a time."""

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from controller.model.schedules import At, Cron, Interval, Schedule
from controller.model.status import Hold
from controller.queries import fire_timeline
from controller.queries.fire_timeline import FiringDeployment, Timeline, find_upcoming
from controller.schedules import fire_times
from tests.conftest import NOW, ManualClock, wait_until

HOUR = timedelta(hours=1)
DEPLOYMENTS: list[FiringDeployment] = [("x", (Schedule(id="x", rule=Interval(every=HOUR)),), None)] * 501


class GatedClock(ManualClock):
    """A manual clock that stops a count at its beginning, and whose monotonic time advances as well."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[threading.Event] = []
        self.is_gated = False

    def monotonic(self) -> float:
        return self.elapsed()

    def now(self) -> datetime:
        if self.is_gated:
            gate = threading.Event()
            self.gates.append(gate)
            assert gate.wait(60)
        return super().now()


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def test_a_first_count_that_ends_late_does_not_allow_a_second_background_count() -> None:
    before = threading.enumerate()
    clock = GatedClock()
    timeline = Timeline(clock)
    clock.is_gated = True
    late = in_thread(lambda: timeline.upcoming(DEPLOYMENTS))
    wait_until(lambda: len(clock.gates) == 1)
    clock.is_gated = False
    assert timeline.upcoming(DEPLOYMENTS).frequent  # another first count, which ends sooner
    clock.turn(HOUR)
    clock.is_gated = True
    assert timeline.upcoming(DEPLOYMENTS).frequent  # outdated: this starts a count in the background
    wait_until(lambda: len(clock.gates) == 2)
    clock.gates[0].set()
    late.join()
    clock.turn(timedelta(days=365))
    assert timeline.upcoming(DEPLOYMENTS).frequent
    running = [thread for thread in threading.enumerate() if thread.name == "timeline" and thread not in before]
    clock.is_gated = False
    wait_until(lambda: len(clock.gates) >= len(running) + 1)
    for gate in clock.gates:
        gate.set()
    for thread in running:
        thread.join()
    assert len(running) == 1


def mixed() -> list[FiringDeployment]:
    """Deployments that fire once, daily, weekly, on few days, and often."""
    crons = [f"{7 * number % 60} {number % 24} * * *" for number in range(30)]
    crons += ["0 5 * * 1", "*/5 * * * *", "0 */3 * * *", "0 0,6,12,18 * * *"]
    named: list[FiringDeployment] = [
        (f"c{number}", (Schedule(id="x", rule=Cron(expression=cron)),), None) for number, cron in enumerate(crons)
    ]
    once = Schedule(id="x", rule=At(times=(NOW + 30 * HOUR, NOW + 60 * HOUR)))
    held = Hold(deployment="h", reason="", author="", since=NOW, until=NOW + 40 * HOUR)
    return [*named, ("once", (once,), None), ("both", (named[3][1][0], once), None), ("held", named[5][1], held)]


def test_kept_fire_times_equal_those_that_are_computed_again() -> None:
    clock = GatedClock()
    timeline = Timeline(clock)
    deployments = mixed()
    for step in range(120):
        assert timeline.upcoming(deployments) == find_upcoming(deployments, clock.now())
        if step == 60:
            deployments[0] = (deployments[0][0], deployments[1][1], None)
            del deployments[4]
        clock.turn(timedelta(minutes=61))


def test_only_what_changed_or_comes_within_a_day_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[str] = []

    def count(schedule: Schedule, after: datetime) -> Iterator[datetime]:
        computed.append(schedule.id)
        return fire_times(schedule, after)

    monkeypatch.setattr(fire_timeline, "fire_times", count)
    clock = GatedClock()
    timeline = Timeline(clock)
    daily = [
        (f"d{number}", (Schedule(id=f"d{number}", rule=Cron(expression=f"0 {number % 24} * * *")),), None)
        for number in range(240)
    ]
    deployments: list[FiringDeployment] = [*daily]
    timeline.upcoming(deployments)
    assert len(computed) == 240
    computed.clear()
    clock.turn(timedelta(minutes=2))
    deployments[7] = ("d7", (Schedule(id="changed", rule=Cron(expression="30 1 * * *")),), None)
    timeline.upcoming(deployments)
    assert computed == ["changed"]
    computed.clear()
    clock.turn(HOUR)
    timeline.upcoming(deployments)
    assert len(computed) == 10


def test_the_day_of_deployments_with_the_same_schedules_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[Schedule] = []

    def counting(schedule: Schedule, begin: datetime) -> Iterator[datetime]:
        computed.append(schedule)
        return fire_times(schedule, begin)

    monkeypatch.setattr(fire_timeline, "fire_times", counting)
    shared = (Schedule(id="x", rule=Cron(expression="0 3 * * *")),)
    other = (Schedule(id="y", rule=Interval(every=HOUR)),)
    hold = Hold(deployment="held", reason="", author="", since=NOW, until=NOW + 23 * HOUR)
    firing = [("a", shared, None), ("b", other, None), ("c", shared, None), ("held", shared, hold), ("d", other, None)]
    upcoming = find_upcoming(firing, NOW)
    assert [schedule.id for schedule in computed] == ["x", "y", "x"]
    assert [name for slot in upcoming.rare.values() for _, name in slot.first] == ["a", "c"]
    assert upcoming.frequent == {"b", "d"}
