"""The state database: schema and migrations, durability, isolation, file permissions, and damaged files."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, String, select, text

from controller.errors import StateError
from controller.model.names import MAX_NAME
from controller.model.status import Event, EventSeverity
from controller.store import Store, database, events, occurrences, runs
from controller.store.run_search import RunFilter, select_all
from controller.store.schema import metadata
from tests.conftest import NOW
from tests.unit.store.conftest import ONLY_SQLITE

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


def test_migrations_create_the_same_tables_as_a_new_database_has(tmp_path: Path) -> None:
    database.create(tmp_path / "new.db")
    with old_database(tmp_path / "migrated.db", "head") as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    assert described(tmp_path / "migrated.db") == described(tmp_path / "new.db")


def test_each_column_with_the_name_of_a_deployment_has_its_length() -> None:
    columns = [column for table in metadata.tables.values() for column in table.columns if column.name == "deployment"]
    types = [column.type for column in [*columns, metadata.tables["inventory"].c.name]]
    assert len(types) > 5
    assert {type_.length for type_ in types if isinstance(type_, String)} == {MAX_NAME}


def described(path: Path) -> dict[str, Any]:
    """Return the columns of each table, regardless of their order, and the text of each index and trigger."""
    with closing(sqlite3.connect(path)) as connection:
        objects = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        tables = [name for kind, name, _ in objects if kind == "table"]
        columns = {
            name: sorted(row[1:] for row in connection.execute(f"PRAGMA table_xinfo({name})")) for name in tables
        }
        keys = {f"{name}, keys": connection.execute(f"PRAGMA foreign_key_list({name})").fetchall() for name in tables}
        return columns | keys | {name: sql for kind, name, sql in objects if kind != "table"}


@ONLY_SQLITE
def test_a_statement_is_compiled_once_for_all_databases_and_connections_of_a_process(
    store: Store, tmp_path: Path
) -> None:
    other, own = Store.open(tmp_path / "other.db"), store.with_own_readers(1)
    compiled = []
    for transaction in (store.read, store.write, other.read, own.read):
        with transaction() as tx:
            compiled.append(tx.connection.execute(select(metadata.tables["runs"].c.id)).context.compiled)
    assert compiled[0] is not None
    assert [one for one in compiled if one is not compiled[0]] == []
    own.close_readers()
    other.close()


def test_schema_head_is_the_last_migration(store: Store) -> None:
    with store.read() as tx:
        assert tx.connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == database.SCHEMA_HEAD


@contextmanager
def old_database(path: Path, schema: str) -> Iterator[Connection]:
    """Create a database with an old schema, and yield a transaction."""
    engine = database.writer(path)
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, schema)
        yield connection
    engine.dispose()


def test_migrating_the_first_schema_keeps_runs_and_attempts(tmp_path: Path) -> None:
    with old_database(tmp_path / "old.db", "0001") as connection:
        connection.exec_driver_sql(
            'INSERT INTO runs (id, project, deployment, state, "trigger", created_at, attempt, attempts, revision,'
            " file, spec_digest, tags, parameters) VALUES ('r', 'default', 'a', 'pending', 'manual',"
            " '2026-06-01 12:00:00.000000', 1, 1, 'x', 'a.yaml', 'sha256:1', '[]', '{}')"
        )
        connection.exec_driver_sql(
            "INSERT INTO attempts (run_id, number, nonce, boot_id, state) VALUES ('r', 1, 'n', 'b', 'launching')"
        )
    store = Store.open(tmp_path / "old.db")
    with store.read() as tx:
        [found] = select_all(tx, RunFilter())
        assert (found.queue, found.priority, found.serial, found.retries) == ("default", 0, False, None)
        assert (found.id, found.not_before, found.created_at) == ("r", None, NOW)
        assert [attempt.nonce for attempt in runs.attempts_of(tx, "r")] == ["n"]
        assert compare_metadata(MigrationContext.configure(tx.connection), metadata) == []
    store.close()


def with_due_times(path: Path) -> None:
    """Create a database of schema 0011: for each hour, the states of the runs of a due time."""
    states = {
        *((1, 1, "failed"), (1, 2, "succeeded"), (2, 1, "failed"), (2, 2, "cancelled"), (3, 1, "cancelled")),
        *((3, 2, "cancelled"), (4, 1, "failed"), (4, 2, "pending"), (5, 1, "skipped"), (6, 1, "skipped")),
        *((6, 2, "succeeded"), (7, 1, "running"), (8, 1, "timed_out")),
    }
    with old_database(path, "0011") as connection:
        for hour, number, state in states:
            connection.exec_driver_sql(
                'INSERT INTO runs (id, project, deployment, state, "trigger", scheduled_for, created_at, attempt,'
                " attempts, revision, file, spec_digest, tags, parameters) VALUES (?, 'default', 'a', ?, 'schedule', ?,"
                " '2026-06-01 12:00:00.000000', 1, 1, 'x', 'a.yaml', 'sha256:1', '[]', '{}')",
                (f"{hour}-{number}", state, f"2026-06-01 0{hour}:00:00.000000"),
            )
        for hour in (1, 2, 3, 4, 5, 6, 7, 9):
            outcome, reason = ("skipped", "deadline") if hour in (5, 6) else ("run", None)
            connection.exec_driver_sql(
                "INSERT INTO occurrences (project, deployment, scheduled_for, schedule, outcome, run_id, reason)"
                " VALUES ('default', 'a', ?, 'x', ?, ?, ?)",
                (f"2026-06-01 0{hour}:00:00.000000", outcome, f"{hour}-1", reason),
            )


def states_of_due_times(path: Path) -> Sequence[tuple[int, str, str | None, str | None, str | None]]:
    store = Store.open(path)
    with store.read() as tx:
        rows = occurrences.find_newest(tx, "a", 99)[::-1]
        states = [(row.scheduled_for.hour, row.outcome.value, row.run_id, row.reason, row.state) for row in rows]
    store.close()
    return states


MIGRATED = [
    (1, "run", "1-2", None, "succeeded"),
    (2, "run", "2-1", None, "failed"),
    (3, "run", "3-2", None, "cancelled"),
    (4, "run", "4-1", None, "failed"),
    (5, "skipped", "5-1", "deadline", "skipped"),
    (6, "run", "6-2", None, "succeeded"),
    (7, "run", "7-1", None, None),
    (8, "run", "8-1", None, "timed_out"),
    (9, "run", "9-1", None, None),
]


def test_a_migration_computes_the_states_of_due_times_from_their_runs(tmp_path: Path) -> None:
    with_due_times(tmp_path / "old.db")
    assert states_of_due_times(tmp_path / "old.db") == MIGRATED


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import event
from controller.store import database

engine = database.writer(Path(sys.argv[1]))

@event.listens_for(engine, sys.argv[2])
def kill(*arguments):
    if sys.argv[2] == "commit" or sys.argv[3] in arguments[2]:
        os.kill(os.getpid(), signal.SIGKILL)

database.migrate(engine)
"""


