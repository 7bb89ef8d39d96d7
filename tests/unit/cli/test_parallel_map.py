"""`validate` of many files works in several processes: the same results, and nothing is left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from controller.cli.manifest_files import Target, read_manifests
from controller.cli.parallel_map import MAX_PROCESSES, count_processes, parallel_map
from controller.settings import Location
from tests.conftest import wait_until
from tests.leftovers import children, open_files

_HANGING = """\
import os, sys
from controller.cli.main import run
from controller.cli import parallel_map

def check(item):
    with open(sys.argv[1], "a") as log:
        print(item, os.getpid(), file=log, flush=True)
    if item != 0:
        os.read(0, 1)  # until the test closes the other end
    return item

def validate(arguments):
    parallel_map.parallel_map(check, range(20), 3)

import click
from controller.cli import main
main._Commands.get_command = lambda self, ctx, name: click.Command("validate", callback=lambda: validate(()))
sys.exit(run(["validate"]))
"""


def test_results_are_in_the_order_of_the_items_and_come_from_several_processes() -> None:
    results = parallel_map(lambda item: (item, os.getpid()), range(100), 3)
    assert [item for item, _ in results] == list(range(100))
    assert len({process for _, process in results}) == 3
    assert results[0][1] == os.getpid()


def test_no_process_and_no_file_is_left() -> None:
    files, processes = open_files(), children()
    parallel_map(str, range(10), 3)
    with pytest.raises(ZeroDivisionError):
        parallel_map(lambda item: 1 // (item - 7), range(10), 3)
    assert (open_files() - files, children() - processes) == (set(), set())


def test_items_of_a_process_that_is_killed_are_handled_here() -> None:
    parent = os.getpid()

    def die_elsewhere(item: int) -> int:
        if os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    assert parallel_map(die_elsewhere, range(10), 4) == list(range(10))


def test_the_number_of_processes_depends_on_the_files_and_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert [count_processes(files) for files in (0, 1, 299, 300, 1000, 10_000)] == [1, 1, 1, 2, 6, MAX_PROCESSES]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert count_processes(10_000) == 1


def test_findings_are_the_same_in_one_process_and_in_several(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "deployments").mkdir()
    (tmp_path / "flows/etl.py").write_text("def main(region: str, days: int = 1): ...\n")
    (tmp_path / "controller.yaml").write_text("environments: {prod: {defaults: {tags: [live]}}}\n")
    bodies = (
        "flow: flows/etl.py:main\nparameters: {region: eu}\nschedule: 0 2 * * *\n",
        "flow: flows/etl.py:main\nparameters: {region: 1, dayz: 2}\nschedule: 0 2 30 2 *\n",
        "flow: flows/missing.py:main\ntags: wrong\n",
        "command: [echo]\nafter: [d3]\nenvironments: {prod: {parameters: {a: 1}}, test: {timeout: never}}\n",
        "command: [echo\n",
    )
    for index in range(60):
        name = "same" if index in (11, 12) else f"d{index}"
        (tmp_path / f"deployments/{index:02}.yaml").write_text(f"name: {name}\n{bodies[index % 5]}")
    location = Location(repo=tmp_path, path="deployments", ref=None, state_dir=tmp_path / "state")
    one, several = (
        read_manifests([Target(tmp_path, "deployments")], location, all_environments=True, processes=number)
        for number in (1, 3)
    )
    assert several == one
    assert len({finding.code for finding in one.desired.findings}) >= 6
    assert one.desired.deployments


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_command_leaves_no_process_and_prints_no_traceback(tmp_path: Path, stop: signal.Signals) -> None:
    log = tmp_path / "log"
    read, write = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _HANGING, str(log)], stdin=read, stderr=subprocess.PIPE, process_group=0, text=True
        )
        wait_until(lambda: log.exists() and len({line.split()[1] for line in log.read_text().splitlines()}) == 3)
        workers = {int(line.split()[1]) for line in log.read_text().splitlines()} - {process.pid}
        if stop is signal.SIGINT:
            os.killpg(process.pid, stop)  # as a terminal does
        else:
            process.send_signal(stop)
        code = process.wait(60)
    finally:
        os.close(write)
        os.close(read)
    wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    assert (code, process.communicate()[1].strip()) == (130 if stop is signal.SIGINT else -stop, "")
    handled = [line.split()[1] for line in log.read_text().splitlines()]
    assert max(handled.count(str(worker)) for worker in workers) == 1
