"""The timetable is a projection: deployments have a job that fires on time, and all other jobs are removed."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.clock import SystemClock
from controller.model.schedules import Agenda, At, Cron, Interval, RRule, Rule, Schedule
from controller.scheduler import Timetable
from controller.scheduler.schedule_trigger import ScheduleTrigger
from tests.conftest import NOW, ManualClock, wait_until

PAST = datetime(2020, 1, 1, tzinfo=UTC)


LATER = datetime(2099, 1, 1, tzinfo=UTC)


def schedule(rule: Rule, *, number: int = 0, suspend: bool = False) -> Schedule:
    return Schedule(id=str(number), rule=rule, suspend=suspend)


def agenda(rule: Rule, after: datetime = NOW) -> Agenda:
    return Agenda(schedules=(schedule(rule),), after=after)


def every(seconds: int) -> Interval:
    return Interval(every=timedelta(seconds=seconds))


def jobs(timetable: Timetable) -> dict[str, object]:
    """Return the trigger of each job, by the name of its deployment. A replaced job has another trigger."""
    return {job.id: job.trigger for job in timetable._scheduler.get_jobs()}


class Heard:
    """Records which deployments were announced, how often, and when."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.times: list[float] = []
        self.threads: set[str] = set()

    def __call__(self, name: str) -> None:
        self.count[name] += 1
        self.times.append(time.monotonic())
        self.threads.add(threading.current_thread().name)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def timetable(heard: Heard) -> Iterator[Timetable]:
    made = Timetable(heard)
    made.start()
    yield made
    made.close()


def test_projecting_again_changes_nothing(timetable: Timetable) -> None:
    wanted = {"a": agenda(every(3600)), "b": agenda(Cron(expression="0 9 * * *")), "c": agenda(At(times=(PAST,)))}
    timetable.project(wanted)
    before = jobs(timetable)
    assert before.keys() == {"a", "b"}
    timetable.project(wanted)
    assert jobs(timetable) == before


def test_a_deployment_is_due_soon_if_its_next_due_time_is_near(heard: Heard) -> None:
    timetable = Timetable(heard, ManualClock(NOW))
    assert not timetable.is_due_soon()
    timetable.project({"a": agenda(every(3600))})
    timetable.start()
    assert not timetable.is_due_soon()
    timetable.project({"a": agenda(every(3600)), "b": agenda(every(10))})
    assert timetable.is_due_soon()
    timetable.close()


def test_a_later_cursor_alone_changes_nothing(timetable: Timetable) -> None:
    timetable.project({"a": agenda(every(3600))})
    before = jobs(timetable)
    timetable.project({"a": agenda(every(3600), NOW + timedelta(days=1))})
    assert jobs(timetable) == before


def test_a_removed_deployment_has_no_job(timetable: Timetable) -> None:
    timetable.project({"a": agenda(every(3600)), "b": agenda(every(3600))})
    timetable.project({"b": agenda(every(3600))})
    assert jobs(timetable).keys() == {"b"}
    timetable.project({})
    assert not jobs(timetable)


def test_a_changed_schedule_replaces_the_job(timetable: Timetable) -> None:
    timetable.project({"a": agenda(every(3600))})
    before = jobs(timetable)
    timetable.project({"a": agenda(every(60))})
    assert jobs(timetable).keys() == {"a"}
    assert jobs(timetable) != before
    timetable.project({"a": agenda(At(times=(PAST,)))})
    assert not jobs(timetable)
    timetable.project({"a": agenda(every(60))})
    assert jobs(timetable).keys() == {"a"}


def test_schedules_that_have_ended_have_no_job(timetable: Timetable) -> None:
    ended = {
        "at": agenda(At(times=(PAST,))),
        "until": agenda(RRule(text="DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;COUNT=3")),
        "none": Agenda(schedules=(), after=NOW),
    }
    timetable.project(ended)
    assert not jobs(timetable)


def test_it_fires_at_every_due_time(timetable: Timetable, heard: Heard) -> None:
    timetable.project({"tick": agenda(every(1), SystemClock().now())})
    wait_until(lambda: heard.count["tick"] >= 3)
    gaps = [after - before for before, after in zip(heard.times, heard.times[1:], strict=False)]
    assert max(gaps[:2]) < 1.9
    assert heard.threads != {threading.current_thread().name}


def test_a_removed_deployment_does_not_fire(timetable: Timetable, heard: Heard) -> None:
    timetable.project({"a": agenda(every(1), SystemClock().now()), "b": agenda(every(1), SystemClock().now())})
    timetable.project({"b": agenda(every(1), SystemClock().now())})
    wait_until(lambda: heard.count["b"] >= 1)
    assert heard.count["a"] == 0


def test_a_missed_due_time_fires_immediately_and_once(timetable: Timetable, heard: Heard) -> None:
    timetable.project({"late": agenda(Interval(every=timedelta(days=1)), SystemClock().now() - timedelta(days=30))})
    wait_until(lambda: heard.count["late"])
    assert heard.count["late"] == 1
    assert jobs(timetable).keys() == {"late"}


