"""Which records and logs are deleted, and which are always kept."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from controller.model.runs import Occurrence, Outcome, Run, RunId, RunState
from controller.model.status import Event, EventSeverity
from controller.runs import retention
from controller.runs.retention import DAYS, LEDGER_DAYS, Sweeper
from controller.store import events, occurrences, runs
from tests.conftest import NOW, ManualClock
from tests.unit.runs.conftest import World

DAY = timedelta(days=1)
KEEP_2 = "name: a\ncommand: ['true']\nretention: {runs: 2}\n"


@pytest.fixture
def start() -> str:
    """No test of this module starts a supervisor, so one way to start them is enough."""
    return "cold"


def ended(world: World, name: str = "a", state: RunState = RunState.SUCCEEDED) -> Run:
    """A run that ended now, with a directory."""
    with world.store.write() as tx:
        run = world.admission.create_run(tx, name, {})
        finished = world.clock.now() if state.is_terminal else None
        runs.move(tx, run.id, expect=RunState.PENDING, to=state, finished_at=finished)
    (world.runs_directory / run.id / "1-aa").mkdir(parents=True)
    return run


def sweeper(world: World) -> Sweeper:
    """One that trusts the clock."""
    made = Sweeper(world.store, world.clock, world.admission, world.runs_directory)
    world.clock.turn(retention.TRUST)
    return made


def kept(world: World) -> list[str]:
    assert sorted(path.name for path in world.runs_directory.iterdir()) == sorted(run.id for run in world.all_runs())
    return [run.id for run in world.all_runs()]


def test_a_deployment_keeps_its_declared_number_of_runs_and_logs(world: World) -> None:
    world.declare(a=KEEP_2, b="name: b\ncommand: ['true']\n")
    mine = [ended(world) for _ in range(5)]
    other = [ended(world, "b") for _ in range(3)]
    sweeper(world).sweep()
    assert kept(world) == [run.id for run in (*mine[3:], *other)]


def test_runs_past_the_maximum_age_are_deleted_except_the_newest(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\nretention: {days: 3}\n", b="name: b\ncommand: ['true']\n")
    mine = [ended(world) for _ in range(3)]
    other = ended(world, "b")
    cleaner = sweeper(world)
    world.clock.turn(4 * DAY)
    cleaner.sweep()
    assert kept(world) == [mine[2].id, other.id]


def test_a_sweep_with_nothing_to_delete_writes_nothing(world: World) -> None:
    world.declare(a=KEEP_2)
    [ended(world) for _ in range(2)]
    cleaner = sweeper(world)
    before = world.store.writes.count
    for _ in range(5):
        cleaner.sweep()
    assert world.store.writes.count == before
    ended(world)
    cleaner.sweep()
    assert len(kept(world)) == 2
    assert world.store.writes.count == before + 2


def test_skipped_runs_do_not_displace_others(world: World) -> None:
    world.declare(a=KEEP_2)
    states = 3 * [RunState.FAILED] + 4 * [RunState.SKIPPED]
    [_, *failed, _, _, skipped, last] = [ended(world, state=state) for state in states]
    sweeper(world).sweep()
    assert kept(world) == [run.id for run in (*failed, skipped, last)]
    newer = [ended(world) for _ in range(3)]
    sweeper(world).sweep()
    assert kept(world) == [run.id for run in (skipped, last, *newer[1:])]


def test_the_newest_run_that_was_not_skipped_stays(world: World) -> None:
    world.declare(a="name: a\ncommand: ['true']\nretention: {days: 3}\n")
    [_, failed, _, skipped] = [ended(world, state=state) for state in 2 * [RunState.FAILED] + 2 * [RunState.SKIPPED]]
    cleaner = sweeper(world)
    world.clock.turn(4 * DAY)
    cleaner.sweep()
    assert kept(world) == [run.id for run in (failed, skipped)]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("table", ["runs", "backfills", "occurrences"])
def test_sweeps_use_an_index(world: World, table: str, count: int) -> None:
    """A sweep that only reads, and one that deletes a run too."""
    world.declare(a=KEEP_2)
    [ended(world) for _ in range(count)]
    cleaner = sweeper(world)
    statements: list[tuple[str, Any]] = []
    engines = [world.store._reader, world.store._writer]

    def record(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        if f"FROM {table}" in statement:
            statements.append((statement, parameters))

    for engine in engines:
        event.listen(engine, "before_cursor_execute", record)
    cleaner.sweep()
    for engine in engines:
        event.remove(engine, "before_cursor_execute", record)
    assert statements
    with world.store.write() as tx:
        for statement, parameters in statements:
            plan = tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            steps = [row[3] for row in plan if row[3].startswith(("SCAN", "SEARCH", "USE"))]
            assert all(step.startswith("SEARCH") or "COVERING INDEX" in step for step in steps), (statement, steps)


@pytest.mark.parametrize("state", [RunState.PENDING, RunState.LAUNCHING, RunState.RUNNING, RunState.RETRYING])
def test_an_unfinished_run_is_never_deleted(world: World, state: RunState) -> None:
    world.declare(a="name: a\ncommand: ['true']\nretention: {runs: 1, days: 1}\n")
    live = [ended(world, state=state) for _ in range(3)]
    last = [ended(world) for _ in range(2)][-1]
    cleaner = sweeper(world)
    world.clock.turn(1000 * DAY)
    cleaner.sweep()
    assert kept(world) == [run.id for run in (*live, last)]


def test_the_due_time_of_a_deleted_run_is_kept_longer(world: World) -> None:
    world.declare(a=KEEP_2)
    rows = [
        Occurrence(deployment="a", scheduled_for=NOW, schedule="x", outcome=Outcome.RUN, run_id=RunId("gone")),
        Occurrence(deployment="a", scheduled_for=NOW + DAY, schedule="x", outcome=Outcome.SKIPPED, reason="overlap"),
    ]
    with world.store.write() as tx:
        occurrences.append(tx, rows)
    cleaner = sweeper(world)

    def left() -> int:
        cleaner.sweep()
        with world.store.read() as tx:
            return len(occurrences.find_newest(tx, "a", 9))

    assert left() == 2
    world.clock.turn((DAYS + 2) * DAY)
    assert left() == 1
    world.clock.turn((LEDGER_DAYS - DAYS) * DAY)
    assert left() == 0


def test_sweeps_are_bounded_and_eventually_delete_everything(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS_PER_TICK", 3)
    monkeypatch.setattr(retention, "DEPLOYMENTS_PER_TICK", 2)
    names = [f"d{number}" for number in range(5)]
    world.declare(all="---\n".join(f"name: {name}\ncommand: ['true']\nretention: {{runs: 1}}\n" for name in names))
    for name in names:
        for _ in range(4):
            ended(world, name)
    cleaner = sweeper(world)
    before = len(kept(world))
    while True:
        for _ in range(3):  # once round
            cleaner.sweep()
            assert before - len(kept(world)) <= 3
            before = len(kept(world))
        if before == 5:
            break


class SlowClock(ManualClock):
    """Time passes with each reading of it, as if each step before that took a fifth of a second."""

    def elapsed(self) -> float:
        self._elapsed += 0.2
        return super().elapsed()


def test_slow_removal_of_directories_is_spread_over_the_ticks(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "ROWS_PER_TICK", 5)
    world.declare(a="name: a\ncommand: ['true']\nretention: {runs: 1}\n")
    made = [ended(world) for _ in range(13)]
    clock = SlowClock(world.clock.now())
    cleaner = Sweeper(world.store, clock, world.admission, world.runs_directory)
    clock.turn(retention.TRUST)
    left: list[tuple[int, int]] = []
    while not left or left[-1] != (1, 1):
        cleaner.sweep()
        left.append((len(world.all_runs()), len(list(world.runs_directory.iterdir()))))
    assert left == [(8, 11), (6, 9), (4, 7), (2, 5), (1, 3), (1, 1)]
    assert kept(world) == [made[-1].id]


def test_after_a_clock_jump_nothing_is_deleted_by_age(world: World) -> None:
    world.declare(a=KEEP_2)
    for _ in range(2):
        ended(world)
    cleaner = sweeper(world)
    world.clock.step(3650 * DAY)
    cleaner.sweep()
    assert len(kept(world)) == 2
    world.clock.step(-3650 * DAY)
    cleaner.sweep()
    world.clock.turn(retention.TRUST)
    cleaner.sweep()
    assert len(kept(world)) == 2


def test_a_directory_without_a_run_is_deleted_and_no_name_leads_outside(world: World, tmp_path: Path) -> None:
    world.declare(a=KEEP_2)
    orphan = ended(world)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    last = ended(world)
    with world.store.write() as tx:
        tx.connection.exec_driver_sql(f"UPDATE runs SET id = '../../elsewhere' WHERE id = '{orphan.id}'")
        tx.connection.exec_driver_sql("UPDATE runs SET finished_at = '2000-01-01 00:00:00.000000' WHERE id LIKE '..%'")
    (world.runs_directory / "lost+found").mkdir()
    sweeper(world).sweep()
    assert {path.name for path in world.runs_directory.iterdir()} == {last.id, "lost+found"}
    assert elsewhere.is_dir()
    (world.runs_directory / "lost+found").rmdir()


def test_events_are_deleted_by_age_and_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "EVENTS", 3)
    with world.store.write() as tx:
        for number in range(6):
            event = Event(
                time=NOW + number * DAY, severity=EventSeverity.INFO, reason="X", message=str(number), about="source"
            )
            events.append(tx, [event])
    cleaner = sweeper(world)
    cleaner.sweep()
    assert [event.message for event in world.events()] == ["3", "4", "5"]
    world.clock.turn((DAYS + 3) * DAY)
    cleaner.sweep()
    assert [event.message for event in world.events()] == ["4", "5"]
    world.clock.turn(9 * DAY)
    cleaner.sweep()
    assert [event.message for event in world.events()] == ["5"], "the number of the newest event would be used again"
