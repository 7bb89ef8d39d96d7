"""Limits of a run, the reason of a run that exceeded one, and the names of signals."""

import os
import sys
from typing import Any

import pytest

from controller.runs.executors.local.supervisor.resource_limits import Limits, format_size
from tests.unit.runs.conftest import RunFlow, Supervise, World, one_start
from tests.unit.runs.test_supervisor import sh

MIB = 1 << 20
GREEDY = "def f():\n    print('begin', flush=True)\n    return len(bytearray(600 * 1024 * 1024))\n"
BUSY = "import os\nwhile True: os.getpid()"

integration = pytest.mark.integration


@integration
def test_a_flow_that_exceeds_its_memory_limit_reports_it(run_flow: RunFlow) -> None:
    ending, log = run_flow({"a.py": GREEDY}, "a.py:f", spec={"resources": {"memory": 400 * MIB}})
    assert (ending["outcome"], ending["reason"]) == ("failed", "ran out of memory (limit 400MiB)")
    assert log.startswith("begin\nTraceback")
    assert "MemoryError" in log


@integration
def test_a_flow_within_its_memory_limit_succeeds(run_flow: RunFlow) -> None:
    ending, _ = run_flow({"a.py": GREEDY}, "a.py:f", spec={"resources": {"memory": 2048 * MIB}})
    assert ending["outcome"] == "succeeded"


@one_start
@integration
def test_a_memory_error_without_a_limit_is_reported_unchanged(run_flow: RunFlow) -> None:
    ending, _ = run_flow({"a.py": "def f():\n    raise MemoryError('mine')\n"}, "a.py:f")
    assert "reason" not in ending
    assert ending["error"] == "MemoryError"


@one_start
@integration
@pytest.mark.parametrize("deaf", ["", "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\n"])
def test_a_flow_that_exceeds_its_cpu_time_is_killed_with_a_reason(supervise: Supervise, deaf: str) -> None:
    one = supervise([sys.executable, "-I", "-S", "-c", deaf + BUSY], resources={"cpu_seconds": 0.5})
    one.say(b"GO\n")
    ending = one.end()
    assert (ending["outcome"], ending["reason"]) == ("failed", "exceeded its CPU time (limit 1 s)")


@integration
def test_a_limit_that_nothing_enforces_is_recorded(supervise: Supervise) -> None:
    one = supervise(sh("exit 0"), resources={"processes": 50})
    one.say(b"GO\n")
    assert one.end().get("unenforced") == (["processes"] if os.getuid() == 0 else None)


@integration
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("kill -SEGV $$", "ended by SIGSEGV (signal 11)"),
        ("kill -ABRT $$", "ended by SIGABRT (signal 6)"),
        ("kill -40 $$", "ended by SIGRTMIN+6 (signal 40)"),
    ],
)
@pytest.mark.parametrize("start", ["cold"])
def test_the_reason_names_the_signal(world: World, script: str, reason: str) -> None:
    world.declare(a=f"name: a\ncommand: [sh, -c, '{script}']\n")
    world.start()
    assert world.run("a").reason == reason


@one_start
@integration
def test_declared_limits_reach_the_flow_and_its_reason_the_record(world: World) -> None:
    world.write("a.py", GREEDY)
    world.declare(a="name: a\nflow: a.py:f\nresources: {memory: 400MiB, cpu_seconds: 90}\n")
    world.start()
    assert world.run("a").reason == "ran out of memory (limit 400MiB)"


@pytest.mark.parametrize(
    ("count", "text"),
    [(MIB, "1MiB"), (1536 * MIB, "1.5GiB"), (1 << 30, "1GiB"), (10**9, "1000000000 bytes"), (1 << 40, "1TiB")],
)
def test_a_size_is_shown_in_common_units(count: int, text: str) -> None:
    assert format_size(count) == text


class Counted:
    """A control group for which the kernel counted `kills` out-of-memory kills."""

    def __init__(self, *controlled: str, kills: int = 0) -> None:
        self._controlled = controlled
        self._kills = kills

    def controls(self, file: str) -> bool:
        return file in self._controlled

    def ran_out_of_memory(self) -> bool:
        return self._kills > 0


@pytest.mark.parametrize(
    ("said", "status", "seconds", "error", "kills", "reason"),
    [
        ({"memory": 1 << 30}, -9, 0.1, None, 1, "ran out of memory (limit 1GiB)"),
        ({"memory": 1 << 30}, 1, 0.1, None, 1, "ran out of memory (limit 1GiB)"),
        ({"memory": 1 << 30}, 0, 0.1, None, 1, None),
        ({"memory": 1 << 30}, -9, 0.1, None, 0, None),
        ({"memory": 1 << 30}, 1, 0.1, "MemoryErrors", 0, None),
        ({"cpu_seconds": 2}, -9, 1.9, None, 0, None),
        ({"cpu_seconds": 2}, -9, 2.0, None, 0, "exceeded its CPU time (limit 2 s)"),
        ({"cpu_seconds": 2}, 1, 5.0, None, 0, None),
        ({}, -24, 5.0, None, 0, None),
    ],
)
def test_a_limit_is_the_reason_only_if_it_caused_the_end(
    said: dict[str, Any], status: int, seconds: float, error: object, kills: int, reason: str | None
) -> None:
    group: Any = Counted("memory.max", kills=kills)
    assert Limits(said, 1.0).explain_failure(status, seconds, error, group) == reason


def test_limits_enforced_by_a_control_group_are_not_set_twice() -> None:
    limits = Limits({"memory": 1 << 30, "processes": 5}, 1.0)
    assert limits.cgroup_limits() == {"memory.max": 1 << 30, "pids.max": 5}
    both: Any = Counted("memory.max", "pids.max")
    assert limits.find_unenforced(both, 0) == []
    assert limits.find_unenforced(None, 0) == ["processes"]
    assert limits.find_unenforced(None, 1000) == []
