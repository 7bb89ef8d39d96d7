"""Measures Prefect: a flow as a script, and a herd that a server and a process worker start. Used by `peers` only."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.controllers import tree_memory, wait_for
from benchmarks.machine import CORES
from benchmarks.measure import cost_of
from benchmarks.peer_processes import Herd, measure_herd, process
from benchmarks.rows import Row

PROGRAM = "prefect/bin/python"
START_SECONDS = 30
WITHIN = 300.0
_FLOW = """\
import os, time
from pathlib import Path
from prefect import flow

@flow
def noop():
    if path := os.environ.get("BENCH_STARTED"):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{time.time()}\\n".encode())

if __name__ == "__main__":
    if os.environ.get("BENCH_DEPLOY"):
        remote = noop.from_source(source=str(Path(__file__).parent), entrypoint="noop.py:noop")
        remote.deploy(name="noop", work_pool_name="bench", print_next_steps=False, build=False, push=False)
    else:
        noop()
"""
_FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def measure_prefect(program: Path, work: Path, count: int) -> Iterator[Row]:
    """Measure it."""
    work.mkdir()
    (work / "noop.py").write_text(_FLOW)
    command, port = str(program.with_name("prefect")), _free_port()
    api = f"http://127.0.0.1:{port}/api"
    environment = {
        "PREFECT_HOME": str(work / "home"),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "BENCH_STARTED": str(work / "started"),
    }
    server = [command, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    worker = [command, "worker", "start", "--pool", "bench", "--type", "process", "--limit", str(CORES)]
    with process(server, environment, work / "server.log") as server_pid:
        wait_for(lambda: _is_healthy(api), 0.5, within=120)
        yield _script(program, work, environment)
        with process(worker, environment, work / "worker.log") as worker_pid:
            deployment = _deploy(program, work, environment, api)
            due = int(time.time()) + START_SECONDS
            for _ in range(count):
                _schedule(api, deployment, due)
            herd = Herd(
                count=count,
                due=due,
                started=work / "started",
                states=lambda: _states(api, deployment),
                within=due - time.time() + WITHIN,
            )
            yield from measure_herd("Prefect", herd, [server_pid, worker_pid])
            memory = tree_memory(server_pid) + tree_memory(worker_pid)
            yield Row(what="Prefect: memory afterwards", value=memory, unit="MiB")


def _script(program: Path, work: Path, environment: Mapping[str, str]) -> Row:
    own = {**environment, "BENCH_STARTED": ""}
    command = ["env", *(f"{name}={value}" for name, value in own.items()), str(program), str(work / "noop.py")]
    return Row.of_cost("Prefect: one no-op run by a command", cost_of(command, rounds=3))


def _deploy(program: Path, work: Path, environment: Mapping[str, str], api: str) -> str:
    """Deploy the flow to the worker's pool, as soon as the worker has created it. Return the id of the deployment."""
    wait_for(lambda: bool(_post(api, "work_pools/filter", {"work_pools": {"name": {"any_": ["bench"]}}})), 0.5, 120)
    variables = {**os.environ, **environment, "BENCH_DEPLOY": "1"}
    subprocess.run([program, work / "noop.py"], check=True, capture_output=True, env=variables, timeout=120)
    return str(_post(api, "deployments/filter", {})[0]["id"])


def _schedule(api: str, deployment: str, due: float) -> None:
    moment = datetime.fromtimestamp(due, UTC).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": moment}}
    _post(api, f"deployments/{deployment}/create_flow_run", {"state": state})


def _states(api: str, deployment: str) -> tuple[int, int]:
    """Return the number of the deployment's runs that have ended, and of those that have succeeded."""
    criteria = {"deployments": {"id": {"any_": [deployment]}}, "limit": 200}
    states = [run["state_type"] for run in _post(api, "flow_runs/filter", criteria)]
    return sum(state in _FINAL for state in states), states.count("COMPLETED")


def _is_healthy(api: str) -> bool:
    try:
        with urllib.request.urlopen(f"{api}/health", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _post(api: str, path: str, body: object) -> Any:
    data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{api}/{path}", data, headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
