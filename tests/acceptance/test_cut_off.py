"""Controllers and a server that can't reach each other: nothing arrives, arrives late, or arrives in one direction."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.cluster import TAKE_OVER_SECONDS, TICK, Cluster
from tests.acceptance.harness import Repository, until
from tests.postgresql import Server

pytestmark = pytest.mark.acceptance


@pytest.fixture
def commands() -> None:
    """Each command is a process of its own: a controller that is deposed executes itself again."""


@pytest.fixture
def cluster(repository: Repository, postgresql_server: Server, tmp_path: Path) -> Iterator[Cluster]:
    """Two controllers, and a deployment that is due every second."""
    repository.write("deployments/tick.yaml", TICK.format(root=repository.root))
    repository.commit()
    found = Cluster(repository, postgresql_server, tmp_path, 2)
    yield found
    found.close()


def test_a_leader_that_hears_nothing_from_the_server_becomes_a_standby(cluster: Cluster) -> None:
    old = cluster.leader
    with old.proxy.dropping():
        cluster.wait_for_term(1, TAKE_OVER_SECONDS)
        until(lambda: "running flows continue" in old.running.output, "the old leader to step down", TAKE_OVER_SECONDS)
        cluster.wait_for_due_times()
        until(lambda: "The state database can't be used; retrying" in old.running.output, "the old leader to try again")
    until(lambda: "waiting as a standby" in old.running.output, "the old leader to wait")
    assert cluster.leader is not old
    cluster.check()
