"""The timeline counts the fire times of many deployments in one background thread at a time."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from controller.model.schedules import At, Cron, Interval, Schedule
from controller.model.status import Hold
from controller.queries import fire_timeline
from controller.queries.fire_timeline import FireSource, Timeline, find_upcoming
from controller.schedules import fire_times
from tests.conftest import NOW, ManualClock, wait_until

HOUR = timedelta(hours=1)


def hourly(minute: int) -> FireSource:
    """Return a schedule that fires often, not shared with others."""
    return (Schedule(id="x", rule=Cron(expression=f"{minute} * * * *")),), None


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "timeline"]


def test_many_changes_are_computed_in_one_background_thread_while_the_last_times_are_returned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fire_timeline, "_DEPLOYMENTS_BETWEEN_PAUSES", 100)
    timeline = Timeline(ManualClock())
    timeline.change({f"d{number}": hourly(number % 60) for number in range(501)})
    assert len(timeline.upcoming().frequent) == 501  # the first time, they are computed at once
    daily = (Schedule(id="y", rule=Cron(expression="0 3 * * *")),), None
    for _ in range(2):
        timeline.change({f"d{number}": daily for number in range(501)})
        assert timeline.upcoming().frequent
        assert len(running()) <= 1
    wait_until(lambda: not timeline.upcoming().frequent)
    assert [slot.count for slot in timeline.upcoming().rare.values()] == [501]
    wait_until(lambda: not running())


def test_a_row_that_changes_while_its_day_waits_to_be_computed_again_keeps_its_next_fire_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fire_timeline, "_FEW", 1)
    monkeypatch.setattr(fire_timeline, "_DEPLOYMENTS_BETWEEN_PAUSES", 1)
    monkeypatch.setattr(fire_timeline, "_PAUSE_SECONDS", 0.2)  # until the second day is computed
    clock = ManualClock()
    timeline = Timeline(clock)
    daily: dict[str, FireSource] = {
        name: ((Schedule(id=name, rule=Cron(expression="0 13 * * *")),), None) for name in ("a", "b", "c")
    }
    timeline.change(daily)
    timeline.upcoming()
    clock.turn(HOUR)  # all fire now
    timeline.upcoming()
    timeline.change(daily)  # their runs have started
    timeline.upcoming()
    wait_until(lambda: not running())
    assert timeline.upcoming() == find_upcoming(daily.items(), clock.now())


def mixed() -> dict[str, FireSource]:
    """Deployments that fire once, daily, weekly, on few days, and often."""
    crons = [f"{7 * number % 60} {number % 24} * * *" for number in range(30)]
    crons += ["0 5 * * 1", "*/5 * * * *", "0 */3 * * *", "0 0,6,12,18 * * *"]
    named: dict[str, FireSource] = {
        f"c{number}": ((Schedule(id="x", rule=Cron(expression=cron)),), None) for number, cron in enumerate(crons)
    }
    once = Schedule(id="x", rule=At(times=(NOW + 30 * HOUR, NOW + 60 * HOUR)))
    held = Hold(deployment="h", reason="", author="", since=NOW, until=NOW + 40 * HOUR)
    both = (named["c3"][0][0], once)
    return {**named, "once": ((once,), None), "both": (both, None), "held": (named["c5"][0], held)}


@pytest.mark.parametrize("step", [timedelta(minutes=61), timedelta(minutes=7)])
def test_kept_fire_times_equal_those_that_are_computed_again(step: timedelta) -> None:
    clock = ManualClock()
    timeline = Timeline(clock)
    deployments = mixed()
    timeline.change(deployments)
    for number in range(200):
        assert timeline.upcoming() == find_upcoming(deployments.items(), clock.now())
        if number == 60:
            deployments["c0"] = deployments["c1"]
            del deployments["c4"]
            timeline.change({"c0": deployments["c0"], "c4": None, "unknown": None})
        if number == 100:
            clock.step(-5 * HOUR)
        clock.turn(step)


def count_computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the ids of the schedules whose fire times are computed from now on."""
    computed: list[str] = []

    def count(schedule: Schedule, after: datetime) -> Iterator[datetime]:
        computed.append(schedule.id)
        return fire_times(schedule, after)

    monkeypatch.setattr(fire_timeline, "fire_times", count)
    return computed


def test_only_what_changed_or_comes_within_a_day_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = count_computed(monkeypatch)
    clock = ManualClock()
    timeline = Timeline(clock)
    daily: dict[str, FireSource] = {
        f"d{number}": ((Schedule(id=f"d{number}", rule=Cron(expression=f"0 {number % 24} * * *")),), None)
        for number in range(240)
    }
    timeline.change(daily)
    timeline.upcoming()
    assert len(computed) == 240
    computed.clear()
    clock.turn(timedelta(minutes=2))
    timeline.change({**daily, "d7": ((Schedule(id="changed", rule=Cron(expression="30 1 * * *")),), None)})
    timeline.upcoming()
    assert computed == ["changed"]
    computed.clear()
    clock.turn(HOUR)
    timeline.upcoming()
    assert len(computed) == 10


def test_the_day_of_deployments_with_the_same_schedules_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = count_computed(monkeypatch)
    shared = (Schedule(id="x", rule=Cron(expression="0 3 * * *")),)
    other = (Schedule(id="y", rule=Interval(every=HOUR)),)
    hold = Hold(deployment="held", reason="", author="", since=NOW, until=NOW + 23 * HOUR)
    firing: dict[str, FireSource] = {
        "a": (shared, None),
        "b": (other, None),
        "c": (shared, None),
        "held": (shared, hold),
        "d": (other, None),
    }
    upcoming = find_upcoming(firing.items(), NOW)
    assert computed == ["x", "y", "x"]
    assert [name for slot in upcoming.rare.values() for _, name in slot.first] == ["a", "c"]
    assert upcoming.frequent == {"b", "d"}
