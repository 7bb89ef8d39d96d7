"""A flow starts with the same signals, mask and limit of open files, however its controller was started."""

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.clock import SystemClock
from controller.model.runs import RunState
from controller.operations.cancel import cancel_run
from controller.runs.executors.local.fork_server_client import ForkServer
from tests.unit.runs.conftest import PATH, Supervised, World

# The shared fork server has to start before `careless`, but no test here uses it.
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("shared_server")]

CATCHABLE = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
OWN = sum(1 << number - 1 for number in signal.valid_signals())
"""Without 32 and 33, which belong to the C library: no program can set them."""
PYTHON_IGNORES = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
READ = "def f():\n    lines = open('/proc/self/status').read().splitlines()\n"
READ += "    return [line.split()[1] for line in lines if line.startswith(('SigBlk', 'SigIgn'))]\n"


@pytest.fixture
def careless() -> Iterator[None]:
    """This process ignores and blocks all signals, as one may that another program has started."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in CATCHABLE}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, CATCHABLE)
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for number, handler in before.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


@pytest.mark.usefixtures("careless")
def test_a_command_starts_with_default_signal_handlers_and_none_blocked(tmp_path: Path, start: str) -> None:
    server = ForkServer({"PATH": PATH}, SystemClock()) if start == "warm" else None
    one = Supervised(tmp_path / "run", server)
    one.prepare(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"])
    assert one.start()
    one.say(b"GO\n")
    assert one.end()["outcome"] == "succeeded"
    one.close()
    assert [int(line.split()[1], 16) & OWN for line in one.log().splitlines()] == [0, 0]
    if server is not None:
        server.stop()


@pytest.mark.usefixtures("careless", "own_server")
def test_a_python_flow_has_the_signal_handlers_of_a_new_interpreter(world: World) -> None:
    world.write("flows/a.py", READ)
    world.declare(a="name: a\nflow: flows/a.py:f\n")
    world.start()
    result = world.run("a").result
    assert isinstance(result, list)
    assert [int(mask, 16) & OWN for mask in result] == [0, PYTHON_IGNORES]


@pytest.mark.usefixtures("careless", "own_server")
def test_a_run_can_be_cancelled_if_the_controller_started_with_blocked_signals(world: World) -> None:
    world.declare(a="name: a\ncommand: [sleep, '600']\n")
    world.start()
    run = world.trigger("a")
    world.wait(run, RunState.RUNNING)
    cancel_run(world.operations, run.id, "enough", author="somebody")
    assert world.wait(run).state is RunState.CANCELLED


@pytest.mark.usefixtures("own_server")
def test_a_flow_gets_the_original_limit_of_open_files(world: World) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    try:
        world.declare(a="name: a\ncommand: [sh, -c, 'ulimit -Sn; ulimit -Hn']\n")
        world.start(open_files=300)
        assert world.log(world.run("a")).split() == ["300", _limit(before[1])]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _limit(number: int) -> str:
    return "unlimited" if number == resource.RLIM_INFINITY else str(number)


def test_exit_codes_of_git_are_read_even_if_sigchld_was_ignored(tmp_path: Path) -> None:
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    controller = str(Path(sys.executable).parent / "controller")
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "repo")], check=True)
    arguments = ["plan", "--base", "none", "--head", "none", "--repo", str(tmp_path / "repo")]
    plain, ignored = (
        subprocess.run([*before, controller, *arguments], capture_output=True, text=True, check=False)
        for before in ([], [sys.executable, "-c", ignoring])
    )
    assert (ignored.returncode, ignored.stderr) == (plain.returncode, plain.stderr)
    assert ignored.returncode == 2


def test_a_command_in_the_foreground_does_not_ignore_a_broken_pipe(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    document = "name: a\ncommand: [grep, SigIgn, /proc/self/status]\n"
    (tmp_path / "deployments" / "a.yaml").write_text(document, encoding="utf-8")
    controller = str(Path(sys.executable).parent / "controller")
    done = subprocess.run(
        [controller, "execute", "a", "--repo", str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert int(done.stderr.split()[1], 16) & PYTHON_IGNORES == 0
