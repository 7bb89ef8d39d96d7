"""A state database in a file of the state directory, which SQLite opens.

The database uses a write-ahead log and `synchronous=FULL`, so that a run is on disk before its flow starts. The process
has a single writing connection; readers open the file read-only.
"""

import os
import sqlite3
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Dialect, Engine, event, make_url

from controller.errors import StateError, StorageFullError
from controller.records import dataclass
from controller.store.databases.engines import new_dialect, new_engine

_READER_CACHE_KIB = 512
"""The cache of each reading connection. Small: a controller has a dozen, and the kernel caches the file for all."""


@dataclass(frozen=True, slots=True)
class SqliteDatabase:
    """A database file."""

    path: Path

    def exists(self) -> bool:
        """Return whether there is a file. Raises StateError if this user may not look."""
        try:
            return self.path.exists()
        except OSError as error:
            raise StateError(f"{self.path} can't be read: {error.strerror}.") from error

    def writer(self) -> Engine:
        """Return an engine with exactly one connection, on which every transaction begins with the write lock."""
        url = URL.create("sqlite", database=str(self.path))
        engine = new_engine(url, _dialect(), {"check_same_thread": False}, size=1, overflow=0)

        @event.listens_for(engine, "connect")
        def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
            connection.isolation_level = None
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
                connection.execute(f"PRAGMA {pragma}")

        @event.listens_for(engine, "begin")
        def _on_begin(connection: Connection) -> None:
            _execute(connection, "BEGIN IMMEDIATE")

        return engine

    def reader(self, count: int, overflow: int) -> Engine:
        """Return a read-only engine. The file must exist."""
        url = URL.create("sqlite", database=f"file:{quote(str(self.path))}", query={"mode": "ro", "uri": "true"})
        engine = new_engine(url, _dialect(), {"timeout": 30}, size=count, overflow=overflow)

        @event.listens_for(engine, "connect")
        def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
            connection.isolation_level = None
            connection.execute(f"PRAGMA cache_size=-{_READER_CACHE_KIB}")

        @event.listens_for(engine, "begin")
        def _on_begin(connection: Connection) -> None:
            # The driver does not begin a transaction for SELECT, so two of them could read different snapshots.
            _execute(connection, "BEGIN")

        return engine

    def create(self, version: str) -> None:
        """Create a new database under another name, and rename it once it is complete.

        So a database without tables is always a damaged one, and never one whose creation was interrupted.
        """
        from controller.store.table_creation import create_tables

        draft = self.path.with_name(f"{self.path.name}.new")
        for leftover in (draft, *(draft.with_name(f"{draft.name}{end}") for end in ("-wal", "-shm"))):
            leftover.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        engine = SqliteDatabase(draft).writer()
        try:
            with engine.begin() as connection:
                create_tables(connection, version)
        finally:
            engine.dispose()
        draft.rename(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def state_error(error: BaseException) -> StateError:
    """Return the error to raise for one of SQLite's or SQLAlchemy's."""
    message = str(error)
    error_class = StorageFullError if _is_full(error) else StateError
    return error_class(f"The state database can't be used: {message}.", hint=_hint(message))


def _execute(connection: Connection, statement: str) -> None:
    """Execute a statement without parameters on the driver's connection, which costs a tenth of SQLAlchemy's way."""
    connection.connection.cursor().execute(statement).close()


@cache
def _dialect() -> Dialect:
    return new_dialect(make_url("sqlite://"))


def _is_full(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL or "disk is full" in str(error)


def _hint(message: str) -> str:
    if "disk I/O" in message or "full" in message:
        return "Check the disk of the state directory, and free some space if it is full."
    if "readonly" in message or "unable to open" in message:
        return "Check the permissions of the state directory and of its state.db: this user must be able to write both."
    if "locked" in message:
        return "Another process, such as a backup tool, has locked the database. Wait until it is done."
    if "QueuePool" in message:
        return "Too many requests are reading the state at once. Try again in a moment."
    return "Restore it from a backup, or move the whole state directory away to start with an empty state."
