"""The waiting runs in memory start in the order of the queue, and none that could start is left waiting."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.model.queues import EVERYTHING, Load, QueuedRun, schedule_queue
from controller.model.runs import RunId, Trigger
from controller.runs.waiting_runs import Turns, WaitingRuns
from tests.conftest import NOW
from tests.unit.model.test_queues import numbers, queued


def redo(number: int, deployment: str = "a", **more: Any) -> QueuedRun:
    return queued(number, deployment, trigger=Trigger.RETRY, scheduled_for=NOW, serial=True, **more)


def line(waiting: list[QueuedRun], load: Load | None = None, turns: Turns | None = None) -> WaitingRuns:
    return WaitingRuns(waiting, load or Load(), NOW, turns or Turns())


def test_deployments_take_turns_and_a_higher_priority_comes_first() -> None:
    waiting = [queued(number, name) for number, name in enumerate("aaaabbc")]
    waiting.append(queued(9, "d", priority=5))
    made = line(waiting)
    assert [run.deployment for run in made.take(3)] == ["d", "a", "b"]
    assert "".join(run.deployment for run in made.take(99)) == "cabaa"
    assert not made.has_candidates


def test_turns_are_kept_when_the_queue_is_read_again() -> None:
    turns = Turns()
    assert numbers(line([queued(1, "a"), queued(2, "b")], turns=turns).take(1)) == [1]
    assert numbers(line([queued(2, "b"), queued(3, "a")], turns=turns).take(1)) == [2]


def test_a_run_that_is_given_back_keeps_its_place_and_frees_its_slot() -> None:
    made = line([queued(1, "a"), queued(2, "b")], Load(limits={EVERYTHING: 1}))
    [taken] = made.take(9)
    assert made.take(9) == []
    made.give_back(taken.id)
    assert (made.running, numbers(made.take(9))) == (0, [1])
    made.give_back(RunId("run-000000000099"))
    assert made.running == 1


def test_the_end_of_a_run_lets_the_next_one_of_its_deployment_start() -> None:
    made = line([queued(1, serial=True), queued(2, serial=True), queued(3, "b")])
    [first, other] = made.take(9)
    assert numbers([first, other]) == [1, 3]
    assert made.end(first)
    assert numbers(made.take(9)) == [2]
    assert not made.end(first)


def test_a_full_queue_delays_no_other_queue() -> None:
    waiting = [queued(number, f"d{number}", queue="etl") for number in range(5)] + [queued(9, "z")]
    made = line(waiting, Load(limits={"etl": 2}))
    taken = made.take(9)
    assert numbers(taken) == [0, 1, 9]
    assert made.end(taken[0])
    assert numbers(made.take(9)) == [2]


def test_runs_that_wait_for_something_else_are_left_out_but_not_what_follows() -> None:
    made = line([queued(1, serial=True), queued(2, serial=True)])
    assert numbers(made.take(9, except_for={RunId("run-000000000001")})) == [2]


def test_a_run_whose_code_is_being_exported_holds_back_only_later_runs_of_its_deployment() -> None:
    waiting = [queued(1, revision="new"), queued(2, "b", revision="new"), queued(3, "c"), queued(4)]
    made = line(waiting)
    assert numbers(made.take(9, exporting={"new"})) == [3]
    assert not made.has_candidates
    assert numbers(line(waiting).take(9)) == [1, 2, 3, 4]


def test_a_redo_run_starts_once_the_run_before_it_has_started_if_the_limit_allows_it() -> None:
    made = line([redo(1, overlap_limit=2), queued(2, serial=True, overlap_limit=2)])
    assert numbers(made.take(9)) == [2, 1]


def test_how_many_runs_are_examined_for_one_start_does_not_depend_on_how_many_wait() -> None:
    for count in (200, 2000):
        names = [f"busy{number}" for number in range(count)]
        load = Load(limits={EVERYTHING: 1, "full": 0}, busy={name: {None: [RunId("x")]} for name in names})
        waiting = [queued(number, f"d{number}", priority=-1) for number in range(count)]
        waiting += [queued(count + number, name, serial=True) for number, name in enumerate(names)]
        waiting += [queued(2 * count + number, f"e{number}", queue="full") for number in range(count)]
        made = line(waiting, load)
        [first] = made.take(9)
        made.end(first)
        assert made.examined == count + 1  # the blocked ones, once
        for _ in range(50):
            [taken] = made.take(9)
            made.end(taken)
        assert made.examined == count + 51


KINDS: list[dict[str, Any]] = [
    {},
    {"serial": True},
    {"serial": True, "overlap_limit": 2},
    {"trigger": Trigger.MANUAL},
    {"trigger": Trigger.RETRY, "scheduled_for": NOW, "serial": True},
    {"trigger": Trigger.BACKFILL, "scheduled_for": NOW, "backfill_id": "x", "parallel": 2, "serial": True},
    {"trigger": Trigger.BACKFILL, "scheduled_for": NOW, "backfill_id": "y", "is_paused": True, "serial": True},
    {"queue": "etl"},
    {"priority": 3, "serial": True},
]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[QueuedRun], Load, list[tuple[int, int]]]:
    """Waiting runs, the load, and steps: how many runs are taken, and which of those in progress then ends."""
    names = st.sampled_from("abc")
    drawn = draw(st.lists(st.tuples(names, st.sampled_from(KINDS)), max_size=14))
    waiting = [queued(number, name, **kind) for number, (name, kind) in enumerate(drawn)]
    limits = {EVERYTHING: draw(st.integers(1, 5)), "etl": draw(st.integers(0, 2))}
    held = {"c": "no"} if draw(st.booleans()) else {}
    steps = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), max_size=12))
    return waiting, Load(limits=limits, held=held), steps


def startable(waiting: list[QueuedRun], started: list[QueuedRun], load: Load) -> list[RunId]:
    """Return the runs that the reference would let start now, if each were the first to be asked."""
    running: dict[str, int] = {}
    busy: dict[str, dict[str | None, list[RunId]]] = {}
    for run in started:
        for place in (run.queue, EVERYTHING, *([run.backfill_id] if run.backfill_id else [])):
            running[place] = running.get(place, 0) + 1
        busy.setdefault(run.deployment, {}).setdefault(run.backfill_id, []).append(run.id)
    now = replace(load, running=running, busy=busy)
    return [run.id for run, reason in schedule_queue(waiting, now, NOW) if reason is None]


@given(histories())
def test_what_starts_is_what_the_reference_lets_start(
    history: tuple[list[QueuedRun], Load, list[tuple[int, int]]],
) -> None:
    waiting, load, steps = history
    made, started = line(waiting, load), list[QueuedRun]()
    for most, ending in steps:
        for _ in range(most):
            allowed = startable(waiting, started, load)
            taken = made.take(1)
            assert bool(taken) == bool(allowed)
            for run in taken:
                waiting.remove(run)
                others = [other for other in waiting if other.id in allowed and other.deployment == run.deployment]
                assert all(other.priority <= run.priority for other in others)
                started.append(run)
        if ending < len(started):
            assert made.end(started.pop(ending))
    assert made.running == len(started)
