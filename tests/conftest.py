"""Helpers for tests of several folders: a clock that tests set, waiting with a deadline, real repositories."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from controller.state_url import StateUrl
from controller.store import Store
from tests.command_server import CommandServer
from tests.postgresql import Server, empty
from tests.thoroughness import scaled

# On a loaded machine, an example that takes milliseconds can take longer than Hypothesis's deadline of 200 ms.
settings.register_profile(
    "controller", max_examples=scaled(100), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("controller")

# A shell ignores it for what it runs in the background, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PATIENCE_SECONDS = 60.0


class ManualClock:
    """A clock that changes only when a test changes it. Threads wait by its monotonic time, which is the machine's."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._elapsed = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return time.monotonic()

    def elapsed(self) -> float:
        return self._elapsed

    def turn(self, by: timedelta) -> datetime:
        """Time passes; a negative time can only be a step."""
        self._elapsed += max(0.0, by.total_seconds())
        return self.step(by)

    def step(self, by: timedelta) -> datetime:
        """Somebody sets the clock: no time passes."""
        self._now += by
        return self._now


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--interpreter", default=sys.executable, help="the Python of the environments that flows run in")


@pytest.fixture(scope="session")
def interpreter(pytestconfig: pytest.Config) -> str:
    """The interpreter to make Python environments with."""
    return str(pytestconfig.getoption("--interpreter"))


def pytest_collection() -> None:
    """Collect no garbage while tests are collected: nearly all objects stay, and a fifth of the time goes to it."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Exclude the collected tests from garbage collection, which would examine all of them again and again."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """A controller that is made within a test sets the mask of its whole process."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def wait_until(condition: Callable[[], object], *, within: float = PATIENCE_SECONDS) -> None:
    """Return as soon as the condition holds; fail after `within` seconds without it.

    A condition that sends a request or runs a command is checked less often, and so is one that has not held for long,
    so that others have the processor.
    """
    pause = threading.Event()
    start = begin = time.monotonic()
    while not condition():
        end = time.monotonic()
        assert end < start + within, f"did not happen within {within} seconds"
        pause.wait(min(max(0.02, 4 * (end - begin), (end - start) / 16), 0.5))
        begin = time.monotonic()


@dataclass(frozen=True, slots=True)
class GitRepository:
    """A real repository, driven by the git command with an identity of its own and no configuration from outside."""

    path: Path

    def git(self, *arguments: str, stdin: bytes | None = None, at: datetime | None = None) -> str:
        """Run git, at the present or, for the times in a commit, at another time."""
        dates = {} if at is None else dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), at.isoformat())
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            input=stdin,
            env={
                "PATH": os.defpath,
                "GIT_CONFIG_GLOBAL": "/dev/null",
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_AUTHOR_NAME": "Ada",
                "GIT_AUTHOR_EMAIL": "ada@localhost",
                "GIT_COMMITTER_NAME": "Ada",
                "GIT_COMMITTER_EMAIL": "ada@localhost",
                **dates,
            },
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()

    def write(self, path: str, content: str | bytes) -> Path:
        target = self.path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def commit(
        self, files: dict[str, str] | None = None, *, message: str = "change", at: datetime | None = None
    ) -> str:
        """Write these files, commit everything, and return the commit's id."""
        for path, content in (files or {}).items():
            self.write(path, content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message, at=at)
        return self.git("rev-parse", "HEAD")

    def head(self) -> str:
        return self.git("rev-parse", "HEAD")


def new_repository(path: Path) -> GitRepository:
    path.mkdir(parents=True)
    repository = GitRepository(path)
    repository.git("init", "--quiet", "--initial-branch=main")
    return repository


@pytest.fixture(autouse=True)
def _no_configuration_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("GIT_", "CONTROLLER_"))]:  # noqa: TID251
        monkeypatch.delenv(name)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    """A git repository without a commit, on the branch `main`."""
    return new_repository(tmp_path / "repo")


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with all migrations applied once. Tests copy it, because migrating takes much longer."""
    path = tmp_path_factory.mktemp("migrated") / "state.db"
    Store.open(path).close()
    return path


@pytest.fixture(scope="session")
def commands() -> Iterator[CommandServer]:
    """Runs commands of controller. Modules that test the installed script itself override it with None."""
    server = CommandServer()
    yield server
    server.stop()


@pytest.fixture
def sqlite_store(tmp_path: Path, migrated_database: Path) -> Iterator[Store]:
    """An empty state database, open to write."""
    opened = Store.open(Path(shutil.copy(migrated_database, tmp_path / "state.db")))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """A PostgreSQL server. Stopping it, or changing its settings, needs another one."""
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgresql_tables(postgresql_server: Server) -> StateUrl:
    """A database with all tables."""
    url = postgresql_server.create_database("tables")
    Store.open(url).close()
    return url


@pytest.fixture
def postgresql_url(postgresql_tables: StateUrl) -> StateUrl:
    """A database with all tables, which are empty."""
    empty(postgresql_tables)
    return postgresql_tables


@pytest.fixture
def postgresql_store(postgresql_url: StateUrl) -> Iterator[Store]:
    """An empty state database on a PostgreSQL server, open to write."""
    opened = Store.open(postgresql_url)
    yield opened
    opened.close()


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Store:
    """An empty state database, open to write: a file of SQLite, unless `BOTH_DATABASES` marks the test."""
    opened: Store = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_store")
    return opened
