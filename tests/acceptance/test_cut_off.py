"""Controllers and a server that can't reach each other: nothing arrives, arrives late, or arrives in one direction."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.store.databases.postgresql import connect
from tests.acceptance.harness import Repository, until
from tests.acceptance.several_controllers import TAKE_OVER_SECONDS, TICK, Controllers, each_a_process
from tests.postgresql import Server
from tests.proxy import Cut

pytestmark = pytest.mark.acceptance
commands = each_a_process


@pytest.fixture
def controllers(repository: Repository, postgresql_server: Server, tmp_path: Path) -> Iterator[Controllers]:
    """Two controllers, and a deployment that is due every second."""
    repository.write("deployments/tick.yaml", TICK.format(root=repository.root))
    repository.commit()
    found = Controllers(repository, postgresql_server, tmp_path, 2)
    yield found
    found.close()


def test_a_leader_that_hears_nothing_from_the_server_becomes_a_standby(controllers: Controllers) -> None:
    old, term = controllers.leader, controllers.term
    with old.proxy.dropping():
        controllers.wait_for_term(term, TAKE_OVER_SECONDS)
        until(lambda: "running flows continue" in old.running.output, "the old leader to step down", TAKE_OVER_SECONDS)
        controllers.wait_for_due_times()
        until(lambda: "The state database can't be used; retrying" in old.running.output, "the old leader to try again")
    until(lambda: "waiting as a standby" in old.running.output, "the old leader to wait")
    assert controllers.leader is not old
    controllers.check()


def test_answers_that_are_late_change_nothing_else(controllers: Controllers) -> None:
    leader, term = controllers.leader, controllers.term
    leader.proxy.delay = 0.05
    seen = controllers.count_ticks()
    until(lambda: controllers.count_ticks() > seen, "a run of a slow leader")
    leader.proxy.delay = 3.0  # each statement takes 6 seconds: too long for a leader
    controllers.wait_for_term(term)
    controllers.wait_for_due_times()
    assert controllers.leader is not leader
    leader.proxy.delay = 0.0
    until(lambda: "waiting as a standby" in leader.running.output, "the old leader to wait")
    controllers.check()


@pytest.mark.parametrize("to_client", [True, False])
def test_connections_that_end_in_one_direction_are_replaced(controllers: Controllers, to_client: bool) -> None:
    leader, term = controllers.leader, controllers.term
    leader.proxy.half_close(to_client=to_client)
    controllers.wait_for_term(term, TAKE_OVER_SECONDS)
    controllers.wait_for_due_times()
    controllers.check()


def test_commits_that_are_cut_are_neither_lost_nor_repeated(controllers: Controllers) -> None:
    leader, term = controllers.leader, controllers.term
    cuts: tuple[Cut, ...] = ("before", "answer", "hold", "answer", "before")
    for cut in cuts:
        leader.proxy.cut = cut
        until(lambda: leader.proxy.cut is None, "a commit to be cut")
        seen = controllers.count_ticks()
        until(lambda: controllers.count_ticks() > seen, "a run after the cut")  # noqa: B023
    assert controllers.leader is leader
    leader.proxy.released.set()
    leader.running.kill()
    controllers.wait_for_term(term, TAKE_OVER_SECONDS)
    controllers.wait_for_due_times()
    controllers.check()


def test_a_standby_that_can_not_record_its_term_tries_again(controllers: Controllers) -> None:
    old, term = controllers.leader, controllers.term
    [other] = [member for member in controllers.members if member is not old]
    with connect(controllers.url) as connection, connection.transaction():
        connection.execute("LOCK TABLE leadership IN EXCLUSIVE MODE")
        old.running.kill()
        until(lambda: "The state database can't be used; retrying" in other.running.output, "a failed attempt")
    controllers.wait_for_term(term)
    controllers.wait_for_due_times()
    controllers.check()


def test_a_standby_that_was_cut_off_takes_over_later(controllers: Controllers) -> None:
    leader, term = controllers.leader, controllers.term
    [other] = [member for member in controllers.members if member is not leader]
    with other.proxy.dropping():
        # It may wait for two answers to its readers, each for 35 seconds.
        until(lambda: "does not answer" in other.running.output, "the standby to notice", seconds=120)
    leader.running.kill()
    controllers.wait_for_term(term)
    controllers.wait_for_due_times()
    controllers.check()