def test_the_last_due_time_fires_and_removes_the_job(timetable: Timetable, heard: Heard) -> None:
    soon = SystemClock().now() + timedelta(seconds=0.2)
    wanted = {"once": agenda(At(times=(soon,)), SystemClock().now())}
    timetable.project(wanted)
    wait_until(lambda: heard.count["once"] and not jobs(timetable))
    timetable.project(wanted)
    assert not jobs(timetable)
    assert heard.count["once"] == 1


def test_ten_thousand_jobs_due_at_once_are_announced_once_each(timetable: Timetable, heard: Heard) -> None:
    many = {f"d{number}": agenda(Interval(every=timedelta(days=1)), PAST) for number in range(10_000)}
    timetable.project(many)
    wait_until(lambda: len(heard.count) == 10_000)
    timetable.project(many)
    assert set(heard.count.values()) == {1}


def test_a_timetable_that_never_started_can_be_closed_and_projected_onto(heard: Heard) -> None:
    made = Timetable(heard)
    made.project({"a": agenda(every(1))})
    assert jobs(made).keys() == {"a"}
    made.project({})
    assert not jobs(made)
    made.close()


def test_every_schedule_of_a_deployment_fires_unless_suspended() -> None:
    trigger = ScheduleTrigger(
        [
            schedule(At(times=(NOW + timedelta(hours=2),)), number=0),
            schedule(At(times=(NOW + timedelta(hours=1),)), number=1, suspend=True),
            schedule(At(times=(NOW + timedelta(hours=3),)), number=2),
        ],
        NOW,
    )
    first = trigger.get_next_fire_time(None, NOW)
    assert first == NOW + timedelta(hours=2)
    second = trigger.get_next_fire_time(first, NOW)
    assert second == NOW + timedelta(hours=3)
    assert trigger.get_next_fire_time(second, NOW) is None


def test_a_backlog_is_not_processed_one_by_one() -> None:
    trigger = ScheduleTrigger([schedule(every(1))], PAST)
    first = trigger.get_next_fire_time(None, NOW)
    assert first == PAST + timedelta(seconds=1)
    assert trigger.get_next_fire_time(first, NOW) == NOW + timedelta(seconds=1)


def test_an_invalid_schedule_does_not_fire_and_does_not_raise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR, logger="controller.scheduler.schedule_trigger"):
        trigger = ScheduleTrigger([schedule(Cron(expression="never ever"))], NOW)
        assert trigger.get_next_fire_time(None, NOW) is None
    assert "Failed to compute a schedule" in caplog.text


@pytest.mark.parametrize("how", ["removed", "foreign", "rescheduled", "paused"])
def test_a_job_changed_by_other_code_is_repaired_and_reported(timetable: Timetable, how: str) -> None:
    wanted = {name: agenda(At(times=(LATER,))) for name in "ab"}
    timetable.project(wanted)
    scheduler = timetable._scheduler
    due = scheduler.get_job("a").next_run_time
    match how:
        case "removed":
            scheduler.remove_job("a")
        case "foreign":
            scheduler.add_job(print, "interval", seconds=1, id="stranger")
        case "rescheduled":
            scheduler.reschedule_job("a", trigger="interval", seconds=5)
        case "paused":
            scheduler.pause_job("a")
    assert timetable.project(wanted) == (["stranger"] if how == "foreign" else ["a"])
    assert jobs(timetable).keys() == {"a", "b"}
    assert (scheduler.get_job("a").next_run_time, scheduler.get_job("a").name) == (due, "a")
    assert timetable.project(wanted) == []


def test_a_partial_projection_leaves_other_jobs_unchanged(timetable: Timetable) -> None:
    timetable.project({name: agenda(every(3600)) for name in "abc"})
    before = jobs(timetable)
    timetable.project({"b": agenda(every(60))}, removed=["c", "never-there"])
    after = jobs(timetable)
    assert after.keys() == {"a", "b"}
    assert (after["a"] is before["a"], after["b"] is before["b"]) == (True, False)


def test_schedules_that_have_ended_are_not_drift(timetable: Timetable) -> None:
    wanted = {"ended": agenda(At(times=(PAST,)))}
    timetable.project(wanted)
    assert timetable.project(wanted) == []


def test_a_cursor_in_the_future_does_not_skip_the_next_due_time(timetable: Timetable) -> None:
    now = SystemClock().now()
    timetable.project({"a": agenda(every(3600), now + timedelta(days=3))})
    [job] = timetable._scheduler.get_jobs()
    assert job.next_run_time <= now + timedelta(hours=1)


def test_a_job_that_waits_too_long_is_repaired_and_reported(timetable: Timetable) -> None:
    wanted = {"a": agenda(every(3600), SystemClock().now())}
    timetable.project(wanted)
    due = timetable._scheduler.get_job("a").next_run_time
    timetable._scheduler.modify_job("a", next_run_time=due + timedelta(days=3))
    assert timetable.project(wanted) == ["a"]
    assert timetable._scheduler.get_job("a").next_run_time == due
    assert timetable.project(wanted) == []


