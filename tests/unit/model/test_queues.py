"""Whose turn it is: priority, then fairness between deployments, then age; and what the others are told."""

from dataclasses import replace
from datetime import timedelta

from controller.model.queues import EVERYTHING, Load, QueuedRun, in_order, schedule_queue
from controller.model.runs import RunId, RunState, Trigger
from tests.conftest import NOW


def one(number: int, deployment: str = "a", **more: object) -> QueuedRun:
    waiting = QueuedRun(
        id=RunId(f"run-{number:012}"),
        deployment=deployment,
        state=RunState.PENDING,
        trigger=Trigger.SCHEDULE,
        queue="default",
        priority=0,
        serial=False,
        attempt=0,
        attempts=1,
        not_before=None,
    )
    return replace(waiting, **more)  # type: ignore[arg-type]


def numbers(waiting: list[QueuedRun]) -> list[int]:
    return [int(found.id[4:]) for found in waiting]


def reasons(waiting: list[QueuedRun], load: Load) -> list[str | None]:
    return [reason for _, reason in schedule_queue(waiting, load, NOW)]


def test_a_higher_priority_is_first_and_then_who_was_made_first() -> None:
    assert numbers(in_order([one(3), one(1, priority=-1), one(2), one(4, priority=9)], {})) == [4, 2, 3, 1]


def test_many_of_one_deployment_do_not_keep_another_waiting() -> None:
    many = [one(number) for number in range(500)]
    other = [one(900, "b"), one(901, "b")]
    assert numbers(in_order(many + other, {}))[:5] == [0, 900, 1, 901, 2]


def test_who_had_a_turn_last_is_last_among_equals() -> None:
    waiting = [one(1, "a"), one(2, "b"), one(3, "c")]
    assert numbers(in_order(waiting, {"a": 7, "b": 5})) == [3, 2, 1]


def test_one_place_at_a_time_goes_round() -> None:
    waiting = [one(number, name) for number, name in enumerate("aaaaabbc")]
    turns: dict[str, int] = {}
    served = []
    for turn in range(len(waiting)):
        first = in_order(waiting, turns)[0]
        waiting.remove(first)
        turns[first.deployment] = turn
        served.append(first.deployment)
    assert "".join(served) == "abcabaaa"


def test_a_full_queue_says_so_and_holds_up_no_other() -> None:
    load = Load(limits={"etl": 2, EVERYTHING: 4}, running={"etl": 1, EVERYTHING: 1})
    waiting = [one(1, "a", queue="etl"), one(2, "b", queue="etl"), one(3, "c"), one(4, "d"), one(5, "e")]
    assert reasons(waiting, load) == [
        None,
        "queue etl is full (2 of 2)",
        None,
        None,
        "--max-running reached (4 of 4)",
    ]


def test_serial_runs_go_one_after_another_in_their_order() -> None:
    assert reasons([one(1, serial=True), one(2, serial=True), one(3)], Load()) == [
        None,
        "run 000000000001 of this deployment has not finished",
        None,
    ]
    busy = Load(busy={"a": RunId("run-000000000009")})
    assert reasons([one(1, serial=True)], busy) == ["run 000000000009 of this deployment has not finished"]


def test_a_hold_keeps_what_its_schedule_asked_for_and_nothing_else() -> None:
    load = Load(held={"a": "looking into it"})
    assert reasons([one(1), one(2, trigger=Trigger.MANUAL), one(3, attempt=2), one(4, "b")], load) == [
        "held: looking into it",
        None,
        None,
        None,
    ]


def test_what_waits_for_a_time_names_it() -> None:
    later = NOW + timedelta(minutes=5)
    waiting = [one(1, not_before=later), one(2, not_before=later, state=RunState.RETRYING, attempt=1, attempts=4)]
    assert reasons(waiting, Load()) == [
        "starts at 2026-06-01 12:05:00 UTC",
        "attempt 2 of 4 starts at 2026-06-01 12:05:00 UTC",
    ]
