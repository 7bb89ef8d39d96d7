"""A controller that inherits orphans, as PID 1 or as a subreaper, leaves no zombies and keeps exit codes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from controller.store import Store, inventory
from tests.conftest import wait_until

pytestmark = pytest.mark.integration

CONTROLLER = str(Path(sys.executable).parent / "controller")
NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
can_unshare = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
needs_namespaces = pytest.mark.skipif(not can_unshare, reason="NOT TESTED: no process id namespace can be created here")

AS_SUBREAPER = "import ctypes; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\n"
BEGIN = "import os, signal, subprocess, sys\nfrom controller.runs.orphan_reaper import leave_reaper_behind\n"
ORPHAN = "subprocess.run(['sh', '-c', '(sh -c \"exec sleep 0\") & (exec sleep 0) &'])\n"


def children(pid: int) -> list[int]:
    return [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return "gone"


def is_applied(state: Path) -> bool:
    """Whether the controller with this state has applied a deployment. A command would take much longer to say so."""
    store = Store.open_read_only(state / "state.db")
    with store.read() as tx:
        names = inventory.entries(tx)
    store.close()
    return bool(names)


def run(script: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_a_process_that_inherits_no_orphans_starts_no_reaper() -> None:
    with run(BEGIN + "before = os.getpid()\nleave_reaper_behind()\nsys.exit(os.getpid() != before)") as running:
        pass
    assert running.returncode == 0


def test_a_subreaper_reaps_orphans_and_keeps_exit_codes_for_their_waiters() -> None:
    script = AS_SUBREAPER + BEGIN + "leave_reaper_behind()\n" + ORPHAN * 3
    script += "codes = [subprocess.run(['sh', '-c', f'exit {n}']).returncode for n in range(50)]\n"
    script += "print(codes == list(range(50)), flush=True)\nsys.stdin.read()\nsys.exit(5)\n"
    with run(script) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "True\n"
        wait_until(lambda: len(children(running.pid)) == 1)
        running.communicate()
    assert running.returncode == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_the_reaper_forwards_signals_once_and_reports_a_death_by_signal(number: signal.Signals) -> None:
    script = AS_SUBREAPER + BEGIN + f"signal.signal({int(number)}, lambda *_: os.write(1, b'heard\\n'))\n"
    script += "import select\nleave_reaper_behind()\nprint('up', flush=True)\n"
    # The interpreter calls a handler between two operations: a signal just before a read that blocks would be lost.
    script += "while not select.select([0], [], [], 0.05)[0]:\n    pass\nos.kill(os.getpid(), 9)\n"
    with run(script) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "up\n"
        running.send_signal(number)
        assert running.stdout.readline() == "heard\n"
        assert running.communicate()[0] == ""
    assert running.returncode == 128 + 9


def test_the_controller_ends_with_its_reaper() -> None:
    script = AS_SUBREAPER + BEGIN + "leave_reaper_behind()\nprint(os.getpid(), flush=True)\nsignal.pause()\n"
    with run(script) as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        running.kill()
        wait_until(lambda: state(pid) in ("Z", "gone"))


@needs_namespaces
def test_as_pid_1_it_leaves_no_zombies_of_killed_supervisors(tmp_path: Path) -> None:
    (tmp_path / "code" / "deployments").mkdir(parents=True)
    script = "sleep 600 & setsid sleep 600 & kill -9 $PPID; sleep 600"
    document = f"name: a\ncommand: [sh, -c, {json.dumps(script)}]\n"
    (tmp_path / "code" / "deployments" / "a.yaml").write_text(document, encoding="utf-8")
    place = ["--repo", str(tmp_path / "code"), "--state-dir", str(tmp_path / "state")]

    def ask(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([CONTROLLER, *words, *place], capture_output=True, text=True, check=False)

    command = [*NAMESPACE, CONTROLLER, "run", "--listen", "none", *place]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as unshare:
        try:
            wait_until(lambda: (tmp_path / "state" / "control.sock").exists() and is_applied(tmp_path / "state"))
            [init] = children(unshare.pid)
            for _ in range(2):
                assert "crashed" in ask("trigger", "a", "--wait").stdout
            wait_until(lambda: len(children(init)) == 1)
            os.kill(init, signal.SIGTERM)
            assert unshare.wait() == 0
        finally:
            unshare.kill()


@needs_namespaces
def test_doctor_works_as_pid_1(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    command = [*NAMESPACE, CONTROLLER, "doctor", "--repo", str(tmp_path), "--state-dir", str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
