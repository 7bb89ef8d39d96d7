"""Warm starts: a fork behaves like a new interpreter, the server may die or hang, and the cost of a run is limited."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from controller.clock import SystemClock
from controller.model.runs import Run, RunState
from controller.runs import engine
from controller.runs.executors.local.executor import LocalExecutor
from controller.runs.executors.local.fork_server_client import ForkServer
from controller.runs.executors.local.interpreter import PACKAGE
from controller.runs.executors.local.supervisor import flow_main
from controller.runs.executors.local.supervisor.cold_start import IMPORT
from tests.conftest import wait_until
from tests.unit.runs.conftest import NONCE, PATH, RunFlow, Supervised, World, reap
from tests.unit.runs.test_supervisor import is_gone

pytestmark = pytest.mark.integration

FACTS = """
import os, random, signal, sys

def facts():
    main = sys.modules["__main__"]
    umask = os.umask(0)
    os.umask(umask)
    descriptors = [number for number in os.listdir("/proc/self/fd")]
    streams = (sys.stdout, sys.stderr)
    return {
        "argv": sys.argv, "orig_argv": sys.orig_argv, "flags": str(sys.flags), "path": sys.path, "cwd": os.getcwd(),
        "main": sorted(vars(main)), "environment": dict(os.environ), "umask": umask, "prefix": sys.pycache_prefix,
        "handlers": {n.name: str(signal.getsignal(n)) for n in signal.Signals if n < 32},
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])), "wakeup": signal.set_wakeup_fd(-1),
        "descriptors": sorted(descriptors), "input": sys.stdin.read(), "leads": os.getsid(0) == os.getpid(),
        "streams": [(s.encoding, s.errors, s.line_buffering, s.write_through, s.isatty()) for s in streams],
        "ours": [name for name in sys.modules if name.startswith("controller")], "asyncio": "asyncio" in sys.modules,
        "threads": len(os.listdir("/proc/self/task")), "niceness": os.nice(0), "warnings": sys.warnoptions,
    }

def once():
    return [random.random(), "ctypes" in sys.modules]
"""


@pytest.fixture
def server() -> Iterator[ForkServer]:
    """A fork server of this test's own."""
    found = ForkServer({"PATH": PATH}, SystemClock())
    yield found
    found.stop()


def result_of(directory: Path, root: Path, flow: str, server: ForkServer | None, **env: str) -> Any:
    """Return the result of a flow of `facts.py`, started cold or warm."""
    root.mkdir(exist_ok=True)
    (root / "facts.py").write_text(FACTS, encoding="utf-8")
    one = Supervised(directory, server)
    call: dict[str, Any] = {"root": str(root), "path": "facts.py", "name": flow, "parameters": {}, "pycache": None}
    one.prepare(
        [sys.executable, "-P", flow_main.__file__], cwd=root, call=call, env={"TMPDIR": "/tmp", **env}, tmp=None
    )
    assert one.start()
    one.say(b"GO\n")
    ending = one.end()
    one.close()
    assert ending["outcome"] == "succeeded", one.log()
    return ending["result"]


@pytest.mark.parametrize("env", [{}, {"TZ": "Asia/Tokyo", "X": "ü"}, {"PYTHONHASHSEED": "1", "PYTHONUTF8": "1"}])
def test_a_forked_flow_has_the_same_environment_as_a_cold_started_one(
    tmp_path: Path, server: ForkServer, env: dict[str, str]
) -> None:
    cold = result_of(tmp_path / "cold", tmp_path / "code", "facts", None, **env)
    warm = result_of(tmp_path / "warm", tmp_path / "code", "facts", server, **env)
    assert warm == cold
    assert warm["ours"] == []
    assert warm["environment"].items() >= {"PATH": PATH, "TMPDIR": "/tmp", **env}.items()


def test_flows_of_one_fork_server_get_different_random_numbers(tmp_path: Path, server: ForkServer) -> None:
    first = result_of(tmp_path / "1", tmp_path / "code", "once", server)
    second = result_of(tmp_path / "2", tmp_path / "code", "once", server)
    assert first[0] != second[0]
    assert (first[1], second[1]) == (True, True), "these were no forks"


