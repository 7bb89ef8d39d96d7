"""A repository with a little of everything, a controller that follows it, and the command line, in this process.

All tests of a worker share one such controller, so they give what they commit names of their own. `OWN_CONTROLLER`
marks a test that changes the deployments of `FILES`, that counts all runs, or that stops the controller.
"""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any

import pytest

from controller.app.controller import Controller
from controller.app.stop_signal import StopSignal
from controller.cli.main import run
from controller.settings import Location, Settings, UvSettings, default_state_directory
from tests.command_server import CommandServer, Process
from tests.conftest import GitRepository, new_repository, wait_until

OWN_CONTROLLER = pytest.mark.parametrize("is_shared", [False], ids=["own controller"])
"""A test that does not use the shared controller."""

FILES = {
    "flows/sums.py": "def add(nums, label='x'):\n    print('adding')\n    return {'sum': sum(nums), 'label': label}\n",
    "deployments/sums.yaml": (
        "name: sums\nflow: flows/sums.py:add\ntags: [math]\nversion: '1'\nparameters: {nums: [1, 2]}\n"
        "schedules:\n- {id: nightly, cron: '0 2 * * *', timezone: Europe/Berlin, dst: {gap: skip, repeat: first}}\n"
    ),
    "deployments/fails.yaml": "name: fails\ncommand: [sh, -c, 'seq 5; exit 3']\ntimeout: 10s\n",
    "deployments/asleep.yaml": "name: asleep\ncommand: ['true']\nsuspend: true\nschedules: [{interval: 1h}]\n",
    "deployments/never.yaml": "name: never-good\ncommand: 5\n",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The output of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Answer]
OnTerminal = Callable[[list[str], dict[str, str]], str]
StartCommand = Callable[..., AbstractContextManager["Started"]]


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """`run` sends the log to this test's output; the next test has another."""
    log = logging.getLogger("controller")
    before = (log.handlers, log.level, log.propagate)
    yield
    log.handlers, log.propagate = before[0], before[2]
    log.setLevel(before[1])


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """`command("status", "-o", "json")` runs a command line in this process, elsewhere than in a repository."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    def call(*arguments: str) -> Answer:
        capfd.readouterr()
        code = run(arguments)
        said = capfd.readouterr()
        assert "Traceback" not in said.out + said.err
        return Answer(code, said.out, said.err)

    return call


def controller_process(*arguments: str, cwd: Path, env: dict[str, str] | None = None, **more: Any) -> Any:
    """The installed command as a process of its own."""
    program = Path(sys.executable).parent / "controller"
    return subprocess.run(
        [str(program), *arguments],
        cwd=cwd,
        env={"PATH": os.defpath, "HOME": str(cwd), **(env or {})},
        capture_output=True,
        check=False,
        timeout=60,
        **more,
    )


@dataclass(frozen=True, slots=True)
class Started:
    """A command that runs in a process of its own, and what it prints."""

    process: Process
    out: IO[str]
    err: IO[str]


@pytest.fixture
def start_command(commands: CommandServer, tmp_path: Path) -> StartCommand:
    """Start a command in a process of its own, which ends with the block."""

    @contextmanager
    def start(*arguments: str) -> Iterator[Started]:
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        env = {"PATH": os.defpath}
        process = commands.start(arguments, cwd=tmp_path, env=env, stdout=out_end, stderr=err_end)
        os.close(out_end)
        os.close(err_end)
        with open(out, encoding="utf-8") as out_stream, open(err, encoding="utf-8") as err_stream:  # noqa: PTH123
            try:
                yield Started(process, out_stream, err_stream)
            finally:
                process.kill()
                process.wait()

    return start


@pytest.fixture
def on_terminal(commands: CommandServer, tmp_path: Path) -> OnTerminal:
    """`on_terminal(["status"], {"TERM": "xterm"})` returns the output of a command on a terminal."""

    def call(arguments: list[str], env: dict[str, str]) -> str:
        main, end = os.openpty()
        done = commands.run(*arguments, cwd=tmp_path, env=env, stdout=end)
        os.close(end)
        assert (done.returncode, done.stderr) == (0, b"")
        said = b""
        with suppress(OSError):
            while chunk := os.read(main, 4096):
                said += chunk
        os.close(main)
        return said.decode()

    return call


@dataclass(frozen=True, slots=True)
class Followed:
    """A repository that a controller follows."""

    repository: GitRepository
    command: Command
    own_controller: Controller | None = None

    def __call__(self, *arguments: str) -> Answer:
        return self.command(*arguments, *self.place)

    @property
    def place(self) -> tuple[str, str]:
        """The option that names the repository."""
        return "--repo", str(self.repository.path)

    @property
    def state(self) -> Path:
        """The state directory."""
        return default_state_directory(self.repository.path)

    def commit(self, files: dict[str, str]) -> str:
        """Commit these files, wait until they are applied, and return the commit."""
        commit = self.repository.commit(files)
        assert self("reconcile", "--wait").code in (0, 1)
        return commit

    def deploy_sums(self, name: str) -> None:
        """Deploy the flow and the schedule of `sums` under another name."""
        self.commit({f"deployments/{name}.yaml": FILES["deployments/sums.yaml"].replace("name: sums", f"name: {name}")})

    def stop(self) -> None:
        """Stop the controller, which must be the test's own."""
        assert self.own_controller is not None
        self.own_controller.stop()


