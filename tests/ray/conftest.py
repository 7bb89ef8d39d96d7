"""A Ray cluster for all tests of this folder."""

from collections.abc import Iterator

import pytest

from controller.runs.executors.ray.client import DashboardClient
from controller.runs.executors.ray.engine import RayEngine
from tests.ray_cluster import RayCluster


@pytest.fixture(scope="session")
def only_cluster() -> Iterator[RayCluster]:
    cluster = RayCluster()
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
