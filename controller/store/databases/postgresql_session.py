"""A session with a PostgreSQL server, which ends when the server does not answer.

The timeouts of sockets notice that the machine of the server, or the network to it, has failed. They do not notice a
server that hangs, or a proxy in front of it that accepts data and forwards nothing.
"""

import logging
import threading
import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")

ANSWER_SECONDS = 35.0
"""More than the `statement_timeout` of all sessions: a server that works answers earlier, at least with an error."""
_ended = threading.Event()

# The driver would also print its warnings if logging is not set up. Its errors are raised.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


class Session(psycopg.Connection[tuple[Any, ...]]):
    """A connection that is closed when the server has not answered for `answer_seconds`."""

    answer_seconds = ANSWER_SECONDS

    @classmethod
    def connect(cls, *args: Any, **options: Any) -> "Session":
        """Open a session. Raises psycopg.Error, also after `end_sessions`."""
        if _ended.is_set():
            raise psycopg.OperationalError("the controller no longer leads")
        return super().connect(*args, **options)

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """Wait for the server, which does what the generator sends. Raises psycopg.OperationalError."""
        try:
            return super().wait(_limit(gen, time.monotonic() + self.answer_seconds), *args, **options)
        except _NoAnswerError as error:
            self.pgconn.finish()
            raise psycopg.OperationalError("the server does not answer") from error


class _NoAnswerError(Exception):
    pass


def end_sessions() -> None:
    """End all sessions of this process that wait for the server, and let it open no more.

    For a controller that no longer leads: it executes itself again as soon as none of its threads waits.
    """
    _ended.set()


def have_sessions_ended() -> bool:
    """Return whether this process can't use the server any more."""
    return _ended.is_set()


def _limit(steps: Generator[Any, Any, T], last: float) -> Generator[Any, Any, T]:
    """Yield the same until this instant. The caller continues several times in a second, whatever the server does."""
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            wanted = steps.send(ready)
            if _ended.is_set() or time.monotonic() > last:
                raise _NoAnswerError
    except StopIteration as end:
        result: T = end.value
        return result
