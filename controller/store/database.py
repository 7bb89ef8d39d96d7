"""Opens, creates and migrates the state database. The only module that depends on SQLite being the database.

The database uses a write-ahead log and `synchronous=FULL`, so that a run is on disk before its flow starts. The process
has a single writing connection; readers open the file read-only. Called by `Store`, and by `history_check`.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Compiled, Connection, Dialect, Engine, create_engine, event, exc, text
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import LRUCache

from controller.errors import StateError, StorageFullError
from controller.store.table_creation import create_tables

READERS = 4
"""The number of reading connections kept open for user interfaces; up to twice as many may be open at once."""
SCHEMA_HEAD = "0018"
_COMPILED: LRUCache[Any, Compiled] = LRUCache(500)

# Errors are raised as StateError. Without a handler, SQLAlchemy would also print tracebacks if logging is not set up.
logging.getLogger("sqlalchemy").addHandler(logging.NullHandler())


def _engine(url: URL, **options: Any) -> Engine:
    """Return a new engine with a connection pool of its own.

    All engines of a process share one dialect and one cache, so that each statement is compiled once and not once for
    each engine. Compiling takes longer than most statements.
    """
    pool = create_engine(url, **options).pool
    return Engine(pool, _dialect(), url, execution_options={"compiled_cache": _COMPILED})


@cache
def _dialect() -> Dialect:
    engine = create_engine("sqlite://")
    with engine.connect():  # initializes the dialect
        pass
    engine.dispose()
    return engine.dialect


def writer(path: Path) -> Engine:
    """Return an engine with exactly one connection, on which every transaction takes the write lock when it begins."""
    engine = _engine(
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
        _execute(connection, "BEGIN IMMEDIATE")

    return engine


def reader(path: Path) -> Engine:
    """Return a read-only engine. The file must exist."""
    url = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "ro", "uri": "true"})
    pool = {"pool_size": READERS, "max_overflow": READERS}
    return _reader(_engine(url, connect_args={"timeout": 30}, **pool))


def reader_like(engine: Engine, count: int) -> Engine:
    """Return another read-only engine for the same file, with its own pool of up to `count` connections."""
    pool = {"poolclass": QueuePool, "pool_size": count, "max_overflow": 0}
    return _reader(_engine(engine.url, connect_args={"timeout": 30}, **pool))


def _reader(engine: Engine) -> Engine:
    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # The driver does not begin a transaction for SELECT, so two of them could read different snapshots.
        _execute(connection, "BEGIN")

    return engine


def _execute(connection: Connection, statement: str) -> None:
    """Execute a statement without parameters on the driver's connection, which costs a tenth of SQLAlchemy's way."""
    connection.connection.cursor().execute(statement).close()


class OpenConnection:
    """A connection that stays open between its transactions: opening one costs more than a small transaction.

    After a failed transaction it is closed, so that the next one begins with a new connection. Not thread-safe.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Open a transaction, which is committed if the block succeeds."""
        if self._connection is None:
            self._connection = self._engine.connect()
        try:
            with self._connection.begin():
                yield self._connection
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection, if it is open."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def migrate(engine: Engine) -> None:
    """Migrate the schema to `SCHEMA_HEAD`. Raises StateError for a newer schema, without changing the database."""
    schema = schema_version(engine)
    if schema == SCHEMA_HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    supported = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if schema is not None and schema not in supported:
        raise StateError(
            f"The state database has schema {schema}, which this version does not support.",
            hint="Run the newer version of controller that wrote it, or use another --state-dir.",
        )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def schema_version(engine: Engine) -> str | None:
    """Return the version of the schema, or None for a database without tables."""
    with translate_errors(), engine.connect() as connection:
        if not engine.dialect.has_table(connection, "alembic_version"):
            return None
        version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return version


def create(path: Path) -> None:
    """Create a new database under another name, and rename it once it is complete.

    So a database without tables is always a damaged one, and never one whose creation was interrupted.
    """
    draft = path.with_name(f"{path.name}.new")
    for leftover in (draft, *(draft.with_name(f"{draft.name}{end}") for end in ("-wal", "-shm"))):
        leftover.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    engine = writer(draft)
    try:
        with translate_errors(), engine.begin() as connection:
            create_tables(connection, SCHEMA_HEAD)
    finally:
        engine.dispose()
    draft.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def newest_run(path: Path) -> str | None:
    """Return the greatest run id in this database, an empty string without runs, None for a database without tables."""
    engine = reader(path)
    try:
        with translate_errors(), engine.connect() as connection:
            if not engine.dialect.has_table(connection, "runs"):
                return "" if engine.dialect.has_table(connection, "alembic_version") else None
            run_id: str | None = connection.execute(text("SELECT max(id) FROM runs")).scalar()
            return run_id or ""
    finally:
        engine.dispose()


@contextmanager
def translate_errors() -> Iterator[None]:
    """Translate errors of SQLAlchemy and its driver within the block into `StateError`."""
    try:
        yield
    except exc.DBAPIError as error:
        raise _state_error(error.orig or error) from error
    except (exc.SQLAlchemyError, sqlite3.Error) as error:
        raise _state_error(error) from error


def _state_error(error: BaseException) -> StateError:
    message = str(error)
    error_class = StorageFullError if _is_full(error) else StateError
    return error_class(f"The state database can't be used: {message}.", hint=_hint(message))


def _is_full(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or "disk is full" in str(error)


def _hint(message: str) -> str:
    if "disk I/O" in message or "full" in message:
        return "Check the disk of the state directory, and free some space if it is full."
    if "locked" in message:
        return "Another process, such as a backup tool, has locked the database. Wait until it is done."
    if "QueuePool" in message:
        return "Too many requests are reading the state at once. Try again in a moment."
    return "Restore it from a backup, or move the whole state directory away to start with an empty state."
