"""Power cuts: data reported as written is still there, and incomplete exports are written again instead of used."""

import logging
import os
from pathlib import Path

import pytest

from controller.sources.exports import Entry, Exports, Kind
from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository
from tests.faults.conftest import Disk

pytestmark = pytest.mark.faults

COMMIT = "c" * 40
ENTRIES = [Entry(path=f"{n % 7}/{n}.py", kind=Kind.FILE, content=b"print(%d)\n" % n * 50) for n in range(400)]


def test_a_finished_export_is_complete_after_a_power_cut(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    Exports(disk.path / "exports").write(COMMIT, ENTRIES)
    disk.cut_power()
    exports = Exports(disk.path / "exports")
    with caplog.at_level(logging.WARNING):
        assert exports.verify(COMMIT)
    assert caplog.records == []
    for entry in ENTRIES:
        assert (exports.root(COMMIT) / entry.path).read_bytes() == entry.content


def test_an_export_with_lost_files_is_exported_again(disk: Disk) -> None:
    exports = Exports(disk.path / "exports")
    root = exports.write(COMMIT, ENTRIES)
    os.sync()
    # As left by an older version, or by a disk that reports a flush before the data is written.
    for entry in ENTRIES[:5]:
        (root / entry.path).chmod(0o644)
        (root / entry.path).write_bytes(b"")
    disk.cut_power()
    later = Exports(disk.path / "exports")
    if not later.verify(COMMIT):
        later.write(COMMIT, ENTRIES)
    for entry in ENTRIES:
        assert (later.root(COMMIT) / entry.path).read_bytes() == entry.content


def test_runs_succeed_after_a_power_cut_right_after_the_first_run(
    disk: Disk, repository: Repository, running: Start, tmp_path: Path
) -> None:
    effect = tmp_path / "effect"
    repository.write(
        "flows/a.py",
        f"""
        def main() -> int:
            with open({str(effect)!r}, "a") as stream:
                return stream.write("x")
        """,
    )
    for number in range(200):
        repository.write(f"data/{number}.txt", "content")
    repository.write("deployments/a.yaml", "name: a\nflow: flows/a.py:main\n")
    repository.commit()
    state = str(disk.path / "state")
    repository.machine.environment["CONTROLLER_STATE_DIR"] = state
    first = running(repository, "--state-dir", state)
    assert repository.trigger("a")["state"] == "succeeded"
    first.process.kill()
    first.process.wait()
    disk.cut_power()
    running(repository, "--state-dir", state)
    for _ in range(2):
        assert repository.trigger("a")["state"] == "succeeded"
    assert effect.read_text(encoding="ascii") == "xxx"
    [export] = (disk.path / "state" / "exports").glob("[0-9a-f]*")
    assert {path.read_text(encoding="utf-8") for path in (export / "tree" / "data").iterdir()} == {"content"}


def test_the_log_reports_output_lost_in_a_power_cut(disk: Disk, repository: Repository, running: Start) -> None:
    repository.write("deployments/a.yaml", "name: a\ncommand: [sh, -c, 'echo much; echo more']\n")
    repository.commit()
    state = str(disk.path / "state")
    repository.machine.environment["CONTROLLER_STATE_DIR"] = state
    first = running(repository, "--state-dir", state)
    run_id = repository.trigger("a")["id"]
    first.process.kill()
    first.process.wait()
    disk.cut_power()
    running(repository, "--state-dir", state)
    assert repository.tell("runs", "show", run_id)["state"] == "succeeded"
    lines = repository.ask("runs", "logs", run_id).out.splitlines()
    lost = "[controller: 10 bytes of output were lost when the machine lost power]"
    assert lines in (["much", "more"], [lost])
