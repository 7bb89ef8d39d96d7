"""How the state database is opened: schema, durability, permissions, and what is said about a damaged file."""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import text

from controller.errors import StateError
from controller.model.status import Event, EventSeverity
from controller.store import Store, database, events, runs
from controller.store.run_search import RunFilter, select_all
from controller.store.schema import metadata
from tests.conftest import NOW

Opener = Callable[[Path], Store]
EVENT = Event(time=NOW, severity=EventSeverity.INFO, reason="Applied", message="done", about="source")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def umask(value: int) -> Iterator[None]:
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def test_the_migrations_make_exactly_the_declared_tables(store: Store) -> None:
    with store.read() as tx:
        context = MigrationContext.configure(tx.connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_head_of_the_migrations_is_the_one_the_code_names(store: Store) -> None:
    with store.read() as tx:
        assert tx.connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == database.SCHEMA_HEAD


def test_a_database_of_the_first_schema_keeps_its_runs_and_attempts(tmp_path: Path) -> None:
    engine = database.writer(tmp_path / "old.db")
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            'INSERT INTO runs (id, project, deployment, state, "trigger", created_at, attempt, attempts, revision,'
            " file, spec_digest, tags, parameters) VALUES ('r', 'default', 'a', 'pending', 'manual',"
            " '2026-06-01 12:00:00.000000', 1, 1, 'x', 'a.yaml', 'sha256:1', '[]', '{}')"
        )
        connection.exec_driver_sql(
            "INSERT INTO attempts (run_id, number, nonce, boot_id, state) VALUES ('r', 1, 'n', 'b', 'launching')"
        )
    engine.dispose()
    store = Store.open(tmp_path / "old.db")
    with store.read() as tx:
        [found] = select_all(tx, RunFilter())
        assert (found.queue, found.priority, found.serial, found.retries) == ("default", 0, False, None)
        assert (found.id, found.not_before, found.created_at) == ("r", None, NOW)
        assert [attempt.nonce for attempt in runs.attempts_of(tx, "r")] == ["n"]
        assert compare_metadata(MigrationContext.configure(tx.connection), metadata) == []
    store.close()


def test_a_commit_is_on_disk_before_it_is_believed(store: Store) -> None:
    with store.write() as tx:
        pragmas = {
            name: tx.connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_second_open_keeps_what_is_there(tmp_path: Path, store: Store) -> None:
    with store.write() as tx:
        events.append(tx, [EVENT])
    store.close()
    again = Store.open(tmp_path / "state.db")
    with again.read() as tx:
        assert events.latest(tx, 10) == [EVENT]
    again.close()


def test_two_stores_of_one_file_see_each_other(tmp_path: Path, store: Store) -> None:
    other = Store.open_read_only(tmp_path / "state.db")
    with store.write() as tx:
        events.append(tx, [EVENT])
    with other.read() as tx:
        assert events.latest(tx, 10) == [EVENT]
    other.close()


def test_projects_do_not_see_each_other(tmp_path: Path, store: Store) -> None:
    other = Store.open(tmp_path / "state.db", project="other")
    with store.write() as tx:
        events.append(tx, [EVENT])
    with other.read() as tx:
        assert events.latest(tx, 10) == []
    other.close()


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    def append_and_fail() -> None:
        with store.write() as tx:
            events.append(tx, [EVENT])
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        append_and_fail()
    with store.read() as tx:
        assert events.latest(tx, 10) == []


@pytest.mark.parametrize("path", ["plain", "with space", "50%41?mode=rw#x", "grüße", "a&b=c;d"])
def test_any_directory_name_will_do(tmp_path: Path, path: str) -> None:
    file = tmp_path / path / "state.db"
    file.parent.mkdir()
    store = Store.open(file)
    with store.write() as tx:
        events.append(tx, [EVENT])
    with store.read() as tx:
        assert events.latest(tx, 10) == [EVENT]
    store.close()
    assert {found.name.partition("-")[0] for found in file.parent.iterdir()} == {"state.db"}


def test_a_look_can_not_write(tmp_path: Path, store: Store) -> None:
    other = Store.open_read_only(tmp_path / "state.db")
    with pytest.raises(StateError, match="read-only"), other.write():
        pass
    with pytest.raises(StateError), other.read() as tx:
        events.append(tx, [EVENT])
    other.close()
    with store.read() as tx:
        assert events.latest(tx, 10) == []


def set_schema(path: Path, version: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))


@pytest.mark.parametrize("opener", [Store.open, Store.open_read_only])
def test_a_newer_schema_is_refused_and_not_touched(tmp_path: Path, store: Store, opener: Opener) -> None:
    store.close()
    set_schema(tmp_path / "state.db", "9999")
    before = (tmp_path / "state.db").read_bytes()
    with pytest.raises(StateError, match="schema 9999"):
        opener(tmp_path / "state.db")
    assert (tmp_path / "state.db").read_bytes() == before


def test_looking_where_there_is_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="There is no state"):
        Store.open_read_only(tmp_path / "state.db")
    assert not (tmp_path / "state.db").exists()


@pytest.mark.parametrize("opener", [Store.open, Store.open_read_only])
@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be one" * 100, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_damaged_file_is_an_error_of_the_state(tmp_path: Path, opener: Opener, content: bytes) -> None:
    (tmp_path / "state.db").write_bytes(content)
    with pytest.raises(StateError, match="can't be used"):
        opener(tmp_path / "state.db")
    assert (tmp_path / "state.db").read_bytes() == content


def test_damage_that_shows_later_is_an_error_of_the_state(tmp_path: Path, store: Store) -> None:
    with store.write() as tx:
        events.append(tx, [EVENT] * 500)
    store.close()
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (tmp_path / "state.db").open("r+b") as stream:
        stream.seek(4096 * 2)
        stream.write(b"\xff" * 4096 * 20)

    def read_everything() -> None:
        damaged = Store.open_read_only(tmp_path / "state.db")
        try:
            with damaged.read() as tx:
                events.latest(tx, 1000)
        finally:
            damaged.close()

    with pytest.raises(StateError):
        read_everything()


def test_a_database_that_another_process_holds_says_so(tmp_path: Path, store: Store) -> None:
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with store.read() as tx:
            assert events.latest(tx, 1) == []
        other.execute("ROLLBACK")


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_the_files_are_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        store = Store.open(tmp_path / "state.db")
        with store.write() as tx:
            events.append(tx, [EVENT])
        modes = {path.name: mode(path) for path in tmp_path.iterdir()}
        store.close()
    assert modes.keys() >= {"state.db", "state.db-wal"}
    assert set(modes.values()) == {0o600}


def test_a_naive_time_is_refused_at_the_door(store: Store) -> None:
    naive = Event(
        time=datetime(2026, 6, 1),  # noqa: DTZ001
        severity=EventSeverity.INFO,
        reason="X",
        message="",
        about="source",
    )
    with pytest.raises(Exception, match="naive"), store.write() as tx:
        events.append(tx, [naive])


def test_times_come_back_aware_and_equal_whatever_their_zone(store: Store) -> None:
    local = NOW.astimezone(tz=None).replace(microsecond=123456)
    event = Event(time=local, severity=EventSeverity.INFO, reason="X", message="", about="source")
    with store.write() as tx:
        events.append(tx, [event])
    with store.read() as tx:
        [found] = events.latest(tx, 1)
    assert found.time == local
    assert found.time.tzname() == "UTC"
