"""Learns of commits from the server itself, instead of asking it: writers announce them with NOTIFY."""

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import psycopg

from controller.state_url import StateUrl
from controller.store.databases.postgresql import connect
from controller.store.databases.postgresql_errors import translate_driver_errors

ASK_SECONDS = 10.0
"""How often the count is read although no commit was announced."""


def channel_of(url: StateUrl, project: str) -> str:
    """Return the channel on which the commits of a project are announced, each with its number."""
    name = f"{url.schema or ''}/{project}"
    return f"controller_{sha256(name.encode()).hexdigest()[:16]}"


class ServerListener:
    """The count of the commits of a project, as far as it was announced. It connects again after the session has ended.

    A commit is announced a few milliseconds after its writer continues. `own` returns the count after the last commit
    of this process, which may not be announced yet.
    """

    def __init__(self, url: StateUrl, project: str, own: Callable[[], int]) -> None:
        self._url = url
        self._project = project
        self._own = own
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._count = 0
        self._asked_at = 0.0

    def read(self) -> int:
        """Return the count. Raises StateError."""
        with translate_driver_errors():
            connection = self._connection
            if connection is None or connection.closed:
                connection = self._connection = connect(self._url)
                connection.execute(f"LISTEN {channel_of(self._url, self._project)}".encode())
                self._ask(connection)
            announced = [int(notice.payload) for notice in connection.notifies(timeout=0)]
            self._count = max([self._count, *announced])
            if time.monotonic() - self._asked_at >= ASK_SECONDS:
                self._ask(connection)
        return max(self._count, self._own())

    def fileno(self) -> int | None:
        """Return the descriptor that becomes readable when commits are announced, or when the session ends."""
        return None if self._connection is None or self._connection.closed else self._connection.fileno()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def _ask(self, connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
        row = connection.execute("SELECT commits FROM leadership WHERE project = %s", (self._project,)).fetchone()
        self._count = 0 if row is None else int(row[0])
        self._asked_at = time.monotonic()
