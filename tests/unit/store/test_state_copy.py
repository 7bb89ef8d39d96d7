"""Copies of a state to the other kind of database have every row of every table, and new rows get new numbers."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Column, Float, LargeBinary, Numeric, String, insert, select

from controller.errors import AlreadyRunningError, DeposedError, NoStateError, StateError
from controller.model.status import Event, EventSeverity
from controller.state_url import StateUrl
from controller.store import Store, events
from controller.store.database import Place
from controller.store.databases.postgresql import connect
from controller.store.leadership_tables import attempt_reports, hosts, leadership, leases
from controller.store.schema import Instant, metadata, run_counts
from controller.store.state_copy import copy_state
from tests.conftest import NOW, wait_until
from tests.postgresql import Server

NOT_COPIED = (run_counts, leadership, leases, hosts, attempt_reports)
TABLES = [table for table in metadata.sorted_tables if table not in NOT_COPIED]


def value(column: Column[Any], *, is_full: bool) -> Any:
    """Return a value of the type of the column; `None` where it may be, unless `is_full`."""
    if column.nullable and not is_full:
        return None
    key = "full" if is_full else "sparse"
    values: list[tuple[type[Any], Any]] = [
        (Instant, NOW.replace(microsecond=123456)),
        (JSON, {"list": ["grüße", 1.5, None, "\0"]}),
        (Boolean, True),
        (LargeBinary, b"\xff\0"),
        (String, key),
        (Float, 1.25),
        (Numeric, 1.25),
    ]
    return next((each for kind, each in values if isinstance(column.type, kind)), 7 if is_full else 8)


def fill(store: Store) -> None:
    with store.write() as tx:
        for table in TABLES:
            for is_full in (True, False):
                row = {column.name: value(column, is_full=is_full) for column in table.columns}
                tx.connection.execute(insert(table).values(row))


def content(place: Place) -> dict[str, list[tuple[Any, ...]]]:
    store = Store.open_read_only(place)
    with store.read() as tx:
        found = {
            table.name: sorted((tuple(row) for row in tx.connection.execute(select(table))), key=repr)
            for table in (*TABLES, run_counts)
        }
    store.close()
    return found


def test_a_state_is_the_same_after_a_copy_to_a_server_and_back(
    sqlite_store: Store, postgresql_url: StateUrl, tmp_path: Path
) -> None:
    fill(sqlite_store)
    sqlite_store.close()
    before = content(sqlite_store.place)
    assert {len(rows) for name, rows in before.items() if name != "run_counts"} == {2}
    counts = copy_state(sqlite_store.place, postgresql_url)
    assert set(counts.values()) == {2}
    assert set(counts) == {table.name for table in TABLES}
    assert content(postgresql_url) == before
    copy_state(postgresql_url, tmp_path / "back.db")
    assert content(tmp_path / "back.db") == before


def test_new_rows_of_a_copy_get_new_numbers(sqlite_store: Store, postgresql_url: StateUrl) -> None:
    fill(sqlite_store)
    copy_state(sqlite_store.place, postgresql_url)
    store = Store.open(postgresql_url)
    event = Event(time=NOW, severity=EventSeverity.INFO, reason="A", message="new", about="source")
    with store.write() as tx:
        events.append(tx, [event])
        numbers = tx.connection.execute(select(metadata.tables["events"].c.id)).scalars().all()
    assert sorted(numbers) == [7, 8, 9]
    store.close()


def test_a_copy_to_empty_tables_is_the_same_as_one_to_an_empty_database(
    sqlite_store: Store, postgresql_server: Server, tmp_path: Path
) -> None:
    fill(sqlite_store)
    sqlite_store.close()
    before = content(sqlite_store.place)
    places: list[Place] = [postgresql_server.create_database("empty_tables"), tmp_path / "file.db"]
    for place in places:
        Store.open(place).close()
        copy_state(sqlite_store.place, place)
        assert content(place) == before


def test_all_tables_are_copied_whatever_was_imported_before(sqlite_store: Store, tmp_path: Path) -> None:
    fill(sqlite_store)
    sqlite_store.close()
    Store.open(tmp_path / "new.db").close()
    program = "import sys; from pathlib import Path; from controller.store.state_copy import copy_state as copy"
    program += "; print(len(copy(*map(Path, sys.argv[1:]))))"
    arguments = [str(sqlite_store.place), str(tmp_path / "new.db")]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(TABLES)


def test_a_state_in_use_is_not_copied(postgresql_url: StateUrl, tmp_path: Path) -> None:
    leader = Store.open(postgresql_url)
    file = tmp_path / "state.db"
    with pytest.raises(AlreadyRunningError):
        copy_state(postgresql_url, file)
    assert not file.exists()
    Store.open(file).close()
    with pytest.raises(AlreadyRunningError):
        copy_state(file, postgresql_url)
    leader.close()
    copy_state(postgresql_url, file)


def test_a_leader_that_was_stopped_during_a_copy_writes_nothing_after_it(
    postgresql_url: StateUrl, tmp_path: Path
) -> None:
    stopped = Store.open(postgresql_url)
    with connect(postgresql_url) as connection:
        connection.execute("UPDATE leases SET renewed_at = renewed_at - interval '7 seconds'")
    wait_until(lambda: is_copied(postgresql_url, tmp_path / "new.db"))
    for _ in range(3):
        with pytest.raises(StateError) as raised, stopped.write():
            pass
    assert isinstance(raised.value, DeposedError)
    stopped.close()


def is_copied(source: Place, target: Path) -> bool:
    try:
        copy_state(source, target)
    except AlreadyRunningError:
        return False
    return True


def test_a_state_is_not_overwritten(sqlite_store: Store, postgresql_url: StateUrl, tmp_path: Path) -> None:
    fill(sqlite_store)
    copy_state(sqlite_store.place, postgresql_url)
    with pytest.raises(StateError, match="There is a state at"):
        copy_state(sqlite_store.place, postgresql_url)
    with pytest.raises(NoStateError):
        copy_state(tmp_path / "missing.db", postgresql_url)
