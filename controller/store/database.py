"""How the state database is opened: the one place that knows which database it is.

SQLite: write-ahead log, `synchronous=FULL` (a commit is on disk before a flow starts on its account), one writing
connection for the whole process, readers open the file read-only. Called by `Store` only.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, text
from sqlalchemy.pool import QueuePool

from controller.errors import StateError, StorageFullError

READERS = 4
"""How many reading connections the surfaces keep open; at most twice as many at once."""
SCHEMA_HEAD = "0010"

# What goes wrong arrives as a StateError; SQLAlchemy would also print a traceback where no logging is set up.
logging.getLogger("sqlalchemy").addHandler(logging.NullHandler())


def writer(path: Path) -> Engine:
    """An engine with exactly one connection, whose every transaction takes the write lock at once."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        connect_args={"check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def reader(path: Path) -> Engine:
    """An engine that can't write. The file must exist."""
    url = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})
    more = {"pool_size": READERS, "max_overflow": READERS}
    return _reader(create_engine(url, connect_args={"timeout": 30}, **more))


def reader_like(engine: Engine, count: int) -> Engine:
    """Another engine for the same file, with a pool of its own of up to `count` connections."""
    more = {"poolclass": QueuePool, "pool_size": count, "max_overflow": 0}
    return _reader(create_engine(engine.url, connect_args={"timeout": 30}, **more))


def _reader(engine: Engine) -> Engine:
    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # The driver begins no transaction for a SELECT, and two of them could see two states.
        connection.exec_driver_sql("BEGIN")

    return engine


def migrate(engine: Engine) -> None:
    """Bring the schema to `SCHEMA_HEAD`. A database of a newer controller is refused, never touched."""
    found = schema_version(engine)
    if found == SCHEMA_HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise StateError(
            f"The state database has schema {found}, which this version does not know.",
            hint="Run the newer controller that wrote it, or use another --state-dir.",
        )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def schema_version(engine: Engine) -> str | None:
    """The schema's version, or None for an empty database."""
    with translated(), engine.connect() as connection:
        if not engine.dialect.has_table(connection, "alembic_version"):
            return None
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return found


def create(path: Path) -> None:
    """Make a new database, which appears whole or not at all: one without tables is always one that was damaged."""
    draft = path.with_name(f"{path.name}.new")
    for leftover in (draft, *(draft.with_name(f"{draft.name}{end}") for end in ("-wal", "-shm"))):
        leftover.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    engine = writer(draft)
    try:
        with translated():
            migrate(engine)
    finally:
        engine.dispose()
    draft.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def newest_run(path: Path) -> str | None:
    """The greatest id of all runs of this database, empty if there are none; None for a database without any tables."""
    engine = reader(path)
    try:
        with translated(), engine.connect() as connection:
            if not engine.dialect.has_table(connection, "runs"):
                return "" if engine.dialect.has_table(connection, "alembic_version") else None
            found: str | None = connection.execute(text("SELECT max(id) FROM runs")).scalar()
            return found or ""
    finally:
        engine.dispose()


@contextmanager
def translated() -> Iterator[None]:
    """Turn everything that SQLAlchemy, its driver or the file system raises for the database into a `StateError`."""
    try:
        yield
    except exc.DBAPIError as error:
        raise _state_error(error.orig or error) from error
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        raise _state_error(error) from error


def _state_error(error: BaseException) -> StateError:
    message = str(error)
    kind = StorageFullError if _is_full(error) else StateError
    return kind(f"The state database can't be used: {message}.", hint=_hint(message))


def _is_full(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or "disk is full" in str(error)


def _hint(message: str) -> str:
    if "disk I/O" in message or "full" in message:
        return "Check the disk that holds the state directory, and free some space if it is full."
    if "locked" in message:
        return "Another process holds the database; a backup tool, perhaps."
    if "QueuePool" in message:
        return "Too many requests read the state at once. Try again in a moment."
    return "Restore it from a backup, or move the whole state directory away to start with an empty one."
