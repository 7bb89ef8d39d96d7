"""A state database on a PostgreSQL server, which psycopg connects to.

Names and ids are compared byte by byte (`COLLATE "C"`), as SQLite does, whatever the locale of the database is.
Sessions have the time zone UTC. A statement that waits for a lock or for the server ends after a while, so that no
thread of the controller waits for ever.
"""

from functools import cache
from typing import Any

import psycopg
from psycopg.adapt import Loader
from psycopg.types.string import StrDumperUnknown
from sqlalchemy import URL, Dialect, Engine, create_engine, event, make_url
from sqlalchemy.dialects.postgresql.base import PGTypeCompiler

from controller.records import dataclass
from controller.state_url import StateUrl
from controller.store.databases.engines import new_dialect, new_engine
from controller.store.databases.postgresql_errors import translate_driver_errors
from controller.store.databases.postgresql_session import ANSWER_SECONDS, Session
from controller.store.databases.postgresql_tables import create_tables

_CONNECT_SECONDS = 5
_KEEPALIVE = {"keepalives_idle": 3, "keepalives_interval": 2, "keepalives_count": 2, "tcp_user_timeout": 5000}
_SERVER_KEEPALIVE = {
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "5s",
}
"""The server notices in as many seconds that the machine of a session is gone, and releases its locks."""
_WRITER = {"lock_timeout": "3s", "statement_timeout": "30s", "idle_in_transaction_session_timeout": "5s"}
_READER = {"statement_timeout": "30s", "idle_in_transaction_session_timeout": "60s"}


@dataclass(frozen=True, slots=True)
class PostgresqlDatabase:
    """A database on a server."""

    url: StateUrl
    application_name: str = "controller"

    def exists(self) -> bool:
        """Return whether the tables exist."""
        with translate_driver_errors(), connect(self.url) as connection:
            row = connection.execute("SELECT to_regclass('alembic_version')").fetchone()
        return row is not None and row[0] is not None

    def writer(self) -> Engine:
        """Return an engine with exactly one connection. The first statement of a transaction takes the write lock."""
        return _engine(self.url, _WRITER, self.application_name, size=1, overflow=0)

    def reader(self, count: int, overflow: int) -> Engine:
        """Return an engine for transactions that read one snapshot, and can't write."""
        engine = _engine(self.url, _READER, self.application_name, size=count, overflow=overflow)

        @event.listens_for(engine, "connect")
        def _on_connect(connection: psycopg.Connection, _record: Any) -> None:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True

        return engine

    def create(self, version: str) -> None:
        """Create all tables, or none of them."""
        engine = self.writer()
        try:
            with engine.begin() as connection:
                if self.url.schema is not None:
                    connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {self.url.schema}")
                create_tables(connection, version)
        finally:
            engine.dispose()


def connect(
    url: StateUrl, application_name: str = "controller", answer_seconds: float = ANSWER_SECONDS
) -> psycopg.Connection[tuple[Any, ...]]:
    """Open a connection outside of the pools, in which each statement is a transaction. Raises psycopg.Error.

    It is closed when the server has not answered for `answer_seconds`.
    """
    address = _address(url)
    _, parameters = create_engine(address).dialect.create_connect_args(address)
    session = Session.connect(**{**parameters, **_arguments(url, _READER, application_name)}, autocommit=True)
    session.answer_seconds = answer_seconds
    return session


class ServerCounter:
    """The count of the commits of a project. It connects again after the session has ended."""

    def __init__(self, url: StateUrl, project: str) -> None:
        self._url = url
        self._project = project
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def read(self) -> int:
        """Return the count. Raises StateError."""
        with translate_driver_errors():
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._url)
            query = "SELECT commits FROM leadership WHERE project = %s"
            row = self._connection.execute(query, (self._project,)).fetchone()
        return 0 if row is None else int(row[0])

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()


class _TypeCompiler(PGTypeCompiler):
    """Makes all integers large, as they are in SQLite: SQLAlchemy casts each parameter to the type of its column."""

    def visit_INTEGER(self, type_: Any, **options: Any) -> str:  # noqa: ARG002
        return "BIGINT"


class _Text(StrDumperUnknown):
    """Sends texts. PostgreSQL refuses NUL characters, which the reasons and results of flows may contain."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd"))


class _Number(Loader):
    """Reads sums of integers, which PostgreSQL returns as exact numbers of any size."""

    def load(self, data: Any) -> float:
        text = bytes(data).decode()
        return float(text) if "." in text else int(text)


def _engine(url: StateUrl, settings: dict[str, str], application_name: str, *, size: int, overflow: int) -> Engine:
    arguments = _arguments(url, settings, application_name)
    engine = new_engine(_address(url), _dialect(url), arguments, size=size, overflow=overflow, connect=Session.connect)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: psycopg.Connection, _record: Any) -> None:
        connection.adapters.register_dumper(str, _Text)
        connection.adapters.register_loader("numeric", _Number)

    return engine


@cache
def _dialect(url: StateUrl) -> Dialect:
    arguments = _arguments(url, _READER)
    dialect = new_dialect(_address(url), connect=Session.connect, paramstyle="format", connect_args=arguments)
    dialect.type_compiler_instance = _TypeCompiler(dialect)
    return dialect


def _address(url: StateUrl) -> URL:
    return make_url(url.text).set(drivername="postgresql+psycopg")


def _arguments(url: StateUrl, settings: dict[str, str], application_name: str = "controller") -> dict[str, Any]:
    """Return the connection parameters of libpq: those of the URL come first, except for the settings of sessions."""
    query = _address(url).query
    values = {"TimeZone": "UTC", "client_min_messages": "warning", **_SERVER_KEEPALIVE, **settings}
    if url.schema is not None:
        values["search_path"] = url.schema
    options = " ".join(f"-c {name}={value}" for name, value in values.items())
    defaults = {"connect_timeout": _CONNECT_SECONDS, **_KEEPALIVE}
    own = {name: value for name, value in defaults.items() if name not in query}
    return {**own, "application_name": application_name, "options": f"{query.get('options', '')} {options}".strip()}
