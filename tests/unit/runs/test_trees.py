"""All processes that a flow starts end with its run, in any session, and the remaining ones are counted."""

import os
import signal
import sys
from pathlib import Path

import pytest

from controller.runs.executors.local.cgroup_parent import own_group
from controller.runs.executors.local.supervisor.process_tree import children_by_list
from tests.conftest import wait_until
from tests.unit.runs.conftest import Supervise, end_by_timeout
from tests.unit.runs.test_supervisor import is_gone, sh

pytestmark = pytest.mark.integration

# Writes its own process number to a file and stays, deaf to SIGTERM: in a session of its own, with no parent left.
DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with open("daemon.tmp", "w") as stream:
            stream.write(str(os.getpid()))
        os.rename("daemon.tmp", "daemon")
        if len(sys.argv) > 1:
            os.close(1)
            os.close(2)
        time.sleep(900)
    os._exit(0)
os.wait()
while not os.path.exists("daemon"):
    time.sleep(0.01)
"""


def daemon(*arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", DAEMON, *arguments]


@pytest.fixture(params=["walked", "grouped"])
def group(request: pytest.FixtureRequest) -> str | None:
    """Without and with a control group."""
    if request.param == "walked":
        return None
    found = own_group()
    if found is None:
        pytest.skip("NOT TESTED: no control group of version 2 can be written to here")
    return str(found)


def test_control_groups_of_runs_are_created_beside_that_of_the_controller(group: str | None) -> None:
    if group is None:
        return
    unit = Path(group) / "test-unit"
    own = unit / "controller"
    own.mkdir(parents=True)
    try:
        (read, write), pid = os.pipe(), os.fork()
        if pid == 0:
            (own / "cgroup.procs").write_text("0")
            os.write(write, os.fsencode(own_group() or ""))
            os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(read, 1000) == os.fsencode(unit)
        os.close(read)
        os.close(write)
    finally:
        own.rmdir()
        unit.rmdir()


@pytest.mark.parametrize("arguments", [[], ["closed"]], ids=["holds the output", "has closed the output"])
def test_a_daemon_in_another_session_ends_with_the_flow(
    supervise: Supervise, group: str | None, arguments: list[str]
) -> None:
    one = supervise(daemon(*arguments), cgroup=group)
    one.say(b"GO\n")
    ending = one.end()
    assert (ending["outcome"], ending["left_behind"]) == ("succeeded", 1)
    assert is_gone(int((one.directory / "daemon").read_text()))
    assert group is None or [path for path in Path(group).iterdir() if path.name == "controller-c0ffee"] == []


def test_a_timeout_kills_the_whole_process_tree_including_processes_that_ignore_sigterm(
    supervise: Supervise, group: str | None
) -> None:
    argv = [sys.executable, "-I", "-S", "-c", f"{DAEMON}\nprint('up', flush=True)\ntime.sleep(900)"]
    one, ending = end_by_timeout(lambda timeout: supervise(argv, cgroup=group, timeout=timeout))
    assert (ending["outcome"], ending["signal"]) == ("timed_out", 15)
    assert is_gone(int((one.directory / "daemon").read_text()))


def test_sigterm_reaches_the_whole_process_tree(supervise: Supervise) -> None:
    script = "setsid sh -c 'trap \"echo heard; exit 0\" TERM; touch up; while :; do sleep 0.02; done' & wait"
    one = supervise(sh(script))
    one.say(b"GO\n")
    wait_until((one.directory / "up").exists)
    one.signal(signal.SIGTERM)
    assert one.end()["outcome"] == "cancelled"


def test_processes_that_keep_starting_others_are_all_killed(supervise: Supervise, group: str | None) -> None:
    script = """
import os, time
for _ in range(30):
    if os.fork() == 0:
        os.setsid()
        while True:
            if os.fork():
                os._exit(0)
            time.sleep(0.001)
"""
    one = supervise([sys.executable, "-I", "-S", "-c", script], cgroup=group)
    one.say(b"GO\n")
    pid = one.pid
    assert one.end()["left_behind"] >= 1
    assert children_by_list(pid) == []


def test_adopted_children_that_end_do_not_become_zombies(supervise: Supervise) -> None:
    one = supervise(sh("(true & true &) ; touch up; while [ ! -e go ]; do sleep 0.02; done"))
    one.say(b"GO\n")
    wait_until((one.directory / "up").exists)
    own = Path(f"/proc/{one.pid}/task/{one.pid}/children")
    wait_until(lambda: len(own.read_text().split()) == 1)
    (one.directory / "go").touch()
    assert one.end() == {"outcome": "succeeded", "exit_code": 0, "signal": None}


def test_the_flow_is_killed_by_the_kernel_when_its_supervisor_is(supervise: Supervise) -> None:
    one = supervise(sh("echo $$ > flow.tmp; mv flow.tmp flow; exec sleep 900"))
    one.say(b"GO\n")
    wait_until((one.directory / "flow").exists)
    flow = int((one.directory / "flow").read_text())
    one.signal(signal.SIGKILL)
    wait_until(lambda: is_gone(flow))


def test_children_are_found_without_the_children_file_of_the_kernel() -> None:
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    try:
        assert pid in children_by_list(os.getpid())
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
