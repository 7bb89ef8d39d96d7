"""Which controller leads a project whose state is on a PostgreSQL server: it alone writes.

A controller leads from the moment that it has an advisory lock of the server and has recorded itself with a new term.
Three things end its term, whichever comes first:

- The lock is free because its session ended. Another controller then begins a term.
- Its lease was not renewed for `LEASE`, for example because the process is stopped. Another controller then ends its
  sessions, which also releases the lock.
- It could not renew its lease for `GIVE_UP`, which is shorter. It then stops by itself.

None of this has to be noticed in time: every write transaction changes the row of its own term first, which fails once
another term has begun. So a deposed controller can't write.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
from sqlalchemy import Connection, exc

from controller import __version__
from controller.errors import AlreadyRunningError, DeposedError, StateError
from controller.model.hosts import AttemptReport
from controller.state_url import StateUrl
from controller.store.database import OpenConnection
from controller.store.databases.postgresql import connect
from controller.store.databases.postgresql_errors import translate_driver_errors
from controller.store.databases.postgresql_listener import channel_of
from controller.store.databases.postgresql_session import have_sessions_ended
from controller.store.leaders import LEASE
from controller.store.sign_of_life import record_place, report_attempt

GIVE_UP = timedelta(seconds=5)
_ANSWER_SECONDS = 4.0
"""Less than `GIVE_UP`, so that a leader that gets no answers gives up in time."""
_OPENING_SECONDS = 60.0
"""How long a controller with the lock may take to migrate the database and to begin its term."""
_SETTLE_SECONDS = 5.0
_PAUSE_SECONDS = 0.1
_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('controller/' || %s, 0))"
_TRY_LOCK_OR_END_STALE = """
WITH tried AS MATERIALIZED (
    SELECT pg_try_advisory_lock(hashtextextended('controller/' || %(name)s, 0)) AS has_lock
)
SELECT has_lock, (
    SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a JOIN leases l ON l.project = %(project)s
    WHERE NOT has_lock AND a.application_name = 'controller:' || l.holder
    AND l.renewed_at < clock_timestamp() - make_interval(secs => %(seconds)s)
), (
    SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a JOIN pg_locks k ON k.pid = a.pid
    WHERE NOT has_lock AND k.locktype = 'advisory' AND k.granted AND k.objsubid = 1 AND a.datname = current_database()
    AND (k.classid::bigint << 32 | k.objid::bigint) = hashtextextended('controller/' || %(name)s, 0)
    AND NOT EXISTS (SELECT 1 FROM leases WHERE project = %(project)s AND a.application_name = 'controller:' || holder)
    AND a.state_change < clock_timestamp() - make_interval(secs => %(opening)s)
) FROM tried
"""
"""The second part is for a controller that was stopped between the lock and its term, when it has no lease yet."""
_FENCE = """
WITH own AS (UPDATE leadership SET commits = commits + 1 WHERE project = %s AND holder = %s RETURNING commits)
SELECT pg_current_xact_id()::text, commits, pg_notify(%s, commits::text) FROM own
"""
_BEGIN = """
INSERT INTO leadership (project, term, holder, host, pid, version, since, commits)
VALUES (%(project)s, 1, %(holder)s, %(host)s, %(pid)s, %(version)s, clock_timestamp(), 1)
ON CONFLICT (project) DO UPDATE SET term = leadership.term + 1, holder = excluded.holder, host = excluded.host,
    pid = excluded.pid, version = excluded.version, since = excluded.since, commits = leadership.commits + 1, url = NULL
RETURNING term, commits
"""
_BEGIN_LEASE = """
INSERT INTO leases (project, holder, renewed_at) VALUES (%(project)s, %(holder)s, clock_timestamp())
ON CONFLICT (project) DO UPDATE SET holder = excluded.holder, renewed_at = excluded.renewed_at
"""
_RENEW = "UPDATE leases SET renewed_at = clock_timestamp() WHERE project = %s AND holder = %s"
_OUTCOME = """
SELECT pg_xact_status(%(id)s::xid8), (
    SELECT holder <> %(holder)s OR commits >= %(commits)s FROM leadership WHERE project = %(project)s
), (SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_xid = %(id)s::xid8::xid)
"""
"""Also ends the session of the transaction if it is in progress: its commit could arrive later.

