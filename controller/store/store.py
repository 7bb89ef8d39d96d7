"""One state database, opened to write (the controller) or to look (every other command)."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, Engine

from controller.errors import StateError, StateLostError
from controller.store import database


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction of one project; what the modules of this package take first."""

    connection: Connection
    project: str
    _committed: list[Callable[[], None]] = field(default_factory=list)

    def after_commit(self, tell: Callable[[], None]) -> None:
        """Call `tell` once this transaction is on disk; never if it is not. For log lines about what it changes."""
        self._committed.append(tell)


class Store:
    """The database of one state directory. Safe to share between threads: writers wait for each other.

    `check` raises StateLostError once the files are not the ones that were opened. It is called before every write.
    """

    def __init__(
        self,
        reader: Engine,
        writer: Engine | None,
        project: str,
        check: Callable[[], None] = lambda: None,
        *,
        write_lock: "threading.Lock | None" = None,
    ) -> None:
        self.check = check
        self._reader = reader
        self._writer = writer
        self._project = project
        self._write_lock = write_lock or threading.Lock()

    @classmethod
    def open(cls, path: Path, *, project: str = "default", check: Callable[[], None] = lambda: None) -> "Store":
        """Open to write, creating and migrating the file. Raises StateError."""
        if not path.exists():
            database.create(path)
        engine = database.writer(path)
        with database.translated():
            database.migrate(engine)
        return cls(database.reader(path), engine, project, check)

    def with_own_readers(self, count: int) -> "Store":
        """The same state for one part of the process, with up to `count` reading connections that no other part uses.

        So nobody who reads much can keep that part waiting. Close it before this one; its writers still take turns
        with all others.
        """
        reader = database.reader_like(self._reader, count)
        return Store(reader, self._writer, self._project, self.check, write_lock=self._write_lock)

    @classmethod
    def look(cls, path: Path, *, project: str = "default") -> "Store":
        """Open read-only. Raises StateError if there is none or its schema is another version's."""
        store = cls.look_if_any(path, project=project)
        if store is None:
            raise StateError(f"There is no state at {path.parent}.", hint="Start `controller run` first.")
        return store

    @classmethod
    def look_if_any(cls, path: Path, *, project: str = "default") -> "Store | None":
        """The same; None where there is no database, or the first controller is only just making it."""
        if not path.exists():
            return None
        engine = database.reader(path)
        found = database.schema_version(engine)
        if found is None:
            engine.dispose()
            raise StateLostError(
                f"{path} has no tables: the state has lost its history.", hint="Restore it from a backup."
            )
        if found != database.SCHEMA_HEAD:
            raise StateError(
                f"The state database has schema {found}; this version reads {database.SCHEMA_HEAD}.",
                hint="Use the version of controller that runs here.",
            )
        return cls(engine, None, project)

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """One transaction: all of the block is on disk when it ends, or nothing of it. Raises StateError."""
        if self._writer is None:
            raise StateError("The state is open read-only.")
        with self._write_lock:
            self.check()
            with database.translated(), self._writer.begin() as connection:
                tx = Transaction(connection, self._project)
                yield tx
        for tell in tx._committed:
            tell()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """One consistent view. Raises StateError."""
        try:
            with database.translated(), self._reader.begin() as connection:
                yield Transaction(connection, self._project)
        except StateError:
            self.check()  # it says better why nothing can be read
            raise

    def close_readers(self) -> None:
        """Give back the reading connections only."""
        self._reader.dispose()

    def close(self) -> None:
        """Give the files back."""
        self._reader.dispose()
        if self._writer is not None:
            self._writer.dispose()
