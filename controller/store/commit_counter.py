"""Detects commits to the state database without reading a row, so that it can be polled often.

It uses SQLite's count of commits by other connections (`PRAGMA data_version`). Live views of the state use it.
"""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from controller.errors import StateError


class CommitCounter:
    """A read-only connection that returns the count. Use it from one thread at a time."""

    def __init__(self, path: Path) -> None:
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise StateError(f"The state database can't be used: {error}.") from error

    def stamp(self) -> int:
        """Return a number that changes with every commit. Raises StateError."""
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise StateError(f"The state database can't be used: {error}.") from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