A replica that was promoted without a transaction gives its number to another one. The count of commits shows that.
"""
_CONFIRM = "UPDATE leases SET renewed_at = renewed_at WHERE project = %(project)s"
"""A server with synchronous replication shows commits that the replica lacks. The answer to a later one is a proof."""
_END_LEASE = "DELETE FROM leases WHERE project = %s AND holder = %s"


class Leadership:
    """The leadership of one project, for one process. Use it from one thread at a time, except for `transaction`.

    `commits` is the count of commits of the project after the last one of this process.
    """

    def __init__(self, url: StateUrl, project: str) -> None:
        self.url = url
        self.holder = uuid4().hex
        self.term: int | None = None
        self.commits = 0
        self._project = project
        self._name = project if url.schema is None else url.project
        self._channel = channel_of(url, project)
        self._has_leases = False
        self._lock: psycopg.Connection[tuple[Any, ...]] | None = None

    @property
    def application_name(self) -> str:
        """The name of all sessions of this controller, by which another one can end them."""
        return f"controller:{self.holder}"

    @property
    def has_lost_lock(self) -> bool:
        """Whether the session with the lock has ended."""
        return self._lock is None or self._lock.closed

    def try_lock(self) -> bool:
        """Try to get the lock, and end the sessions of a leader whose lease has expired. Raises StateError."""
        with translate_driver_errors():
            if self._lock is None or self._lock.closed:
                self._lock = connect(self.url, self.application_name, _ANSWER_SECONDS)
                _check_session(self._lock)
            self._has_leases = self._has_leases or _has_tables(self._lock)
            if not self._has_leases:
                return self._lock.execute(_TRY_LOCK, (self._name,)).fetchone() == (True,)
            values = {
                "name": self._name,
                "project": self._project,
                "seconds": LEASE.total_seconds(),
                "opening": _OPENING_SECONDS,
            }
            row = self._lock.execute(_TRY_LOCK_OR_END_STALE, values).fetchone()
            return row is not None and bool(row[0])

    def begin(self) -> None:
        """Begin a new term. Call it with the lock, when the tables exist. Raises StateError."""
        assert self._lock is not None
        values = {
            "project": self._project,
            "holder": self.holder,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": __version__,
        }
        with translate_driver_errors(), self._lock.transaction():
            row = self._lock.execute(_BEGIN, values).fetchone()
            assert row is not None
            self._lock.execute(_BEGIN_LEASE, values)
            self._lock.execute("SELECT pg_notify(%s, %s)", (self._channel, str(row[1])))
        self.term, self.commits = row

    def join(self) -> None:
        """Write in the term of the controller that leads, for a command beside it. Raises StateError."""
        with translate_driver_errors(), connect(self.url) as connection:
            row = connection.execute("SELECT holder FROM leadership WHERE project = %s", (self._project,)).fetchone()
        if row is None:
            raise StateError("No controller leads.", hint="Start `controller run`.")
        self.holder = row[0]

    def renew(self) -> None:
        """Renew the lease. Raises DeposedError if another term has begun, StateError if the server can't be used."""
        assert self._lock is not None
        with translate_driver_errors():
            if self._lock.execute(_RENEW, (self._project, self.holder)).rowcount != 1:
                raise deposed()

    def record_place(self, place: str) -> None:
        """Record that this controller lives, which keeps the files of its runs at this place. Raises StateError."""
        assert self._lock is not None
        with translate_driver_errors():
            if _has_tables(self._lock, "hosts"):
                record_place(self._lock, self._project, place)

    def report(self, report: AttemptReport) -> None:
        """Report to the leader how an attempt on this host has ended. Raises StateError."""
        assert self._lock is not None
        with translate_driver_errors():
            report_attempt(self._lock, report)

    @contextmanager
    def transaction(self, opened: OpenConnection) -> Iterator[Connection]:
        """Open a write transaction of this term. Raises DeposedError if another term has begun."""
        transaction_id, commits = "", self.commits
        is_complete = False
        try:
            with opened.begin() as connection:
                row = connection.exec_driver_sql(_FENCE, (self._project, self.holder, self._channel)).fetchone()
                if row is None:
                    raise deposed()
                transaction_id, commits = row[0], row[1]
                yield connection
                is_complete = True
        except exc.DBAPIError as error:
            if not (is_complete and error.connection_invalidated and self._was_committed(transaction_id, commits)):
                raise
        self.commits = commits

    def release(self) -> None:
        """End the lease, release the lock and end its session, so that another controller can lead at once."""
        if self._lock is None:
            return
        with suppress(psycopg.Error):  # the lease expires, and the end of the session releases the lock
            if self.term is not None:
                self._lock.execute(_END_LEASE, (self._project, self.holder))
            self._lock.execute("SELECT pg_advisory_unlock_all()")
        self._lock.close()
        self._lock = None

    def _was_committed(self, transaction_id: str, commits: int) -> bool:
        """Return whether a transaction was committed although its connection was lost. False if nobody can say."""
        values = {"id": transaction_id, "holder": self.holder, "commits": commits, "project": self._project}
        deadline = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < deadline and not have_sessions_ended():
            with suppress(psycopg.Error), connect(self.url, answer_seconds=_SETTLE_SECONDS) as connection:
                row = connection.execute(_OUTCOME, values).fetchone()
                if row is not None and row[0] != "in progress":
                    connection.execute(_CONFIRM, values)
                    return bool(row[0] == "committed" and row[1])
            threading.Event().wait(_PAUSE_SECONDS)
        return False


def lead(url: StateUrl, project: str) -> Leadership:
    """Return the leadership of a project, with the lock. Raises AlreadyRunningError if another controller leads."""
    leadership = Leadership(url, project)
    try:
        if not leadership.try_lock():
            raise already_leading(url)
    except BaseException:
        leadership.release()
        raise
    return leadership


def silent() -> DeposedError:
    """Return the error of a controller that can't show the others that it lives."""
    return DeposedError(
        "The state database can't be reached, so another controller may lead this project now. This one starts no more"
        " runs; running flows continue.",
        hint="It leads again when it reaches the database and no other controller leads.",
    )


def already_leading(url: StateUrl) -> AlreadyRunningError:
    """Return the error for a command that would have to wait for another controller."""
    return AlreadyRunningError(f"Another controller is already using {url}.", hint="Stop it, or use another database.")


def deposed() -> DeposedError:
    """Return the error of a controller that no longer leads."""
    return DeposedError(
        "Another controller leads this project now. This one starts no more runs; running flows continue.",
        hint="It waits as a standby.",
    )


def _has_tables(connection: psycopg.Connection[tuple[Any, ...]], name: str = "leases") -> bool:
    row = connection.execute("SELECT to_regclass(%s)", (name,)).fetchone()
    return row is not None and row[0] is not None


def _check_session(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Raise StateError for a connection pooler that gives each transaction another session, which has no lock."""
    processes = {connection.execute("SELECT pg_backend_pid()").fetchone() for _ in range(3)}
    if len(processes) > 1:
        raise StateError(
            "--state-url names a connection pooler, which gives each transaction another session.",
            hint="Use the URL of the server itself, or the pooling mode `session`.",
        )
