"""A `Node` on which tests start jobs, with the peer that answers these jobs."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from controller.runs.executors.node.bootstrap import job_argv
from controller.runs.executors.node.cache import delete
from tests.conftest import wait_until
from tests.node_peer import JOB, ROOT, TICKET, NodePeer, digest_of, order_of, runner_zip, zip_of

WAITS = "echo $$ > pid; echo begin; while [ ! -e gate ]; do sleep 0.02; done; echo end; exit $(cat gate)"
RUNNER = runner_zip()
FLOW = """
import os
from controller import flow, get_run_logger, task

@task
def double(x):
    return 2 * x

@flow
def count(x: int):
    get_run_logger().info("counting")
    return [double(x), sorted(os.environ)]
"""


class Node:
    """A node with its cache. `start` starts a job for an order, `peer` answers it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.work = directory / "work"
        self.cache = directory / "cache"
        self.work.mkdir(parents=True)
        self.peer: NodePeer
        self._peers: list[NodePeer] = []
        self._jobs: list[subprocess.Popen[bytes]] = []

    def serve(
        self,
        order: dict[str, Any],
        packages: Mapping[str, bytes] | None = None,
        certificate: Path | None = None,
        **start: Any,
    ) -> NodePeer:
        """Answer with this order, over https with a certificate."""
        answer = {"parameters": {}, "secrets": {}, "upstream": None, **start}
        self.peer = NodePeer(order, {digest_of(RUNNER): RUNNER, **(packages or {})}, answer, certificate)
        self._peers.append(self.peer)
        return self.peer

    def serve_code(self, files: Mapping[str, str], flow: str, **more: Any) -> NodePeer:
        """Answer with an order for a flow in this code."""
        path, _, name = flow.partition(":")
        package = zip_of(files)
        call: dict[str, Any] = {"root": ROOT, "path": path, "module": None, "name": name, "import_paths": []}
        code = {"digest": digest_of(package), "root": ROOT}
        start = {key: more.pop(key) for key in ("parameters", "secrets", "upstream") if key in more}
        return self.serve(order_of(code=code, call=call, **more), {code["digest"]: package}, **start)

    def start(self, **variables: str) -> "subprocess.Popen[bytes]":
        """Start the job."""
        env = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "CONTROLLER_NODE_URL": self.peer.url,
            "CONTROLLER_JOB": JOB,
            "CONTROLLER_TICKET": TICKET,
            "CONTROLLER_RUNNER": digest_of(RUNNER),
            "CONTROLLER_NODE_CACHE": str(self.cache),
            **variables,
        }
        job = subprocess.Popen(job_argv(), env=env, cwd="/", stderr=subprocess.PIPE)
        self._jobs.append(job)
        return job

    def run(self, **variables: str) -> dict[str, Any]:
        """Run the job to its end; return how the flow ended."""
        job = self.start(**variables)
        wait_until(lambda: job.poll() is not None)
        assert job.stderr is not None
        assert (job.returncode, job.stderr.read()) == (0, b"")
        assert self.peer.ending is not None
        return self.peer.ending

    def start_waiting(self, **more: Any) -> "subprocess.Popen[bytes]":
        """Start a job whose flow waits for the gate, and wait until the flow runs."""
        self.serve(order_of(self.work, argv=["sh", "-c", WAITS], **more))
        job = self.start()
        wait_until(lambda: self.has_begun)
        return job

    @property
    def has_begun(self) -> bool:
        pid = self.work / "pid"
        return pid.exists() and pid.read_text(encoding="utf-8").endswith("\n")

    @property
    def flow_pid(self) -> int:
        return int((self.work / "pid").read_text(encoding="utf-8"))

    def open_gate(self, code: int = 0) -> None:
        (self.work / "part").write_text(str(code), encoding="utf-8")
        (self.work / "part").rename(self.work / "gate")

    @property
    def attempts(self) -> list[Path]:
        """The directories of attempts."""
        return [path for path in self.cache.glob("attempts/*") if path.is_dir()]

    def entries(self, kind: str) -> list[str]:
        """The names of the entries in the cache."""
        return sorted(path.name for path in self.cache.glob(f"{kind}/*") if path.is_dir())

    def close(self) -> None:
        for job in self._jobs:
            job.kill()
            job.wait()
            assert job.stderr is not None
            job.stderr.close()
        for peer in self._peers:
            peer.close()
        if not self.cache.is_symlink():
            delete(str(self.cache))


@pytest.fixture
def new_node(tmp_path: Path) -> Iterator[Node]:
    """A node with an empty cache. Modules name it `node`."""
    made = Node(tmp_path / "node")
    yield made
    made.close()


def wait_for_end(job: "subprocess.Popen[bytes]") -> int:
    wait_until(lambda: job.poll() is not None)
    return job.returncode
