"""A Ray cluster for all tests of this folder, and controllers that run flows on it."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.runs.executors.ray.client import DashboardClient
from controller.runs.executors.ray.engine import RayEngine
from tests.acceptance.harness import Machine, Repository, accepts_connections, until
from tests.command_server import CommandServer
from tests.package_index import PackageIndex, served_index
from tests.ray_cluster import RayCluster
from tests.receivers import free_port

WORD = "xylophone"
"""The value of the secret `SHOP_WORD`."""
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def index() -> Iterator[PackageIndex]:
    """An index with three versions of a package."""
    with served_index() as index:
        for version in ("1.0", "2.0", "3.0"):
            index.add("sums", version)
        yield index


@pytest.fixture(scope="session")
def only_cluster(index: PackageIndex) -> Iterator[RayCluster]:
    cluster = RayCluster(UV_DEFAULT_INDEX=index.url, PIP_INDEX_URL=index.url)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def cluster(only_cluster: RayCluster) -> RayCluster:
    """A cluster with two nodes. Nodes that an earlier test has killed are started again."""
    only_cluster.start()
    return only_cluster


@pytest.fixture
def engine(cluster: RayCluster) -> RayEngine:
    return RayEngine(DashboardClient(cluster.address, cluster.token_file))


class RemoteProject:
    """A repository whose deployments run on the cluster, and its controller."""

    def __init__(self, cluster: RayCluster, repository: Repository, log: Path) -> None:
        self.cluster = cluster
        self.repository = repository
        self.log = log
        self.address = f"127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **variables: str) -> None:
        """Start the controller. Returns when it accepts commands and has applied a commit."""
        command = [sys.executable, str(Path(__file__).with_name("controller_with_ray.py"))]
        environment = {
            **self.repository.machine.environment,
            "PYTHONPATH": str(ROOT),
            "CONTROLLER_LISTEN": self.address,
            "CONTROLLER_EXECUTOR": "ray",
            "CONTROLLER_RAY_ADDRESS": self.cluster.address,
            "CONTROLLER_RAY_TOKEN_FILE": str(self.cluster.token_file),
            "CONTROLLER_NODE_SECRET_FILE": str(self.cluster.node_secret_file),
            "SHOP_WORD": WORD,
            **variables,
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "run", "--repo", self.repository.address], env=environment, cwd="/", stdout=log, stderr=log
            )
        until(self._is_started, "the controller to start")
        self.repository.wait_for_revision(None)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        """Kill the controller with SIGKILL."""
        self.process.kill()
        self.process.wait(60)

    def close(self) -> None:
        """Stop the controller, if it runs, and check that it has logged no internal error."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            assert self._process.wait(60) == 0, self.log.read_text()
        assert not re.search("Traceback|internal error", self.log.read_text()), self.log.read_text()

    def _is_started(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        state = self.repository.state
        return (state / "control.sock").exists() and accepts_connections(state)


@pytest.fixture
def project(cluster: RayCluster, tmp_path: Path, commands: CommandServer) -> Iterator[RemoteProject]:
    machine = Machine(tmp_path / "home", commands)
    log = tmp_path / "controller.log"
    log.touch()
    found = RemoteProject(cluster, Repository(tmp_path / "r", machine), log)
    yield found
    found.close()
