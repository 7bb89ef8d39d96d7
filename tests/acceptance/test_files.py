"""Files arrive while the controller is killed at the worst moments: each file starts exactly one run."""

import os
import signal
from pathlib import Path

import pytest

from controller.crashpoints import FILES
from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, Running, until

pytestmark = pytest.mark.acceptance

FLOW = "def load(path):\n    return open(path, 'rb').read().decode()\n"


def write(inbox: Path, *names: str | bytes) -> None:
    """Write files as a careful program does: under another name, and then renamed."""
    for name in names:
        file = Path(os.fsdecode(name))
        part = inbox / f".{file.name}.part"
        part.write_bytes(os.fsencode(name).replace(b"\xff", b"?"))
        part.rename(inbox / file)


def loaded(repository: Repository) -> list[str]:
    """The results of the runs that succeeded."""
    return sorted(run["result"] for run in repository.runs("load", "succeeded"))


def test_each_file_starts_one_run_although_the_controller_is_killed(
    repository: Repository, running: Start, tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    repository.write("flows/load.py", FLOW)
    repository.write(
        "deployments/load.yaml",
        "name: load\nflow: flows/load.py:load\noverlap: allow\n"
        f"on: [{{files: {{path: {inbox}, pattern: '*.csv', settle: 0.1s, parameter: path}}}}]\n",
    )
    repository.commit("Load what arrives")
    names: list[str | bytes] = []
    for point in FILES:
        new: list[str | bytes] = [f"{point}{number}.csv" for number in range(3)]
        write(inbox, *new)
        names += new
        options, crash = ("--watch-root", str(tmp_path)), {"CONTROLLER_CRASHPOINT": f"files:{point}"}
        killed = Running(repository, tmp_path / f"{point}.log", options, crash)
        assert killed.process.wait(60) == -signal.SIGKILL
    running(repository, "--watch-root", str(tmp_path))
    write(inbox, b"last\xff.csv", "late.csv", "ignored.txt")
    names += ["last?.csv", "late.csv"]
    expected = sorted(os.fsdecode(name) for name in names)
    until(lambda: len(loaded(repository)) == len(expected), "the runs of all files")
    assert loaded(repository) == expected
    shown = repository.ask("deployments", "show", "load").out
    assert f"new files in {inbox} that match *.csv" in " ".join(shown.split())
    [newest] = [run for run in repository.runs("load") if run["result"] == "last?.csv"]
    assert os.fsencode(newest["parameters"]["path"]).endswith(b"last\xff.csv")
    assert repository.ask("runs", "show", newest["id"]).code == 0
    assert f"It runs for new files in {inbox} that match *.csv." in repository.ask("next", "load").err
    assert repository.ask("doctor").code == 0
