"""Explains the errors of PostgreSQL and of its driver."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from controller.errors import StateError, StorageFullError

_FULL = "53100"
_BY_STATE = {
    "25006": "This server is a read-only replica, or the database is read-only. Use the URL of the primary server.",
    "42501": "Let the role use the database: `GRANT CREATE ON SCHEMA public TO role`, or make it the database's owner."
    " A project that is not `default` needs `GRANT CREATE ON DATABASE name TO role`.",
    "55P03": "Another session has locked the tables. Find it in pg_stat_activity.",
    "57014": "The server took too long. Check its load and its locks.",
    "25P03": "The controller was stopped for a while. It tries again by itself.",
    "57P01": "The server was stopped or restarted, or an administrator ended the session.",
    "53100": "The disk of the server is full. Free some space.",
}
_BY_TEXT = (
    (("password", "no pg_hba.conf entry"), "Check the user and the password of --state-url, and pg_hba.conf."),
    (("too many clients", "remaining connection slots", "too many connections"), "Raise max_connections."),
    (("database", "does not exist"), "Create the database: `createdb NAME`."),
    (("role", "does not exist"), "Create the role: `createuser NAME`."),
    (("starting up", "shutting down", "recovery"), "The server is starting or stopping. Wait a moment."),
    (("certificate", "SSL"), "Check sslmode and the certificates in the query of --state-url."),
    (("QueuePool",), "Too many requests are reading the state at once. Try again in a moment."),
)
_UNREACHABLE = "Check that the server runs, and the host and the port of --state-url."


@contextmanager
def translate_driver_errors() -> Iterator[None]:
    """Translate errors of psycopg within the block, which SQLAlchemy does not know, into `StateError`."""
    try:
        yield
    except psycopg.Error as error:
        raise state_error(error) from error


def state_error(error: BaseException) -> StateError:
    """Return the error to raise for one of psycopg's."""
    message = _message(error)
    state = getattr(error, "sqlstate", None)
    error_class = StorageFullError if state == _FULL else StateError
    return error_class(f"The state database can't be used: {message.rstrip('.')}.", hint=_hint(state, message))


def _message(error: BaseException) -> str:
    """Return the text of an error on one line, without the advice of libpq, which is indented."""
    return " ".join(" ".join(line for line in str(error).splitlines() if not line.startswith("\t")).split())


def _hint(state: str | None, message: str) -> str:
    if state in _BY_STATE:
        return _BY_STATE[state]
    for words, hint in _BY_TEXT:
        is_match = all if words[-1] == "does not exist" else any
        if is_match(word in message for word in words):
            return hint
    return _UNREACHABLE
