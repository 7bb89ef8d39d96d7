"""Waiting for a run: its id at once, its output as it arrives, and its progress on a terminal."""

from pathlib import Path

import pytest

from tests.command_server import CommandServer
from tests.unit.cli.conftest import Followed, StartCommand
from tests.unit.cli.test_terminal import on_terminal

FLOW = """
import os
import time
from controller import flow, task

@task
def check(number):
    while number == 2 and not os.path.exists({gate!r}):
        time.sleep(0.02)

@flow
def main():
    print("begin", flush=True)
    check(1)
    check(2)
    return "done"
"""


@pytest.fixture
def gate(followed: Followed, tmp_path: Path) -> Path:
    """The file that the second task of the deployment `gated` waits for."""
    gate = tmp_path / "gate"
    files = {
        "flows/gated.py": FLOW.format(gate=str(gate)),
        "deployments/gated.yaml": "name: gated\nflow: flows/gated.py:main\n",
    }
    followed.commit(files)
    return gate


def test_the_id_and_the_output_are_printed_while_the_run_is_in_progress(
    followed: Followed, start_command: StartCommand, gate: Path
) -> None:
    with start_command("trigger", "gated", "--logs", *followed.place) as started:
        word, run_id = started.err.readline().split()
        assert word == "Run"
        assert started.out.readline() == "begin\n"
        assert not gate.exists()
        gate.touch()
        assert started.out.read() == f'{run_id} succeeded\nresult: "done"\n'
        assert started.err.read() == ""
        assert started.process.wait(60) == 0


@pytest.mark.parametrize("verb", ["trigger", "watch"])
def test_a_terminal_shows_the_tasks_of_a_run_in_progress(
    commands: CommandServer, followed: Followed, gate: Path, verb: str
) -> None:
    where = ["--repo", str(followed.repository.path)]
    arguments = ["trigger", "gated", "--wait", *where]
    if verb == "watch":
        run_id = followed("trigger", "gated", "-o", "json").json["run_id"]
        arguments = ["runs", "watch", run_id, *where]
    with on_terminal(commands, followed.repository.path, *arguments, term="xterm") as terminal:
        seen = terminal.read_until(lambda text: b"1 of 2 tasks done" in text)
        if verb == "watch":
            terminal.read_until(lambda text: b"check-2" in text)
        assert b"reason" not in seen
        gate.touch()
        terminal.read_until(lambda text: b"succeeded" in text)
        assert terminal.process.wait(60) == 0


def test_a_finished_run_is_watched_with_its_reason(commands: CommandServer, followed: Followed) -> None:
    run_id = followed("trigger", "fails", "--wait", "-o", "json").json["run_id"]
    assert followed("runs", "watch", run_id).out == f"{run_id} failed: exit code 3\n"
    script = ["runs", "watch", run_id, "--repo", str(followed.repository.path)]
    with on_terminal(commands, followed.repository.path, *script, term="xterm") as terminal:
        terminal.read_until(lambda text: b"reason: exit code 3" in text)
        assert terminal.process.wait(60) == 1


def test_a_retry_prints_its_id_at_once(followed: Followed) -> None:
    run_id = followed("trigger", "fails", "--wait", "-o", "json").json["run_id"]
    answer = followed("runs", "retry", run_id, "--wait")
    assert answer.code == 1
    assert answer.err == f"Run {answer.out.split()[0]}\n"
