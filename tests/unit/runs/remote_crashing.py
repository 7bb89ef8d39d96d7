"""Runs one deployment as a job of a cluster, with a controller, a runner or a supervisor that dies at named points.

test_remote_crashpoints.py starts it as a separate program, as test_crashpoints.py does with `crashing`. A working
controller follows; jobs that it submits do not die.
"""

import os
import sys
from pathlib import Path
from typing import Any

import controller.api.http.application  # noqa: F401 - loaded once, before the forks
from controller.model.runs import RunId
from controller.store import Store
from controller.store.run_search import RunFilter, select_all
from tests.conftest import wait_until
from tests.process_engine import ProcessEngine
from tests.remote_parts import AdvancedClock, RemoteController, free_port, passing_time
from tests.unit.runs.conftest import GRACE, PATH
from tests.unit.runs.crashing import answer_pairs, in_process, left_running, open_world

ON_NODES = ("runner:", "supervisor:")

# The flow counts its own starts, in the home directory of the node's user.
FLOW = """
import os

def count():
    descriptor = os.open(os.environ["HOME"] + "/starts", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, b"x")
    os.close(descriptor)
    return "done"
"""


def scenario(work: Path, state: Path, points: list[str]) -> dict[str, Any]:
    """Return the run after one controller with these crash points, and one without."""
    port = free_port()
    first = in_process(lambda: live(work, state, points, port))
    second = in_process(lambda: live(work, state, [], port))
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
        "jobs": ProcessEngine(state / "cluster", PATH).jobs,
        "left": left_running(state),
    }


def live(work: Path, state: Path, points: list[str], port: int) -> None:
    """Be a controller until the run has ended: the first one asks for it."""
    here = [point for point in points if not point.startswith(ON_NODES)]
    os.environ["CONTROLLER_CRASHPOINT"] = ",".join(here)  # noqa: TID251
    world = open_world(work, state, is_warm=False)
    if points:
        with world.store.write() as tx:
            run_id: RunId = world.admission.create_run(tx, "a", {}).id
    else:
        run_id = world.all_runs()[0].id
    engine = ProcessEngine(state / "cluster", PATH)
    on_nodes = ",".join(point for point in points if point not in here)
    engine.variables = {"CONTROLLER_CRASHPOINT": on_nodes, "HOME": str(state)}
    clock = AdvancedClock()
    remote = RemoteController(state, world.store, clock, engine, port, GRACE)
    executor = remote.open()
    with passing_time(executor, engine, clock):
        world.start(remote=executor)
        wait_until(lambda: next(run for run in world.all_runs() if run.id == run_id).state.is_terminal)
        wait_until(lambda: not engine.jobs)
        world.stop()
    remote.close()
    world.store.close()


if __name__ == "__main__":
    answer_pairs(Path(sys.argv[1]), FLOW, scenario)
