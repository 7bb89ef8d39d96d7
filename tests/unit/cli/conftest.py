"""A repository with a little of everything, a controller that follows it, and the command line, in this process."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.app.controller import Controller
from controller.app.stop_signal import StopSignal
from controller.cli.main import run
from controller.settings import Location, Settings, UvSettings, default_state_directory
from tests.conftest import GitRepository, wait_until

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
class Followed:
    """A repository that a controller in this process follows."""

    repository: GitRepository
    command: Command
    controller: Controller

    def __call__(self, *arguments: str) -> Answer:
        return self.command(*arguments, "--repo", str(self.repository.path))


@pytest.fixture
def followed(repository: GitRepository, command: Command) -> Iterator[Followed]:
    repository.commit(FILES)
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