class Counting(ScheduleTrigger):
    """Records the times after which fire times are computed."""

    def __init__(self) -> None:
        super().__init__([schedule(every(3600))], NOW)
        self.asked: list[datetime] = []

    def first_after(self, after: datetime) -> datetime | None:
        self.asked.append(after)
        return super().first_after(after)


def test_a_job_that_is_due_computes_its_next_fire_time_once(timetable: Timetable, heard: Heard) -> None:
    trigger, asked = Counting(), SystemClock().now() - timedelta(seconds=1)
    timetable._scheduler.add_job(print, trigger, id="a", next_run_time=asked)
    wait_until(lambda: heard.count["a"] == 1 and trigger.counted_from > asked)
    timetable.close()
    assert len(trigger.asked) == 1


def test_drift_detection_computes_fire_times_only_after_a_clock_step() -> None:
    trigger = Counting()
    due = trigger.get_next_fire_time(None, NOW)
    assert due is not None
    assert not trigger.would_miss(due, NOW + timedelta(minutes=30))
    assert not trigger.would_miss(due, due + timedelta(minutes=30))
    assert trigger.asked == [NOW]
    assert trigger.would_miss(due, NOW - timedelta(days=3))
    assert trigger.asked == [NOW, NOW - timedelta(days=3)]


@pytest.mark.parametrize("back", [timedelta(seconds=4), timedelta(hours=1), timedelta(days=3650)])
def test_after_the_clock_was_set_back_no_job_waits_too_long(heard: Heard, back: timedelta) -> None:
    clock = ManualClock(SystemClock().now() + back)
    made = Timetable(heard, clock)
    made.start()
    try:
        made.project({"a": agenda(every(3600), clock.now()), "b": agenda(every(7), clock.now())})
        now = clock.step(-back)
        made.wake(now)
        waits = {job.id: job.next_run_time - now for job in made._scheduler.get_jobs()}
        assert waits["a"] <= timedelta(hours=1)
        assert waits["b"] <= timedelta(seconds=7)
    finally:
        made.close()


def test_after_the_clock_was_set_back_jobs_count_from_then(timetable: Timetable, heard: Heard) -> None:
    now = SystemClock().now()
    timetable.wake(now + timedelta(days=3650))
    timetable.project({"a": agenda(every(3600), now + timedelta(days=3650))})
    assert heard.count["a"] == 0
    timetable.wake(now)
    [job] = timetable._scheduler.get_jobs()
    assert job.next_run_time <= now + timedelta(hours=1)


def test_waking_up_looks_at_no_job_while_the_clock_goes_forward(timetable: Timetable, heard: Heard) -> None:
    class Unseen(dict[str, ScheduleTrigger]):
        def items(self) -> Any:
            raise AssertionError("the triggers were looked at")

    now = SystemClock().now()
    timetable.project({"soon": agenda(every(1), now), "later": agenda(every(3600), now)})
    wait_until(lambda: heard.count["soon"] > 0)
    timetable._triggers = Unseen(timetable._triggers)
    timetable.wake(SystemClock().now())
    with pytest.raises(AssertionError, match="looked at"):
        timetable.wake(now - timedelta(hours=1))


def test_jobs_are_added_in_the_order_in_which_they_are_due_and_equal_agendas_are_computed_once(
    heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    timetable, computed, added = Timetable(heard, ManualClock()), [], []
    shared = [(schedule(Cron(expression=f"{minute} * * * *")),) for minute in (40, 20, 50, 30)]
    agendas = {f"d{index}": Agenda(schedules=shared[index % 4], after=NOW) for index in range(40)}
    compute = ScheduleTrigger.first_after

    def count(self: ScheduleTrigger, after: datetime) -> datetime | None:
        computed.append(self)
        return compute(self, after)

    monkeypatch.setattr(ScheduleTrigger, "first_after", count)
    monkeypatch.setattr(timetable._scheduler, "add_job", lambda *_, **job: added.append(job["next_run_time"]))
    timetable.project(agendas)
    assert added == sorted(added)
    assert (len(added), len(set(added)), len(computed)) == (40, 4, 4)


@pytest.mark.parametrize("is_started", [True, False])
def test_only_jobs_that_exist_are_searched_for_to_remove_them(
    heard: Heard, monkeypatch: pytest.MonkeyPatch, *, is_started: bool
) -> None:
    """A scheduler that is not started compares each of its jobs with the one to remove."""
    timetable, removed = Timetable(heard), []
    if is_started:
        timetable.start()
    remove = timetable._scheduler.remove_job

    def count(name: str) -> None:
        removed.append(name)
        remove(name)

    monkeypatch.setattr(timetable._scheduler, "remove_job", count)
    try:
        timetable.project({f"d{index}": agenda(every(3600)) for index in range(40)})
        assert removed == []
        timetable.project({"d7": agenda(every(7200))}, ["d8"])
        assert removed == ["d8", "d7"]
        assert len(jobs(timetable)) == 39
    finally:
        timetable.close()
