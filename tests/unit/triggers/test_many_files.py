"""Thousands of files become a queue of runs in few transactions, and later scans read and write nothing."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import event as sqlalchemy_event

from controller.store import Store, seen_files
from controller.triggers import folder_watch, settling_files
from controller.triggers.file_runs import BATCH
from tests.unit.triggers.conftest import LOAD, World


@pytest.fixture
def statements(store: Store) -> Iterator[list[str]]:
    """The statements of all connections, as they are executed."""
    executed: list[str] = []

    def record(*arguments: object) -> None:
        executed.append(str(arguments[2]))

    for engine in (store._reader, store._writer):
        sqlalchemy_event.listen(engine, "before_cursor_execute", record)
    yield executed
    for engine in (store._reader, store._writer):
        sqlalchemy_event.remove(engine, "before_cursor_execute", record)


def test_thousands_of_files_take_a_transaction_for_each_batch(
    world: World, statements: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling_files, "MAX_FILES", 2_000)
    for number in range(5_000):
        (world.inbox / f"{number:04}.csv").touch()
    world.declare(LOAD)
    statements.clear()
    world.pass_time(40)
    files = world.files()
    assert len(files) == len(set(files)) == 5_000
    batches = 5_000 // BATCH
    assert world.wakes == batches
    writes = [each for each in statements if each.split()[0] in ("INSERT", "UPDATE", "DELETE")]
    assert len(writes) == 3 * batches  # runs, files and an event
    assert len(statements) < 20 * batches
    assert len([event for event in world.events() if event.reason == "FilesArrived"]) == batches
    statements.clear()
    world.clock.turn(timedelta(seconds=60))
    world.watcher._next_refresh = world.clock.monotonic() + 1000
    world.watcher.turn()
    assert statements == []


def test_the_number_of_settling_files_is_bounded_and_no_file_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling_files, "MAX_FILES", 10)
    monkeypatch.setattr(seen_files, "MAX_PATHS", 3)
    for number in range(35):
        world.write(f"{number}.csv", age=86400 if number % 2 else 0)
    world.declare(LOAD)
    world.pass_time(1)
    [watch] = world.watcher._watches.values()
    assert len(watch._settling) <= 10
    world.pass_time(120)
    assert len(world.files()) == len(set(world.files())) == 35
    assert {event.reason for event in world.events()} == {"FilesArrived"}


def test_files_beyond_the_memory_are_looked_up_in_the_state(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watch, "MAX_KNOWN", 3)
    for number in range(10):
        world.write(f"{number}.csv")
    world.declare(LOAD)
    world.pass_time(120)
    assert len(world.files()) == 10