@pytest.mark.parametrize(
    "point",
    [
        ("after_cursor_execute", "ALTER TABLE occurrences"),
        ("after_cursor_execute", "INSERT INTO occurrences"),
        ("after_cursor_execute", "CREATE INDEX"),
        ("commit", ""),
    ],
)
def test_a_migration_that_is_killed_is_repeated_from_the_start(tmp_path: Path, point: tuple[str, str]) -> None:
    with_due_times(tmp_path / "old.db")
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "old.db", *point], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert states_of_due_times(tmp_path / "old.db") == MIGRATED


@ONLY_SQLITE
def test_commits_are_synced_to_disk(store: Store) -> None:
    with store.write() as tx:
        pragmas = {
            name: tx.connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_reopening_keeps_the_data(store: Store) -> None:
    with store.write() as tx:
        events.append(tx, [EVENT])
    store.close()
    again = Store.open(store.place)
    with again.read() as tx:
        assert events.latest(tx, 10) == [EVENT]
    again.close()


def test_a_second_store_sees_commits_of_the_first(store: Store) -> None:
    other = Store.open_read_only(store.place)
    with store.write() as tx:
        events.append(tx, [EVENT])
    with other.read() as tx:
        assert events.latest(tx, 10) == [EVENT]
    other.close()


def test_projects_are_isolated_from_each_other(store: Store) -> None:
    other = Store.open(store.place, project="other")
    with store.write() as tx:
        events.append(tx, [EVENT])
    with other.read() as tx:
        assert events.latest(tx, 10) == []
    other.close()


def test_a_failed_transaction_changes_nothing(store: Store) -> None:
    def append_and_fail() -> None:
        with store.write() as tx:
            events.append(tx, [EVENT])
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        append_and_fail()
    with store.read() as tx:
        assert events.latest(tx, 10) == []


@pytest.mark.parametrize("path", ["plain", "with space", "50%41?mode=rw#x", "grüße", "a&b=c;d"])
def test_paths_may_contain_special_characters(tmp_path: Path, path: str) -> None:
    file = tmp_path / path / "state.db"
    file.parent.mkdir()
    store = Store.open(file)
    with store.write() as tx:
        events.append(tx, [EVENT])
    with store.read() as tx:
        assert events.latest(tx, 10) == [EVENT]
    store.close()
    assert {found.name.partition("-")[0] for found in file.parent.iterdir()} == {"state.db"}


def test_a_read_only_store_rejects_writes(store: Store) -> None:
    other = Store.open_read_only(store.place)
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
@ONLY_SQLITE
def test_a_newer_schema_is_rejected_and_the_file_unchanged(tmp_path: Path, store: Store, opener: Opener) -> None:
    store.close()
    set_schema(tmp_path / "state.db", "9999")
    before = (tmp_path / "state.db").read_bytes()
    with pytest.raises(StateError, match="schema 9999"):
        opener(tmp_path / "state.db")
    assert (tmp_path / "state.db").read_bytes() == before


def test_opening_a_missing_database_read_only_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="There is no state"):
        Store.open_read_only(tmp_path / "state.db")
    assert not (tmp_path / "state.db").exists()


