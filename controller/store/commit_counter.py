"""Has anything been committed since the last look? Answered without reading a row, so it can be asked often.

SQLite counts commits of other connections (`PRAGMA data_version`). Used by what shows the state live.
"""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from controller.errors import StateError


class CommitCounter:
    """One connection that only asks for the count. Used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        try:
            self._connection = sqlite3.connect(
                f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise StateError(f"The state database can't be used: {error}.") from error

    def stamp(self) -> int:
        """A number that is another one after a commit. Raises StateError."""
        try:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
        except sqlite3.Error as error:
            raise StateError(f"The state database can't be used: {error}.") from error

    def close(self) -> None:
        """Give the file back."""
        self._connection.close()
