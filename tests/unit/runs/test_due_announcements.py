"""Many deployments that are due at once are decided in batches, and the first runs start before the last is decided."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import literal, select

from controller.errors import StateError
from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.build import build_deployment
from controller.model.runs import RunState
from controller.runs import engine as engine_module
from controller.runs.due_announcements import FIRST, LARGEST, SMALLEST, DueAnnouncements
from controller.store import run_statistics
from controller.store.prepared import Prepared
from tests.conftest import PATIENCE_SECONDS, wait_until
from tests.unit.runs.conftest import World, one_start


def announced(names: Sequence[str], **priorities: int) -> DueAnnouncements:
    deployments = ActiveDeployments()
    documents = [{"name": name, "command": ["true"], "priority": at} for name, at in priorities.items()]
    deployments.add(build_deployment(document, "a.yaml", 1) for document in documents)
    announcements = DueAnnouncements(deployments)
    for name in names:
        announcements.add(name)
    return announcements


def take_all(announcements: DueAnnouncements, free: int) -> list[list[str]]:
    batches = []
    while announcements:
        batches.append(announcements.take(free))
    return batches


@pytest.mark.parametrize(("free", "second"), [(0, SMALLEST), (3, SMALLEST), (50, 50)])
def test_the_second_batch_fills_the_free_slots_and_the_next_ones_are_larger(free: int, second: int) -> None:
    names = [f"d{number:04}" for number in range(1000)]
    batches = take_all(announced(names), free)
    assert [name for batch in batches for name in batch] == names
    sizes = [len(batch) for batch in batches]
    assert sizes[:3] == [FIRST, second, min(LARGEST, 2 * second)]
    assert max(sizes) == LARGEST
    assert len(sizes) < 13


def test_after_all_were_taken_the_next_batch_is_small_again() -> None:
    announcements = announced([f"d{number}" for number in range(20)])
    assert [len(batch) for batch in take_all(announcements, 0)] == [FIRST, SMALLEST, 20 - FIRST - SMALLEST]
    for number in range(20):
        announcements.add(f"d{number}")
    assert len(announcements.take(0)) == FIRST


def test_higher_priorities_come_first_and_a_name_comes_once() -> None:
    announcements = announced(["low", "high", "unknown", "low", "middle"], low=-1, high=5, middle=0)
    assert take_all(announcements, 0) == [["unknown", "high"], ["middle", "low"]]
    assert not announcements
    assert announcements.take(0) == []


def test_names_that_were_put_back_come_first() -> None:
    announcements = announced([f"d{number}" for number in range(20)])
    batch = announcements.take(0)
    announcements.put_back(batch)
    assert announcements.take(0) == batch
    assert len(announcements.take(0)) == SMALLEST


@one_start
def test_the_first_runs_start_before_the_last_due_time_is_decided(world: World) -> None:
    names = [f"d{number:02}" for number in range(40)]
    schedule = "schedules: [{cron: '0 * * * *'}]"
    world.declare(many="---\n".join(f"name: {name}\ncommand: ['true']\n{schedule}\n" for name in names))
    world.clock.turn(timedelta(hours=1))
    engine = world.start(max_running=4)
    seen: list[tuple[int, int]] = []

    def record() -> None:
        with world.store.read() as tx:
            counts = run_statistics.by_state(tx)
        seen.append((sum(counts.values()), sum(counts.values()) - counts.get(RunState.PENDING, 0)))

    with world.store.on_commit(record):
        for name in names:
            engine._announcements.add(name)
        engine.wake()
        wait_until(lambda: len(world.all_runs()) == 40 and all(run.state.is_terminal for run in world.all_runs()))
    assert {run.state for run in world.all_runs()} == {RunState.SUCCEEDED}
    assert next(created for created, claimed in seen if claimed) < 40


@one_start
def test_attempts_that_start_do_not_wait_for_further_due_times(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "DECISION_SECONDS", PATIENCE_SECONDS)
    names = [f"d{number:02}" for number in range(40)]
    schedule = "schedules: [{cron: '0 * * * *'}]"
    world.declare(many="---\n".join(f"name: {name}\ncommand: ['true']\n{schedule}\n" for name in names))
    world.clock.turn(timedelta(hours=1))
    engine = world.start(max_running=4)
    seen: list[int] = []

    def record() -> None:
        with world.store.read() as tx:
            counts = run_statistics.by_state(tx)
        if counts.get(RunState.RUNNING):
            seen.append(sum(counts.values()))

    with world.store.on_commit(record):
        for name in names:
            engine._announcements.add(name)
        engine.wake()
        wait_until(lambda: len(world.all_runs()) == 40 and all(run.state.is_terminal for run in world.all_runs()))
    assert seen[0] == FIRST


def test_statements_are_compiled_before_a_deployment_is_due(world: World) -> None:
    statement = Prepared(select(literal(1)))
    world.start().prepare_code()
    wait_until(lambda: bool(statement._compiled))
    Prepared._all.remove(statement)


def test_a_batch_that_cannot_be_decided_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.declare(a="name: a\ncommand: ['true']\nschedules: [{cron: '0 * * * *'}]\n")
    world.clock.turn(timedelta(hours=1))
    engine = world.start()
    process_due, failures = engine._admission.process_due, [StateError("locked")]

    def fail_once(*arguments: object) -> object:
        if failures:
            raise failures.pop()
        return process_due(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(engine._admission, "process_due", fail_once)
    engine.notify_due("a")
    wait_until(lambda: len(world.all_runs()) == 1)
    world.wait(world.all_runs()[0])
    assert failures == []