@pytest.fixture(scope="session")
def followed_repository(tmp_path_factory: pytest.TempPathFactory) -> GitRepository:
    """A repository with `FILES`, for tests to copy."""
    repository = new_repository(tmp_path_factory.mktemp("followed") / "repo")
    repository.commit(FILES)
    return repository


@pytest.fixture(scope="session")
def shared_repository(
    tmp_path_factory: pytest.TempPathFactory, followed_repository: GitRepository, commands: CommandServer
) -> Iterator[GitRepository]:
    """A repository that a controller in another process follows."""
    repository = copy_repository(followed_repository, tmp_path_factory.mktemp("shared") / "repo")
    controller, log = start_controller(commands, repository)
    yield repository
    controller.send_signal(signal.SIGTERM)
    assert controller.wait(60) == 0
    assert b"Traceback" not in log.read_bytes()


def start_controller(commands: CommandServer, repository: GitRepository) -> tuple[Process, Path]:
    """Start a controller in a process of its own; return it and its log once it has applied the repository."""
    home = repository.path.parent
    log = home / "run.log"
    with log.open("wb") as stream:
        process = commands.start(
            ["run", "--repo", str(repository.path), "--listen", "none", "--max-running", "16"],
            cwd=home,
            env={"PATH": os.defpath, "HOME": str(home), "CONTROLLER_UV": "/bin/false"},
            stdout=stream.fileno(),
            stderr=stream.fileno(),
        )
    wait_until(lambda: b"Applied" in log.read_bytes())
    return process, log


def copy_repository(repository: GitRepository, path: Path) -> GitRepository:
    """Copy a repository, which takes less time than to commit its files."""
    shutil.copytree(repository.path, path, symlinks=True)
    return GitRepository(path)


@pytest.fixture
def is_shared() -> bool:
    """Whether the test uses the shared controller. `OWN_CONTROLLER` overrides it."""
    return True


@pytest.fixture
def followed(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    followed_repository: GitRepository,
    command: Command,
    *,
    is_shared: bool,
) -> Iterator[Followed]:
    """The shared repository and its controller, or one of this test."""
    if is_shared:
        yield Followed(request.getfixturevalue("shared_repository"), command)
        return
    repository = copy_repository(followed_repository, tmp_path / "repo")
    location = Location(
        repo=repository.path, path="deployments", ref=None, state_dir=default_state_directory(repository.path)
    )
    settings = Settings(location=location, grace=timedelta(seconds=0.3), uv=UvSettings(program=Path("/no/uv")))
    controller = Controller(settings, StopSignal())
    controller.start()
    found = Followed(repository, command, controller)
    wait_until(lambda: found("deployments", "show", "sums").code == 0)
    yield found
    controller.stop()
    assert controller.failure is None
