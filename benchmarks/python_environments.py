"""Measures what a Python environment costs: the time of a run, cold and warm, and the memory of its fork server.

`benchmarks.__main__` prints the rows. The environment contains pandas, from the package index.
"""

import json
import select
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.controllers import tree_memory, wait_for
from controller.clock import SystemClock
from controller.model.deployments import Deployment, FlowTarget
from controller.model.python_environments import PythonRequest, PythonRuntime, RequirementsSource
from controller.model.runs import Run, RunState, Trigger
from controller.python_environments import PythonEnvironments
from controller.python_environments.uv_settings import parse_uv
from controller.runs.executors.local.fork_server_client import ForkServer
from controller.runs.executors.local.launcher import Launcher
from controller.runs.executors.local.python_servers import PythonServers
from controller.runs.ids import RunIds
from controller.settings import flow_environment
from controller.store import Store

ROUNDS = 5
READY_SECONDS = 60.0
FLOWS = """
def nothing():
    return None

def report():
    import pandas
    return int(pandas.Series([1, 2]).sum())
"""


def measure_environment(work: Path) -> Iterator[tuple[str, float, str]]:
    """Yield label, value and unit of each row."""
    work.mkdir()
    clock, store = SystemClock(), Store.open(work / "state.db")
    environments = PythonEnvironments(store, clock, work / "python", parse_uv(None))
    try:
        since = time.perf_counter()
        environment = environments.build(request_for("pandas"))
        yield "environment with pandas: first build, with an empty cache", time.perf_counter() - since, "s"
        since = time.perf_counter()
        environments.build(request_for("pandas", "six"))
        yield "environment with pandas: another build, from the cache", time.perf_counter() - since, "s"
    finally:
        environments.stop()
        store.close()
    if environment.executable is None:
        raise RuntimeError(f"the environment was not built: {environment.message}")
    root = work / "code"
    root.mkdir()
    (root / "flows.py").write_text(FLOWS)
    plain = PythonRuntime(executable=environment.executable, digest="pandas", version=environment.version)
    for label, python, is_warm in (
        ("cold", plain, False),
        ("warm", plain, True),
        ("warm, pandas preloaded", replace(plain, preload=("pandas",)), True),
    ):
        launcher = make_launcher(work / label.replace(" ", "-"), is_warm=is_warm)
        try:
            for flow, title in (("nothing", "a no-op run"), ("report", "a run that imports pandas")):
                run_flow(launcher, root, flow, python)
                wait_for_server(launcher, python)
                seconds = min(run_flow(launcher, root, flow, python) for _ in range(ROUNDS))
                yield f"environment with pandas: {title}, {label}", seconds * 1000, "ms"
            server = launcher.python_servers and launcher.python_servers.find(python)
            if server and server.pid is not None:
                yield f"environment with pandas: fork server, {label}", tree_memory(server.pid), "MiB"
        finally:
            launcher.close()


def request_for(*requirements: str) -> PythonRequest:
    """Return the request of a deployment that lists these requirements."""
    text = "".join(f"{line}\n" for line in requirements)
    source = RequirementsSource.LIST
    return PythonRequest(
        source=source, declared_at="a.yaml", files={"requirements.txt": text}, entry="requirements.txt"
    )


def make_launcher(state: Path, *, is_warm: bool) -> Launcher:
    """Return a launcher, with fork servers if `is_warm`."""
    (state / "runs").mkdir(parents=True)
    environment, clock = flow_environment(), SystemClock()
    return Launcher(
        directory=state / "runs",
        environment=environment,
        grace=timedelta(seconds=10),
        server=ForkServer(environment, clock),
        python_servers=PythonServers(environment, clock) if is_warm else None,
    )


def wait_for_server(launcher: Launcher, python: PythonRuntime) -> None:
    """Wait until the fork server of the environment is ready, if there is one."""
    server = launcher.python_servers and launcher.python_servers.find(python)
    if not server:
        return

    def is_ready() -> bool:
        server.check()
        if server.problem is not None:
            raise RuntimeError(f"the fork server is not ready: {server.problem}")
        return server.is_ready

    wait_for(is_ready, 0.02, within=READY_SECONDS)


def run_flow(launcher: Launcher, root: Path, flow: str, python: PythonRuntime) -> float:
    """Run a flow to its end; return the seconds from the launch until its supervisor has ended."""
    target = FlowTarget(path="flows.py", name=flow)
    deployment = Deployment(name="a", target=target, file="a.yaml", line=1, document={}, spec_digest="d")
    now = datetime.fromtimestamp(time.time(), UTC)
    run = Run(
        id=RunIds().new(now),
        deployment="a",
        file="a.yaml",
        state=RunState.LAUNCHING,
        trigger=Trigger.MANUAL,
        created_at=now,
        attempt=1,
        revision="r",
        spec_digest="d",
    )
    since = time.perf_counter()
    launch = launcher.launch(run, deployment, root, nonce="bench", pycache=None, python=python)
    while not launch.is_ready:
        select.select([launch.wire], [], [])
        if not launch.receive():
            raise RuntimeError("the supervisor did not start")
    launch.send_go()
    assert launch.handle is not None
    select.select([launch.handle], [], [])
    seconds = time.perf_counter() - since
    launch.terminate()
    launch.detach()
    outcome = json.loads((launch.directory / "exit").read_bytes())
    if outcome["outcome"] != "succeeded":
        raise RuntimeError(f"the run did not succeed: {outcome}")
    return seconds
