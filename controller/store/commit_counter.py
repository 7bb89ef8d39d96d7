"""Detects commits to the state database without reading a row of the state, so that it can be polled often.

It uses SQLite's count of commits by other connections (`PRAGMA data_version`), or the count that every write
transaction changes in a database on a server, where `CommitListener` needs no question. Live views of the state use it.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from controller.errors import StateError
from controller.settings import PROJECT
from controller.state_url import StateUrl
from controller.store.database import Place

if TYPE_CHECKING:
    from controller.store.databases.postgresql_listener import ServerListener


class _Counter(Protocol):
    def read(self) -> int:
        """Return the count. Raises StateError."""

    def close(self) -> None:
        """Close the connection."""


class CommitCounter:
    """A read-only connection that returns the count. Use it from one thread at a time."""

    def __init__(self, place: Place) -> None:
        self._counter: _Counter = _FileCounter(place) if isinstance(place, Path) else _server_counter(place)

    def stamp(self) -> int:
        """Return a number that changes with every commit. Raises StateError."""
        return self._counter.read()

    def close(self) -> None:
        """Close the connection."""
        self._counter.close()


class CommitListener(CommitCounter):
    """A count for loops that wait for commits. A server announces them, so that reading the count asks it nothing.

    A commit of another process may be counted a few milliseconds late. `own` returns the count after the last commit of
    this process, see `Store.announced`.
    """

    def __init__(self, place: Place, own: Callable[[], int] = lambda: 0) -> None:
        counter = _FileCounter(place) if isinstance(place, Path) else _server_listener(place, own)
        self._counter = counter
        self._fileno = counter.fileno

    def fileno(self) -> int | None:
        """Return the descriptor that becomes readable after a commit; None if only polling notices it."""
        return self._fileno()


class _FileCounter:
    def __init__(self, path: Path) -> None:
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise StateError(f"The state database can't be used: {error}.") from error

    def read(self) -> int:
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise StateError(f"The state database can't be used: {error}.") from error

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        self._connection.close()


def _server_listener(url: StateUrl, own: Callable[[], int]) -> "ServerListener":
    from controller.store.databases.postgresql_listener import ServerListener

    return ServerListener(url, PROJECT, own)


def _server_counter(url: StateUrl) -> _Counter:
    from controller.store.databases.postgresql import ServerCounter

    return ServerCounter(url, PROJECT)
