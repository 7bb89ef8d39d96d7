"""Access to one state database: the controller opens it for writing, all other commands read-only."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

from controller.counters import Histogram
from controller.errors import StateError, StateLostError
from controller.state_url import StateUrl
from controller.store import database
from controller.store.database import Place

if TYPE_CHECKING:
    from controller.store.leadership import Leadership

_WRITE_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction of one project: the first argument of the functions in this package.

    `number` is the count of commits of this process including this one, 0 for a read transaction.
    """

    connection: Connection
    project: str
    number: int = 0
    _committed: list[Callable[[], None]] = field(default_factory=list)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` once this transaction is on disk, and not if it fails. For log lines about its changes."""
        self._committed.append(callback)


@dataclass(slots=True)
class _Writing:
    """The state that all stores of one database share: the lock of the writer, and facts about its transactions."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    listeners: set[Callable[[], None]] = field(default_factory=set)
    durations: Histogram = field(default_factory=lambda: Histogram(_WRITE_SECONDS))
    commits: int = 0
    connection: database.OpenConnection | None = None


class Store:
    """One state database. Safe to share between threads: write transactions wait for each other.

    `check` is called before every write. It raises StateLostError if the files are no longer those that were opened.
    `writes` has the durations of all write transactions, including those that failed, in seconds.
    """

    def __init__(
        self,
        place: Place,
        reader: Engine,
        writer: Engine | None,
        project: str,
        check: Callable[[], None] = lambda: None,
        writing: _Writing | None = None,
        leadership: "Leadership | None" = None,
        *,
        keeps_reading_connection: bool = False,
    ) -> None:
        self.check = check
        self.place = place
        self._leadership = leadership
        self._reader = reader
        self._writer = writer
        self._project = project
        self._writing = writing or _Writing()
        self._reading = database.OpenConnection(reader) if keeps_reading_connection else None
        self._reading_lock = threading.Lock()

    @property
    def writes(self) -> Histogram:
        """The durations of all write transactions."""
        return self._writing.durations

    @property
    def commits(self) -> int:
        """The number of write transactions that this process has committed. A later read sees all of them."""
        return self._writing.commits

    @property
    def announced(self) -> int:
        """The count of commits of the project after the last one of this process, if the state is on a server."""
        return 0 if self._leadership is None else self._leadership.commits

    @classmethod
    def open(
        cls,
        place: Place,
        *,
        project: str = "default",
        check: Callable[[], None] = lambda: None,
        leadership: "Leadership | None" = None,
    ) -> "Store":
        """Open for writing; create and migrate the database if necessary. Raises StateError.

        `leadership` is the one of a project in a database on a server, with the lock; None: get it, and release it at
        the end. Raises AlreadyRunningError if another controller leads the project.
        """
        if isinstance(place, StateUrl):
            from controller.store.leadership import lead

            own = lead(place, project) if leadership is None else leadership
            try:
                return cls._open_leading(place, project, check, own)
            except BaseException:
                own.release()
                raise
        if not database.exists(place):
            database.create(place)
        engine = database.writer(place)
        with database.translate_errors():
            database.migrate(engine)
        return cls(place, database.reader(place), engine, project, check)

    @classmethod
    def _open_leading(
        cls, place: StateUrl, project: str, check: Callable[[], None], leadership: "Leadership"
    ) -> "Store":
        own = database.find_database(place, leadership.application_name)
        with database.translate_errors():
            if not own.exists():
                own.create(database.SCHEMA_HEAD)
            engine = own.writer()
        try:
            with database.translate_errors():
                database.migrate(engine)
                reader = own.reader(database.READERS, database.READERS)
            leadership.begin()
        except BaseException:
            engine.dispose()
            raise
        return cls(place, reader, engine, project, check, leadership=leadership)

    @classmethod
    def open_beside(cls, place: Place, *, project: str = "default") -> "Store":
        """Open for writing beside the controller that is running. Raises StateError."""
        if not isinstance(place, StateUrl):
            return cls.open(place, project=project)
        from controller.store.leadership import Leadership

        leadership = Leadership(place, project)
        leadership.join()
        return cls(place, database.reader(place), database.writer(place), project, leadership=leadership)

    def with_own_readers(self, count: int) -> "Store":
        """Return a store for one part of the process, with up to `count` reading connections of its own.

        Readers elsewhere then can't use up the connections that this part needs. Write transactions still wait for
        those of all other parts. Close it before this store. One of several connections stays open: the first thread
        that reads uses it.
        """
        reader = database.reader(self.place, count, overflow=0)
        return Store(
            self.place,
            reader,
            self._writer,
            self._project,
            self.check,
            self._writing,
            self._leadership,
            keeps_reading_connection=count > 1,
        )

    @classmethod
    def open_read_only(cls, place: Place, *, project: str = "default") -> "Store":
        """Open read-only. Raises StateError if there is no database, or its schema is that of another version."""
        store = cls.open_existing(place, project=project)
        if store is None:
            where = place if isinstance(place, StateUrl) else place.parent
            raise StateError(f"There is no state at {where}.", hint="Start `controller run` first.")
        return store

    @classmethod
    def open_existing(cls, place: Place, *, project: str = "default") -> "Store | None":
        """Open read-only, or return None if there is no database, or the first controller is still creating it."""
        if not database.exists(place):
            return None
        engine = database.reader(place)
        schema = database.schema_version(engine)
        if schema is None:
            engine.dispose()
            raise StateLostError(
                f"{place} has no tables: the state has lost its history.", hint="Restore it from a backup."
            )
        if schema != database.SCHEMA_HEAD:
            raise StateError(
                f"The state database has schema {schema}, but this version reads {database.SCHEMA_HEAD}.",
                hint="Use the same version of controller as `controller run`.",
            )
        return cls(place, engine, None, project)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a write transaction. When the block ends, either all of its changes are on disk or none.

        Raises StateError.
        """
        if self._writer is None:
            raise StateError("The state is open read-only.")
        writing = self._writing
        with writing.lock:
            self.check()
            began = time.monotonic()
            if writing.connection is None:
                writing.connection = database.OpenConnection(self._writer)
            try:
                with database.translate_errors(), self._begin(writing.connection) as connection:
                    tx = Transaction(connection, self._project, writing.commits + 1)
                    yield tx
                writing.commits = tx.number
            finally:
                writing.durations.observe(time.monotonic() - began)
        for callback in (*tx._committed, *writing.listeners):
            callback()

    def _begin(self, opened: database.OpenConnection) -> AbstractContextManager[Connection]:
        return opened.begin() if self._leadership is None else self._leadership.transaction(opened)

    @contextmanager
    def on_commit(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call `callback` after every write transaction of this process during the block, in the thread that wrote."""
        self._writing.listeners.add(callback)
        try:
            yield
        finally:
            self._writing.listeners.discard(callback)

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Open a read transaction, which sees one consistent snapshot. Raises StateError."""
        try:
            with database.translate_errors(), self._begin_reading() as connection:
                yield Transaction(connection, self._project)
        except StateError:
            self.check()  # raises a more precise error if the files were removed or replaced
            raise

    @contextmanager
    def _begin_reading(self) -> Iterator[Connection]:
        if self._reading is None or not self._reading_lock.acquire(blocking=False):
            with self._reader.begin() as connection:
                yield connection
            return
        try:
            with self._reading.begin() as connection:
                yield connection
        finally:
            self._reading_lock.release()

    def close_readers(self) -> None:
        """Close the reading connections only."""
        if self._reading is not None:
            self._reading.close()
        self._reader.dispose()

    def close(self) -> None:
        """Close all connections."""
        self.close_readers()
        if self._writing.connection is not None:
            self._writing.connection.close()
        if self._writer is not None:
            self._writer.dispose()
        if self._leadership is not None:
            self._leadership.release()