@pytest.mark.parametrize("opener", [Store.open, Store.open_read_only])
@pytest.mark.parametrize(
    "content", [b"not a database, but long enough to be one" * 100, b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_damaged_file_raises_a_state_error(tmp_path: Path, opener: Opener, content: bytes) -> None:
    (tmp_path / "state.db").write_bytes(content)
    with pytest.raises(StateError, match="can't be used"):
        opener(tmp_path / "state.db")
    assert (tmp_path / "state.db").read_bytes() == content


@ONLY_SQLITE
def test_damage_found_while_reading_raises_a_state_error(tmp_path: Path, store: Store) -> None:
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


@ONLY_SQLITE
def test_reading_works_while_another_process_has_the_write_lock(tmp_path: Path, store: Store) -> None:
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with store.read() as tx:
            assert events.latest(tx, 1) == []
        other.execute("ROLLBACK")


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_files_are_private_with_any_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        store = Store.open(tmp_path / "state.db")
        with store.write() as tx:
            events.append(tx, [EVENT])
        modes = {path.name: mode(path) for path in tmp_path.iterdir()}
        store.close()
    assert modes.keys() >= {"state.db", "state.db-wal"}
    assert set(modes.values()) == {0o600}


def test_naive_datetimes_are_rejected(store: Store) -> None:
    naive = Event(
        time=datetime(2026, 6, 1),  # noqa: DTZ001
        severity=EventSeverity.INFO,
        reason="X",
        message="",
        about="source",
    )
    with pytest.raises(Exception, match="naive"), store.write() as tx:
        events.append(tx, [naive])


def test_times_in_any_zone_are_read_back_as_equal_utc_times(store: Store) -> None:
    local = NOW.astimezone(tz=None).replace(microsecond=123456)
    event = Event(time=local, severity=EventSeverity.INFO, reason="X", message="", about="source")
    with store.write() as tx:
        events.append(tx, [event])
    with store.read() as tx:
        [found] = events.latest(tx, 1)
    assert found.time == local
    assert found.time.tzname() == "UTC"
