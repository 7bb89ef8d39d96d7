"""The cost of one run of a no-op flow: files, forks, flushes to disk and commits. More of them change a number here.

Times depend on the machine; these numbers do not. `make bench` measures the times.
"""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from controller.model.runs import RunState
from controller.runs.executors.local.supervisor import flow_main
from controller.runs.executors.local.supervisor.cold_start import IMPORT
from controller.runs.executors.local.supervisor.flow_events import FlowEvents
from tests.conftest import PATIENCE_SECONDS
from tests.unit.runs.conftest import Supervised, World

pytestmark = pytest.mark.integration

# Count audit events (sys.addaudithook), and fsync, which has none, until the supervisor ends or the flow is executed.
COUNTING = f"""
{IMPORT}
import collections, json, os
from controller.runs.executors.local.supervisor import supervise
counts = collections.Counter()
fsync, leave = os.fsync, os._exit
sys.addaudithook(lambda name, arguments: counts.update([name]))
def counted_fsync(descriptor):
    counts["fsync"] += 1
    fsync(descriptor)
def leave_with_counts(code):
    counted = json.dumps(counts)
    with open(sys.argv[3], "w") as stream:
        stream.write(counted)
    leave(code)
os.fsync, os._exit = counted_fsync, leave_with_counts
supervise.main(sys.argv[2])
"""
COUNTED = ("os.fork", "fsync", "open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.listdir")


def count_supervisor(directory: Path) -> dict[str, int]:
    """Run a supervisor that counts what it does. Return the counts of `COUNTED`."""
    one = Supervised(directory)
    one.prepare(["true"])
    counts, package = directory.with_name("counts"), Path(__file__).parents[3]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-I", "-S", "-c", COUNTING, str(package), str(directory), str(counts)]
        process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=theirs.fileno())
        theirs.close()
        ours.settimeout(PATIENCE_SECONDS)
        assert ours.recv(64) == b"READY\n"
        ours.sendall(b"GO\n")
        ours.shutdown(socket.SHUT_WR)
        assert process.wait(PATIENCE_SECONDS) == 0
    assert json.loads((directory / "exit").read_bytes())["outcome"] == "succeeded"
    counted = json.loads(counts.read_text())
    return {name: counted.get(name, 0) for name in COUNTED}


def test_a_supervisor_forks_once_and_flushes_only_the_outcome_and_its_directory(tmp_path: Path) -> None:
    assert count_supervisor(tmp_path / "run") == {
        "os.fork": 1,
        "fsync": 2,
        "open": 10,
        "os.rename": 2,
        "os.mkdir": 1,
        "os.rmdir": 1,
        "os.remove": 0,
        "os.listdir": 0,
    }


def test_reading_a_report_compiles_no_regular_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []
    monkeypatch.setattr(re, "_compile", lambda *arguments: compiled.append(arguments))
    events = FlowEvents()
    events.feed(b'{"result": {"a": "[]"}}\n')
    assert (events.own, compiled) == ({"result": {"a": "[]"}}, [])


@pytest.mark.usefixtures("own_server")
@pytest.mark.parametrize("start", ["warm"])
def test_a_run_has_three_commits_after_its_request_and_five_files(world: World) -> None:
    world.write("flows/a.py", "def f():\n    pass\n")
    world.declare(a="name: a\nflow: flows/a.py:f\n")
    engine = world.start()
    assert world.run("a").state is RunState.SUCCEEDED
    before, launches = world.store.commits, engine.statistics.warm_launches
    run = world.run("a")
    assert run.state is RunState.SUCCEEDED
    assert world.store.commits - before == 4
    [attempt] = (world.runs_directory / run.id).iterdir()
    assert sorted(os.listdir(attempt)) == ["exit", "lock", "log", "run.json", "started"]  # noqa: PTH208
    assert engine.statistics.warm_launches == launches + 1
    assert engine._preparation._pinned_deployments.parsed == 0  # the pass has parsed the file


def test_a_flow_in_a_new_interpreter_loads_few_modules(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import sys\ndef f(region: str, tables: list[str] | None = None):\n    print(*sorted(sys.modules))\n"
    )
    one = Supervised(tmp_path / "run")
    call = {"root": str(tmp_path), "path": "a.py", "name": "f", "parameters": {"region": "eu"}, "pycache": None}
    argv, env = [sys.executable, "-P", flow_main.__file__], {"HOME": str(tmp_path)}
    one.prepare(argv, cwd=tmp_path, call=call, env=env)
    assert one.start()
    one.say(b"GO\n")
    assert one.end()["outcome"] == "succeeded"
    bare = subprocess.run([sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, check=True)
    ours = set(one.log().split()) - set(bare.stdout.decode().split())
    one.close()
    assert ours == {"__future__", "_json", "_controller_run", "a", "atexit", "gc"}


def test_a_supervisor_in_a_new_interpreter_does_not_load_typing() -> None:
    script = f"{IMPORT}from controller.runs.executors.local.supervisor import supervise; print(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", script, str(Path(__file__).parents[3])]
    loaded = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    assert {"typing", "dataclasses", "warnings", "subprocess"}.isdisjoint(loaded)
