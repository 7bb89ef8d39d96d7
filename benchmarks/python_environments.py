"""Measures what a Python environment costs: the time of a run, cold and warm, and the memory of its fork server.

`benchmarks.__main__` prints the rows. uv makes the environment, which contains pandas; without uv there are no rows.
"""

import json
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from controller.clock import SystemClock
from controller.model.deployments import Deployment, FlowTarget
from controller.model.python_environments import PythonRuntime
from controller.model.runs import Run, RunState, Trigger
from controller.runs.executors.local.fork_server_client import ForkServer
from controller.runs.executors.local.launcher import Launcher
from controller.runs.executors.local.python_servers import PythonServers
from controller.runs.ids import RunIds
from controller.settings import flow_environment

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
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        return
    work.mkdir()
    since = time.perf_counter()
    executable = make_environment(uv, work)
    yield "environment with pandas: build with an empty cache", time.perf_counter() - since, "s"
    root = work / "code"
    root.mkdir()
    (root / "flows.py").write_text(FLOWS)
    plain = PythonRuntime(executable=executable, digest="pandas", version=".".join(map(str, sys.version_info[:3])))
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
                yield f"environment with pandas: fork server, {label}", memory_of(server.pid), "MiB"
        finally:
            launcher.close()


def make_environment(uv: str, work: Path) -> str:
    """Make a virtual environment with pandas and its bytecode; return its interpreter."""
    options = ["--quiet", "--cache-dir", str(work / "cache")]
    subprocess.run([uv, "venv", *options, "--python", sys.executable, str(work / "venv")], check=True)
    executable = str(work / "venv/bin/python")
    subprocess.run([uv, "pip", "install", *options, "--python", executable, "--compile-bytecode", "pandas"], check=True)
    return executable


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
    deadline, pause = time.monotonic() + READY_SECONDS, threading.Event()
    while server and not server.is_ready:
        server.check()
        if server.problem is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the fork server is not ready: {server.problem}")
        pause.wait(0.02)


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


def memory_of(pid: int) -> float:
    """Return the memory of a process in MiB, with its share of what it shares with others."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.partition("\nPss:")[2].split()[0]) / 1024
