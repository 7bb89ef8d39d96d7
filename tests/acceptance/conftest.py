"""Fixtures of the acceptance tests: a repository or a plain directory, and controllers that must stop cleanly."""

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.acceptance.harness import Folder, Machine, Repository, Running, processes, until
from tests.command_server import CommandServer

Start = Callable[..., Running]


@pytest.fixture
def machine(tmp_path: Path, commands: CommandServer | None) -> Iterator[Machine]:
    """A home directory of its own. Whatever was started in it and is left over ends with the test."""
    found = Machine(tmp_path / "home", commands)
    yield found
    for pid in processes((f"HOME={found.home}\0", f"{tmp_path}/")):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def repository(tmp_path: Path, machine: Machine) -> Repository:
    """A git repository without commits."""
    return Repository(tmp_path / "r", machine)


@pytest.fixture
def folder(tmp_path: Path, machine: Machine) -> Folder:
    """A plain directory."""
    return Folder(tmp_path / "d", machine)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Start]:
    """`running(folder, *arguments, **env)` starts a controller and returns when it has logged its start."""
    started: list[Running] = []
    numbers = itertools.count(1)

    def start(folder: Folder, *arguments: str, **env: str) -> Running:
        controller = Running(folder, tmp_path / f"run{next(numbers)}.log", arguments, env)
        started.append(controller)
        until(lambda: controller.is_started, "the controller to start")
        return controller

    try:
        yield start
        for controller in started:
            if controller.process.poll() is None:
                controller.stop()
            assert "Traceback" not in controller.output
    finally:
        for controller in started:
            controller.kill()