@pytest.mark.parametrize(
    ("env", "is_fork"),
    [
        ({}, True),
        ({"X": "y"}, True),
        ({"PYTHONHASHSEED": "1"}, False),
        ({"LC_ALL": "C"}, False),
        ({"HOME": "/"}, False),
    ],
)
def test_a_flow_is_forked_unless_a_variable_affects_the_start_of_the_interpreter(
    tmp_path: Path, server: ForkServer, env: dict[str, str], is_fork: bool
) -> None:
    assert result_of(tmp_path / "1", tmp_path / "code", "once", server, **env)[1] is is_fork


LATE = """
import threading, time
def late():
    time.sleep(0.2)
    open('out', 'w').write('kept')
def f():
    threading.Thread(target=late).start()
"""
DAEMON_THREAD = """
import threading, time
def spin():
    while True:
        time.sleep(0.001)
def f():
    threading.Thread(target=spin, daemon=True).start()
    open('out', 'w').write('kept')
"""
FINALIZER = """
class Last:
    def __del__(self, open=open):
        open('out', 'w').write('kept')
LAST = Last()
def f(): ...
"""
LEAVES = {
    "open file": ("STREAM = open('out', 'w')\nSTREAM.write('kept')\ndef f(): ...", 0),
    "atexit": ("import atexit\ndef f():\n    atexit.register(lambda: open('out', 'w').write('kept'))", 0),
    "thread": (LATE, 0),
    "daemon thread": (DAEMON_THREAD, 0),
    "object with a finalizer": (FINALIZER, 0),
    "exit code": ("import sys\ndef f():\n    open('out', 'w').write('kept')\n    sys.exit(259)", 3),
    "exit with words": ("import sys\ndef f():\n    open('out', 'w').write('kept')\n    sys.exit('words')", 1),
    "exit without": ("import sys\ndef f():\n    open('out', 'w').write('kept')\n    sys.exit()", 0),
    "an installed package": ("import click\nSTREAM = open('out', 'w')\nSTREAM.write('kept')\ndef f(): ...", 0),
    "buffered output": ("import sys\ndef f():\n    sys.stdout.write('said')\n    open('out', 'w').write('kept')", 0),
}


@pytest.mark.parametrize("name", LEAVES)
def test_exit_handlers_of_a_forked_flow_are_run(run_flow: RunFlow, tmp_path: Path, name: str) -> None:
    code, exit_code = LEAVES[name]
    ending, log = run_flow({"a.py": code + "\n"}, "a.py:f")
    assert (ending["exit_code"], (tmp_path / "code" / "out").read_text()) == (exit_code, "kept")
    assert log == {"exit with words": "words\n", "buffered output": "said"}.get(name, "")


@pytest.fixture
def warm(world: World) -> World:
    world.shared = None
    world.write("a.py", "import os\ndef parent():\n    return os.getppid()\n")
    world.declare(a="name: a\nflow: a.py:parent\n")
    return world


only_warm = pytest.mark.parametrize("start", ["warm"])


def declare_waiting(world: World, gate: Path) -> None:
    """Declare `b`, a flow that waits for this file."""
    wait = f"    while not os.path.exists({str(gate)!r}):\n        time.sleep(0.02)\n"
    world.write("b.py", f"import os, time\ndef wait():\n{wait}")
    world.declare(b="name: b\nflow: b.py:wait\n")


def server_of(world: World) -> ForkServer:
    assert world.server is not None
    return world.server


def waiting(warm: World) -> Path:
    """Declare `b`, which runs until the returned file exists."""
    gate = warm.state / "gate"
    warm.write(
        "b.py",
        f"import os, time\ndef wait():\n    while not os.path.exists({str(gate)!r}):\n        time.sleep(0.02)\n",
    )
    warm.declare(b="name: b\nflow: b.py:wait\n")
    return gate


@only_warm
def test_a_fork_server_that_dies_is_replaced_and_its_runs_continue(warm: World) -> None:
    gate = waiting(warm)
    warm.start()
    running = warm.wait(warm.trigger("b"), RunState.RUNNING)
    pid = server_of(warm).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert warm.run("a").state is RunState.SUCCEEDED
    gate.touch()
    assert warm.wait(running).state is RunState.SUCCEEDED
    assert {run.attempt for run in warm.all_runs()} == {1}


@only_warm
def test_a_fork_server_that_hangs_is_abandoned_and_its_run_starts_cold(
    warm: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalExecutor, "ready_seconds", 0.2)
    monkeypatch.setattr(engine, "TICK_SECONDS", 0.3)
    warm.start()
    assert warm.run("a").state is RunState.SUCCEEDED
    pid = server_of(warm).pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    assert warm.run("a").state is RunState.SUCCEEDED
    assert is_gone(pid)


