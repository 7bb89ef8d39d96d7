"""Controllers and a server that can't reach each other: nothing arrives, arrives late, or arrives in one direction."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.store.databases.postgresql import connect
from tests.acceptance.cluster import TAKE_OVER_SECONDS, TICK, Cluster
from tests.acceptance.harness import Repository, until
from tests.postgresql import Server
from tests.proxy import Cut

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


def test_answers_that_are_late_change_nothing_else(cluster: Cluster) -> None:
    leader = cluster.leader
    leader.proxy.delay = 0.05
    seen = cluster.count_ticks()
    until(lambda: cluster.count_ticks() > seen, "a run of a slow leader")
    leader.proxy.delay = 3.0  # each statement takes 6 seconds: too long for a leader
    cluster.wait_for_term(1)
    cluster.wait_for_due_times()
    assert cluster.leader is not leader
    leader.proxy.delay = 0.0
    until(lambda: "waiting as a standby" in leader.running.output, "the old leader to wait")
    cluster.check()


@pytest.mark.parametrize("to_client", [True, False])
def test_connections_that_end_in_one_direction_are_replaced(cluster: Cluster, to_client: bool) -> None:
    cluster.leader.proxy.half_close(to_client=to_client)
    cluster.wait_for_term(1, TAKE_OVER_SECONDS)
    cluster.wait_for_due_times()
    cluster.check()


def test_commits_that_are_cut_are_neither_lost_nor_repeated(cluster: Cluster) -> None:
    leader = cluster.leader
    cuts: tuple[Cut, ...] = ("before", "answer", "hold", "answer", "before")
    for cut in cuts:
        leader.proxy.cut = cut
        until(lambda: leader.proxy.cut is None, "a commit to be cut")
        seen = cluster.count_ticks()
        until(lambda: cluster.count_ticks() > seen, "a run after the cut")  # noqa: B023
    assert cluster.leader is leader
    leader.proxy.released.set()
    leader.running.kill()
    cluster.wait_for_term(1, TAKE_OVER_SECONDS)
    cluster.wait_for_due_times()
    cluster.check()


def test_a_standby_that_can_not_record_its_term_tries_again(cluster: Cluster) -> None:
    old = cluster.leader
    [other] = [member for member in cluster.members if member is not old]
    with connect(cluster.url) as connection, connection.transaction():
        connection.execute("LOCK TABLE leadership IN EXCLUSIVE MODE")
        old.running.kill()
        until(lambda: "The state database can't be used; retrying" in other.running.output, "a failed attempt")
    cluster.wait_for_term(1)
    cluster.wait_for_due_times()
    cluster.check()


def test_a_standby_that_was_cut_off_takes_over_later(cluster: Cluster) -> None:
    leader = cluster.leader
    [other] = [member for member in cluster.members if member is not leader]
    with other.proxy.dropping():
        until(lambda: "does not answer" in other.running.output, "the standby to notice")
    leader.running.kill()
    cluster.wait_for_term(1)
    cluster.wait_for_due_times()
    cluster.check()
