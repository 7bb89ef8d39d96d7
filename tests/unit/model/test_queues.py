"""The order of the queue (priority, then turns of the deployments, then age), and the reasons for waiting."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.model.queues import EVERYTHING, Load, QueuedRun, schedule_queue, sort_queue
from controller.model.runs import RunId, RunState, Trigger
from tests.conftest import NOW


def queued(number: int, deployment: str = "a", **more: object) -> QueuedRun:
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
    return [int(run.id[4:]) for run in waiting]


def reasons(waiting: list[QueuedRun], load: Load) -> list[str | None]:
    return [None if reason is None else reason.text for _, reason in schedule_queue(waiting, load, NOW)]


def test_a_higher_priority_comes_first_and_then_the_older_run() -> None:
    assert numbers(sort_queue([queued(3), queued(1, priority=-1), queued(2), queued(4, priority=9)], {})) == [
        4,
        2,
        3,
        1,
    ]


def test_many_runs_of_one_deployment_do_not_delay_another() -> None:
    many = [queued(number) for number in range(500)]
    few = [queued(900, "b"), queued(901, "b")]
    assert numbers(sort_queue(many + few, {}))[:5] == [0, 900, 1, 901, 2]


def test_the_deployment_with_the_latest_turn_comes_last_at_equal_priority() -> None:
    waiting = [queued(1, "a"), queued(2, "b"), queued(3, "c")]
    assert numbers(sort_queue(waiting, {"a": 7, "b": 5})) == [3, 2, 1]


def test_deployments_take_turns_when_one_slot_becomes_free_at_a_time() -> None:
    waiting = [queued(number, name) for number, name in enumerate("aaaaabbc")]
    turns: dict[str, int] = {}
    served = []
    for turn in range(len(waiting)):
        first = sort_queue(waiting, turns)[0]
        waiting.remove(first)
        turns[first.deployment] = turn
        served.append(first.deployment)
    assert "".join(served) == "abcabaaa"


def test_a_full_queue_is_reported_and_does_not_delay_other_queues() -> None:
    load = Load(limits={"etl": 2, EVERYTHING: 4}, running={"etl": 1, EVERYTHING: 1})
    waiting = [queued(1, "a", queue="etl"), queued(2, "b", queue="etl"), queued(3, "c"), queued(4, "d"), queued(5, "e")]
    assert reasons(waiting, load) == [
        None,
        "queue etl is full (2 of 2)",
        None,
        None,
        "--max-running reached (4 of 4)",
    ]


def test_serial_runs_start_one_after_another() -> None:
    assert reasons([queued(1, serial=True), queued(2, serial=True), queued(3)], Load()) == [
        None,
        "run 000000000001 of this deployment has not finished",
        None,
    ]
    busy = Load(busy={"a": {None: [RunId("run-000000000009")]}})
    assert reasons([queued(1, serial=True)], busy) == ["run 000000000009 of this deployment has not finished"]


def test_a_hold_stops_only_first_attempts_of_scheduled_runs() -> None:
    load = Load(held={"a": "looking into it"})
    assert reasons([queued(1), queued(2, trigger=Trigger.MANUAL), queued(3, attempt=2), queued(4, "b")], load) == [
        "held: looking into it",
        None,
        None,
        None,
    ]


def test_a_run_that_waits_for_a_time_names_it() -> None:
    later = NOW + timedelta(minutes=5)
    waiting = [queued(1, not_before=later), queued(2, not_before=later, state=RunState.RETRYING, attempt=1, attempts=4)]
    assert reasons(waiting, Load()) == [
        "starts at 2026-06-01 12:05:00 UTC",
        "attempt 2 of 4 starts at 2026-06-01 12:05:00 UTC",
    ]


def redo(number: int) -> QueuedRun:
    return queued(number, trigger=Trigger.RETRY, scheduled_for=NOW, serial=True)


def test_a_redo_run_comes_after_the_other_runs_of_its_deployment() -> None:
    assert numbers(sort_queue([redo(1), redo(2), queued(3), queued(4, "b")], {})) == [3, 4, 1, 2]


def test_a_redo_run_waits_for_a_run_that_could_start_were_it_not_for_another_run() -> None:
    load = Load(limits={"etl": 1}, running={"etl": 1})
    assert reasons([redo(1), queued(2, queue="etl", serial=True)], load) == [
        "queue etl is full (1 of 1)",
        "run 000000000002 of this deployment goes first",
    ]
    held = Load(held={"a": "looking into it"})
    assert reasons([redo(1), queued(2, serial=True)], held)[1] is None
    assert reasons([redo(1), queued(2, serial=True, not_before=NOW + timedelta(minutes=5))], Load())[1] is None


def test_as_many_runs_of_a_deployment_start_as_its_limit_allows() -> None:
    waiting = [queued(number, serial=True, overlap_limit=2) for number in range(1, 5)]
    text = "2 runs of this deployment have not finished (limit 2)"
    assert reasons(waiting, Load()) == [None, None, text, text]
    busy = Load(busy={"a": {None: [RunId("run-000000000009")]}})
    assert reasons(waiting[:2], busy) == [None, text]


def test_a_redo_run_counts_for_the_limit_and_comes_after_the_other_runs() -> None:
    waiting = [replace(redo(1), overlap_limit=2), *(queued(number, serial=True, overlap_limit=2) for number in (2, 3))]
    starting = [run.id for run, reason in schedule_queue(waiting, Load(), NOW) if reason is None]
    assert starting == [waiting[1].id, waiting[2].id]
    busy = Load(busy={"a": {None: [RunId("run-000000000008")]}})
    assert reasons([waiting[0]], busy) == [None]


def backfilled(number: int, parallel: int) -> QueuedRun:
    run = queued(number, serial=True, overlap_limit=3, parallel=parallel)
    return replace(run, backfill_id="b", trigger=Trigger.BACKFILL, scheduled_for=NOW)


def starting(waiting: list[QueuedRun], busy: dict[str | None, list[RunId]]) -> int:
    load = Load(busy={"a": busy}, running={"b": len(busy.get("b", ()))})
    return sum(reason is None for _, reason in schedule_queue(waiting, load, NOW))


def test_runs_of_a_backfill_count_for_the_limit_unless_more_of_them_run_in_parallel() -> None:
    others = [RunId(f"run-00000000090{number}") for number in range(3)]
    for count, parallel, expected in [(0, 2, 2), (1, 2, 2), (2, 2, 1), (3, 2, 0), (0, 5, 5), (1, 5, 4), (3, 5, 0)]:
        waiting = [backfilled(number, parallel) for number in range(1, 8)]
        assert starting(waiting, {None: others[:count]}) == expected


@st.composite
def loads(draw: st.DrawFn) -> tuple[list[QueuedRun], Load]:
    """Waiting runs of two deployments, and runs of the same in progress, as the store would give them."""
    limits = {"a": draw(st.integers(1, 4)), "b": draw(st.integers(1, 4))}
    parallel = draw(st.integers(1, 4))
    kinds: list[dict[str, Any]] = [
        {},
        {"trigger": Trigger.RETRY, "scheduled_for": NOW},
        {"trigger": Trigger.BACKFILL, "scheduled_for": NOW, "backfill_id": "x", "parallel": parallel},
    ]
    names = st.sampled_from(["a", "b"])
    drawn = draw(st.lists(st.tuples(names, st.sampled_from(kinds)), max_size=12))
    waiting = [
        replace(queued(number, name, serial=True, overlap_limit=limits[name]), **kind)
        for number, (name, kind) in enumerate(drawn)
        if name == "a" or "backfill_id" not in kind
    ]
    busy: dict[str, dict[str | None, list[RunId]]] = {}
    for number, name in enumerate(draw(st.lists(names, max_size=5))):
        busy.setdefault(name, {}).setdefault(None, []).append(RunId(f"run-{900 + number:012}"))
    return waiting, Load(busy=busy)


@given(loads())
def test_a_model_of_the_limit_decides_the_same(given_load: tuple[list[QueuedRun], Load]) -> None:
    waiting, load = given_load
    started: dict[str, list[QueuedRun]] = {"a": [], "b": []}
    refused_live: set[str] = set()
    for run, reason in schedule_queue(waiting, load, NOW):
        others = sum(map(len, load.busy.get(run.deployment, {}).values()))
        own = sum(each.backfill_id == run.backfill_id is not None for each in started[run.deployment])
        others += len(started[run.deployment]) - own
        is_full = others >= run.overlap_limit or others + own >= max(run.overlap_limit, run.parallel)
        is_behind_live = run.is_redo and run.deployment in refused_live
        has_no_place = run.backfill_id is not None and own >= run.parallel
        assert (reason is not None) == (is_full or is_behind_live or has_no_place)
        if reason is None:
            started[run.deployment].append(run)
        elif not run.is_redo:
            refused_live.add(run.deployment)
            assert others >= run.overlap_limit, "a live run waits only for a full deployment"