@only_warm
def test_flows_survive_the_fork_server_and_the_controller(warm: World) -> None:
    gate = waiting(warm)
    warm.start()
    run = warm.wait(warm.trigger("b"), RunState.RUNNING)
    supervisor, server = warm.supervisor_pid(run), server_of(warm).pid
    warm.stop()
    assert server is not None
    assert is_gone(server)
    assert not is_gone(supervisor)
    warm.start()
    gate.touch()
    assert warm.wait(run).state is RunState.SUCCEEDED
    reap(supervisor)


FORKS = """
import os, time

def forks():
    if os.fork() == 0:
        os.setsid()
        print(os.getpid(), flush=True)
        time.sleep(900)
    time.sleep(900)
"""


@pytest.mark.usefixtures("own_server")
def test_processes_forked_by_a_lost_flow_are_killed(world: World) -> None:
    world.write("a.py", FORKS)
    world.declare(a="name: a\nflow: a.py:forks\n")
    world.start()
    run = world.trigger("a")
    wait_until(lambda: world.log(run))
    child = int(world.log(run))
    os.kill(world.supervisor_pid(run), signal.SIGKILL)
    assert world.wait(run).state is RunState.CRASHED
    wait_until(lambda: is_gone(child))


@only_warm
@pytest.mark.usefixtures("own_server")
def test_process_titles_contain_the_run_id(world: World) -> None:
    world.write("a.py", FORKS)
    world.declare(a="name: a\nflow: a.py:forks\n")
    world.start()
    run = world.trigger("a")
    wait_until(lambda: world.log(run))
    directory = f"{world.runs_directory / run.id}/1-"
    supervisor = Path(f"/proc/{world.supervisor_pid(run)}/cmdline").read_text()
    child = Path(f"/proc/{int(world.log(run))}/cmdline").read_text()
    assert supervisor.startswith(f"controller supervisor {directory}"[:190])
    assert child.startswith(f"controller flow {directory}"[:190])


def finished(world: World, count: int) -> list[Run]:
    wanted = [world.trigger("a") for _ in range(count)]
    return [world.wait(run) for run in wanted]


@only_warm
def test_the_controller_does_not_fork_for_a_run_of_the_fork_server(warm: World) -> None:
    started: list[str] = []
    is_counting = False

    def count(name: str, _: object) -> None:
        if is_counting and name in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
            started.append(name)

    sys.addaudithook(count)
    warm.start()
    finished(warm, 1)
    is_counting = True
    assert {run.state for run in finished(warm, 5)} == {RunState.SUCCEEDED}
    is_counting = False
    assert started == []


def test_runs_launched_together_share_transactions(warm: World) -> None:
    commits = 0

    def count(_: object) -> None:
        nonlocal commits
        commits += 1

    wanted = [request(warm) for _ in range(20)]
    assert warm.store._writer is not None
    event.listen(warm.store._writer, "commit", count)
    warm.start(max_running=20)
    assert {warm.wait(run).state for run in wanted} == {RunState.SUCCEEDED}
    warm.stop()
    # One claims them all; `running` and outcomes come as the processes do, each at least once, never more than a run's.
    assert 3 <= commits <= 1 + 2 * 20


def request(world: World) -> Run:
    with world.store.write() as tx:
        return world.admission.create_run(tx, "a", {})


COUNTING = """
import json, os
counts = {"fork": 0, "fsync": 0}
def counted(name, real):
    def call(*arguments):
        counts[name] += 1
        return real(*arguments)
    return call
for name in counts:
    setattr(os, name, counted(name, getattr(os, name)))
real_exit = os._exit
def leave(code):
    with open("counts", "w") as stream:
        json.dump(counts, stream)
    real_exit(code)
os._exit = leave
"""


def test_a_run_costs_one_fork_and_two_syncs(tmp_path: Path) -> None:
    one = Supervised(tmp_path / "run")
    one.prepare(["true"])
    supervise = "from controller.runs.executors.local.supervisor.supervise import main; main(sys.argv[2])"
    program = f"{COUNTING}\n{IMPORT}\n{supervise}"
    subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(PACKAGE), str(one.directory)],
        input=b"GO\n",
        stdout=subprocess.DEVNULL,
        check=True,
    )
    assert json.loads((one.directory / "counts").read_text()) == {"fork": 1, "fsync": 2}
    assert json.loads((one.directory / "exit").read_text())["nonce"] == NONCE
