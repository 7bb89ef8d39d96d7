"""Of several schedules at one instant, every function selects the most specific one."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from controller.model.schedules import At, Cron, Interval, RRule, Rule, Schedule
from controller.schedules import find_due, find_due_up_to, next_fire_times
from controller.schedules.precedence import by_precedence

NINE = datetime(2026, 6, 1, 9, tzinfo=UTC)
BEFORE = NINE - timedelta(seconds=30)
CLASSES: tuple[tuple[str, Rule], ...] = (
    ("at", At(times=(NINE,))),
    ("rrule", RRule(text="FREQ=DAILY;BYHOUR=9")),
    ("cron", Cron(expression="0 9 * * *")),
    ("interval", Interval(every=timedelta(seconds=30))),
)


def schedule(name: str, rule: Rule, *, own: bool = False, suspend: bool = False) -> Schedule:
    return Schedule(id=name, rule=rule, parameters={"n": 1} if own else {}, suspend=suspend)


def winners(*schedules: Schedule) -> set[str]:
    """Return the schedules that each function selects at 09:00."""
    asked = (
        next_fire_times(schedules, BEFORE, 1),
        find_due(schedules, BEFORE, NINE, 10).times,
        find_due_up_to(schedules, BEFORE, NINE, 10) or [],
    )
    assert all([instant for instant, _ in found] == [NINE] for found in asked)
    return {found[0][1].id for found in asked}


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_most_specific_kind_wins_in_any_order_of_declaration(order: tuple[int, ...]) -> None:
    declared = [schedule(*CLASSES[index]) for index in order]
    assert [one.id for one in by_precedence(declared)] == ["at", "rrule", "cron", "interval"]
    for left_out in range(4):
        present = [one for one in declared if one.id not in {name for name, _ in CLASSES[:left_out]}]
        assert winners(*present) == {CLASSES[left_out][0]}


def test_between_two_of_a_kind_the_one_with_parameters_wins() -> None:
    cron = Cron(expression="0 9 * * *")
    plain, own, later = schedule("plain", cron), schedule("own", cron, own=True), schedule("later", cron, own=True)
    assert winners(plain, own, later) == {"own"}
    assert winners(later, plain, own) == {"later"}
    assert winners(schedule("interval", Interval(every=timedelta(seconds=30)), own=True), plain) == {"plain"}


def test_between_equals_the_one_declared_first_wins() -> None:
    first, second = schedule("first", Cron(expression="0 9 * * *")), schedule("second", Cron(expression="0 9 1 * *"))
    assert winners(first, second) == {"first"}
    assert winners(second, first) == {"second"}


def test_a_suspended_schedule_never_wins() -> None:
    assert winners(schedule("at", At(times=(NINE,)), suspend=True), schedule(*CLASSES[3])) == {"interval"}
