"""A Ray cluster on the loopback interface for tests, from the environment that `make ray` installs.

Its nodes have addresses of their own, so that their ports do not collide. Requests need a token.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from uv import find_uv_bin

from controller.runs.executors.local.supervisor import process_tree
from tests.conftest import wait_until
from tests.receivers import free_port

BIN = Path(__file__).parents[1] / ".venv-ray" / "bin"
TOKEN = "the-token-of-the-test-cluster"
HEAD, NODE = "127.0.0.2", "127.0.0.3"
START_SECONDS = 120.0
STARTS = 3

_SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": TOKEN,
    "RAY_USAGE_STATS_ENABLED": "0",
    # Idle workers that no job of these tests uses.
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    # The head notices a lost node after 3 seconds instead of 15, and a node the lost head after 5 instead of 60.
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
    # The head gives up a job that waits for resources after 45 seconds instead of 15 minutes.
    "RAY_JOB_START_TIMEOUT_SECONDS": "45",
}


class RayCluster:
    """A head and a second node, which has the resource `second`. Each of them has two cores.

    `home`: the directory of Ray's sessions, with a short path because of the sockets in it. `variables`: further ones
    of the nodes. Only the second node has uv.
    """

    def __init__(self, **variables: str) -> None:
        self._variables = variables
        self.home = Path(tempfile.mkdtemp(prefix="controller-ray-"))
        self.token_file = self.home / "token"
        self.token_file.write_text(f"{TOKEN}\n")
        self.node_secret_file = self.home / "node-secret"
        self.node_secret_file.write_text("a secret of all nodes of the test cluster\n")
        self._gcs_port, self._dashboard_port = free_port(), free_port()
        self._head: subprocess.Popen[bytes] | None = None
        self._node: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._dashboard_port}"

    def cache(self, name: str) -> Path:
        """Return the directory where the runners of a node, `head` or `node`, keep code and environments."""
        return self.home / f"cache-{name}"

    def start(self) -> None:
        """Start the nodes that are not running, and return when jobs can be placed on both."""
        if not _is_running(self._head):
            ports = {"": self._gcs_port, "dashboard-": self._dashboard_port, "ray-client-server-": free_port()}
            options = [f"--{name}port={port}" for name, port in ports.items()]
            options += ["--dashboard-host=127.0.0.1", f"--temp-dir={self.home}"]
            self._head = self._bring_up([HEAD], "head", HEAD, "--head", *options)
        if not _is_running(self._node):
            options = [f"--address={HEAD}:{self._gcs_port}", '--resources={"second": 1}']
            self._node = self._bring_up([HEAD, NODE], "node", NODE, *options)

    def kill_node(self) -> None:
        """End all processes of the second node with SIGKILL, as if its machine had lost its power."""
        _kill(self._node)
        self._node = None

    def kill_head(self) -> None:
        """End all processes of the head with SIGKILL. The second node then ends itself."""
        _kill(self._head)
        self._head = None

    def wait_for_node(self) -> None:
        """Wait until the second node has ended itself."""
        assert self._node is not None
        self._node.wait(START_SECONDS)
        self.kill_node()

    def close(self) -> None:
        """End the cluster and remove its files."""
        self.kill_node()
        self.kill_head()
        # The last processes of a node end when they notice that the others are gone.
        wait_until(lambda: not self._processes())
        shutil.rmtree(self.home)

    def get(self, path: str) -> Any:
        """Return the JSON of a request to the dashboard."""
        request = urllib.request.Request(self.address + path, headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def job_ids(self) -> set[str]:
        """Return the ids of all jobs in the cluster's list."""
        return {job["submission_id"] for job in self.get("/api/jobs/")}

    def _bring_up(self, addresses: list[str], name: str, *options: str) -> subprocess.Popen[bytes]:
        """Start a node, and return it when all of these are in the cluster.

        On a busy machine, Ray gives up after 30 seconds: then start it again, twice at most.
        """
        for _ in range(STARTS):
            process = self._start(name, *options)
            wait_until(lambda: not _is_running(process) or self._alive() == addresses, within=START_SECONDS)  # noqa: B023
            if _is_running(process):
                return process
            _kill(process)
        raise AssertionError((self.home / f"{name}.log").read_text())

    def _start(self, name: str, address: str, *options: str) -> subprocess.Popen[bytes]:
        ports = ("dashboard-agent-listen", "dashboard-agent-grpc", "runtime-env-agent", "metrics-export")
        command = [str(BIN / "ray"), "start", "--block", "--disable-usage-stats", f"--node-ip-address={address}"]
        command += ["--num-cpus=2", "--num-gpus=0", "--object-store-memory=80000000"]
        command += [f"--{port}-port={free_port()}" for port in ports]
        programs = f"{self._uv().parent}:{os.defpath}" if name == "node" else os.defpath
        environment = {
            "PATH": f"{BIN}:{programs}",
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "LANG": "C.UTF-8",
            "CONTROLLER_NODE_CACHE": str(self.cache(name)),
            "CONTROLLER_NODE_SECRET_FILE": str(self.node_secret_file),
            **self._variables,
            **_SETTINGS,
        }
        parent = os.getpid()
        with (self.home / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*command, *options], cwd="/", env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=lambda: process_tree.die_with(parent),
            )  # fmt: skip

    def _uv(self) -> Path:
        """Return a link to uv in a folder that has nothing else."""
        link = self.home / "programs" / "uv"
        if not link.exists():
            link.parent.mkdir()
            link.symlink_to(find_uv_bin())
        return link

    def _processes(self) -> list[str]:
        """Return the command lines of all processes of the cluster and its jobs."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"HOME={self.home}\0".encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_text())
        return found

    def _alive(self) -> list[str]:
        try:
            found = self.get("/nodes?view=summary")["data"]["summary"]
            # The submission of a job needs the head's agent, which starts last.
            agents = self.get("/api/jobs/") is not None
        except OSError:
            return []
        nodes = [node["raylet"] for node in found]
        alive = [node["nodeManagerAddress"] for node in nodes if node.get("state") == "ALIVE"]
        return sorted(alive) if agents else []


def _is_running(process: subprocess.Popen[bytes] | None) -> bool:
    return process is not None and process.poll() is None


def _kill(process: subprocess.Popen[bytes] | None) -> None:
    """Kill the process group of `ray start`: all processes of its node but the jobs, which end when they notice."""
    if process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
