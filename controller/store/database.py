"""Opens, creates and migrates the state database, whichever kind it is. Called by `Store`, and by `history_check`.

`controller.store.databases` has what depends on the kind.
"""

import logging
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, exc, text

from controller.errors import StateError
from controller.state_url import StateUrl
from controller.store.databases import sqlite

READERS = 4
"""The number of reading connections kept open for user interfaces; up to twice as many may be open at once."""
SCHEMA_HEAD = "0026"

Place = Path | StateUrl
"""Where a state database is: a file of SQLite, or a database on a PostgreSQL server."""

# Errors are raised as StateError. Without a handler, SQLAlchemy would also print tracebacks if logging is not set up.
logging.getLogger("sqlalchemy").addHandler(logging.NullHandler())


class Database(Protocol):
    """One kind of state database."""

    def exists(self) -> bool:
        """Return whether the database was created."""

    def create(self, version: str) -> None:
        """Create the database with all tables, at this version of the schema."""

    def writer(self) -> Engine:
        """Return an engine with exactly one connection. Write transactions exclude each other."""

    def reader(self, count: int, overflow: int) -> Engine:
        """Return a read-only engine that keeps `count` connections, with snapshots of the whole database."""


def find_database(place: Place, application_name: str = "controller") -> Database:
    """Return the database at this place, which may not exist yet. Sessions with a server have the name."""
    if isinstance(place, Path):
        return sqlite.SqliteDatabase(place)
    try:
        from controller.store.databases.postgresql import PostgresqlDatabase
    except ImportError as error:
        raise StateError(
            "--state-url needs psycopg, which is not installed.",
            hint="Install it with `pip install 'flow-controller[postgresql]'`.",
        ) from error
    return PostgresqlDatabase(place, application_name)


def writer(place: Place) -> Engine:
    """Return an engine with exactly one connection. Raises StateError."""
    with translate_errors():
        return find_database(place).writer()


def reader(place: Place, count: int = READERS, overflow: int = READERS) -> Engine:
    """Return a read-only engine with a pool of its own. The database must exist. Raises StateError."""
    with translate_errors():
        return find_database(place).reader(count, overflow)


def create(place: Place) -> None:
    """Create a new database."""
    with translate_errors():
        find_database(place).create(SCHEMA_HEAD)


def exists(place: Place) -> bool:
    """Return whether the database was created. Raises StateError."""
    with translate_errors():
        return find_database(place).exists()


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
        if connection is None:
            return
        if not connection.invalidated and getattr(connection.connection.dbapi_connection, "closed", False):
            connection.invalidate()  # the server has ended the session: there is nothing to roll back
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
            hint="Run the newer version of controller that wrote it, or use another --state-dir or --state-url.",
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


def newest_run(place: Place) -> str | None:
    """Return the greatest run id in this database, an empty string without runs, None for a database without tables."""
    engine = reader(place)
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
    except _driver_errors() as error:
        raise _state_error(error) from error


def _driver_errors() -> tuple[type[Exception], ...]:
    """Return the errors of SQLAlchemy and of the drivers, which execute prepared statements without it."""
    psycopg = sys.modules.get("psycopg")
    return (exc.SQLAlchemyError, sqlite3.Error, *(() if psycopg is None else (psycopg.Error,)))


def _state_error(error: BaseException) -> StateError:
    if type(error).__module__.startswith("psycopg"):
        from controller.store.databases.postgresql_errors import state_error

        return state_error(error)
    return sqlite.state_error(error)
