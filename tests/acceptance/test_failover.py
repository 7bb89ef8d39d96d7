"""A PostgreSQL server fails, and its streaming replica is promoted while controllers use it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.state_url import parse_state_url
from controller.store import Store
from controller.store.leaders import find_leader
from tests.acceptance.harness import Repository, until
from tests.acceptance.several_controllers import TICK, Controllers, each_a_process
from tests.postgresql import USER, Server

pytestmark = pytest.mark.acceptance
commands = each_a_process

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


@pytest.fixture
def primary() -> Iterator[Server]:
    """A server that waits for its replica with each commit."""
    found = Server(**DURABLE)
    yield found
    found.close()


@pytest.fixture
def replica(primary: Server) -> Iterator[Server]:
    """Its replica."""
    found = Server(primary, **DURABLE)
    primary.change("synchronous_standby_names", "*")
    yield found
    found.close()


@pytest.fixture
def controllers(repository: Repository, primary: Server, replica: Server, tmp_path: Path) -> Iterator[Controllers]:
    """Two controllers, and a deployment that is due every second."""
    assert replica.process.poll() is None
    repository.write("deployments/tick.yaml", TICK.format(root=repository.root))
    repository.commit()
    found = Controllers(repository, primary, tmp_path, 2)
    until(lambda: found.count_ticks() > 1, "the first runs")
    yield found
    found.close()


def test_a_promoted_replica_has_everything_that_was_recorded(
    controllers: Controllers, primary: Server, replica: Server
) -> None:
    before = controllers.term
    primary.stop(signal.SIGQUIT)
    replica.promote()
    controllers.move_to(replica)
    controllers.wait_for_term(before)
    controllers.wait_for_due_times()
    assert controllers.term > before
    controllers.check()


def test_a_primary_that_has_lost_its_replica_records_nothing_more(
    controllers: Controllers, primary: Server, replica: Server
) -> None:
    old, before = controllers.leader, controllers.term
    [other] = [member for member in controllers.members if member is not old]
    replica.promote()  # the old leader still reaches the primary, which waits for a replica
    controllers.server = replica
    other.proxy.target = replica.socket
    other.proxy.reset()
    controllers.wait_for_term(before)
    controllers.wait_for_due_times()
    assert controllers.leader is other
    until(lambda: "running flows continue" in old.running.output, "the old leader to step down")
    old.proxy.target = replica.socket
    old.proxy.reset()
    until(lambda: "waiting as a standby" in old.running.output, "the old leader to wait")
    primary.stop()
    controllers.check()


def test_a_url_with_both_servers_reaches_the_promoted_one(primary: Server, replica: Server) -> None:
    primary.create_database("both")
    hosts = f"host={primary.directory}&host={replica.directory}"
    url = parse_state_url(f"postgresql+psycopg://{USER}@/both?{hosts}&target_session_attrs=read-write")
    assert url is not None
    for term in (1, 2):
        store = Store.open(url)
        with store.read() as tx:
            leader = find_leader(tx)
        assert leader is not None
        assert leader.term == term
        store.close()
        if term == 1:
            primary.stop()
            replica.promote()
