"""Runs one deployment with a controller and a supervisor that die at named points, then with a working controller.

test_crashpoints.py starts it as a separate program, so that its forks are small and have no threads. It reads pairs of
points from standard input, one JSON list per line, and prints the resulting run for each, also one per line.
"""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from controller.model.runs import RunId
from controller.sources.directory.source import DirectorySource
from controller.store import Store
from controller.store.run_search import RunFilter, select_all
from tests.conftest import ManualClock, wait_until
from tests.unit.runs.conftest import World

# The flow counts its own starts.
FLOW = """
import os

def count():
    descriptor = os.open(os.environ["STARTS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b"x")
    os.close(descriptor)
    return "done"
"""


def answer_pairs(work: Path, flow: str, scenario: Callable[[Path, Path, list[str]], dict[str, Any]]) -> None:
    """Answer each pair with the scenario, each in a state of its own. `flow` is the source of the deployment's flow."""
    template = work / "template"
    (template / "runs").mkdir(parents=True)
    (work / "code" / "deployments").mkdir(parents=True)
    (work / "code" / "flow.py").write_text(flow)
    world = open_world(work, template, is_warm=False)
    world.declare(a="name: a\nflow: flow.py:count\n")
    world.store.close()
    for line in sys.stdin:
        points = json.loads(line)
        state = work / "-".join(points).replace(":", ".")
        shutil.copytree(template, state)
        answer = scenario(work, state, points)
        sys.stdout.write(json.dumps({"points": points, **answer}) + "\n")
        sys.stdout.flush()


def open_world(work: Path, state: Path, *, is_warm: bool) -> World:
    """The world of one controller, as it finds it."""
    source = DirectorySource(work / "code", path="deployments")
    return World(work / "code", state, Store.open(state / "state.db"), ManualClock(), source, is_warm)


def scenario(work: Path, state: Path, points: list[str]) -> dict[str, Any]:
    """Return the run after one controller with these crash points, and one without."""
    is_warm = sum(map(len, points)) % 2 == 0
    first = in_process(lambda: live(work, state, points, is_warm=is_warm))
    second = in_process(lambda: live(work, state, [], is_warm=is_warm))
    store = Store.open_read_only(state / "state.db")
    with store.read() as tx:
        run = select_all(tx, RunFilter())[0]
    store.close()
    starts = state / "starts"
    return {
        "ends": [first, second],
        "state": run.state.value,
        "reason": run.reason,
        "result": run.result,
        "starts": starts.stat().st_size if starts.exists() else 0,
        "left": left_running(state),
    }


def live(work: Path, state: Path, points: list[str], *, is_warm: bool) -> None:
    """Be a controller until the run has ended: the first one asks for it."""
    os.environ["CONTROLLER_CRASHPOINT"] = ",".join(points)  # noqa: TID251
    world = open_world(work, state, is_warm=is_warm)
    if points:
        with world.store.write() as tx:
            run_id: RunId = world.admission.create_run(tx, "a", {}).id
    else:
        run_id = world.all_runs()[0].id
    world.start(base={"STARTS": str(state / "starts")})
    wait_until(lambda: next(run for run in world.all_runs() if run.id == run_id).state.is_terminal)
    world.stop()
    world.store.close()


def in_process(work: Callable[[], None]) -> int:
    """Do it in a fork; how that ended."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def left_running(state: Path) -> list[str]:
    """Every process that names this state in its arguments or its environment, once those that are ending are gone."""
    mark = f"{state}/".encode()

    def found() -> list[str]:
        names = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit():
                    said = (entry / "cmdline").read_bytes()
                    if mark in said + (entry / "environ").read_bytes():
                        names.append(said.decode(errors="replace"))
        return names

    try:
        wait_until(lambda: not found())
    except AssertionError:
        return found()
    return []


if __name__ == "__main__":
    answer_pairs(Path(sys.argv[1]), FLOW, scenario)
