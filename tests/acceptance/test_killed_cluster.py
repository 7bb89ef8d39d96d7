"""Flows run here and on a cluster while everything is killed at random. The records equal what the flows have counted.

`make kills` does it for minutes, with two runs a second. Half of them have a due time, and the others are requested.
"""

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.clock import SystemClock
from controller.state_url import StateUrl
from controller.store.databases.postgresql import connect
from tests.acceptance.cluster_kills import ClusterKills, Killer, LeaderKills
from tests.acceptance.cluster_ledger import Ledger
from tests.acceptance.cluster_site import Client, Controller, Site, write_site
from tests.acceptance.front import Front
from tests.acceptance.harness import Repository, until
from tests.acceptance.several_controllers import new_database
from tests.process_cluster import PATH, Cluster
from tests.remote_parts import free_port
from tests.thoroughness import THOROUGH, requested

pytestmark = pytest.mark.acceptance
url = new_database

log = logging.getLogger(__name__)

SECONDS = requested("KILLS_SECONDS", 60 if THOROUGH else 8)
MIN_KILLS = 6
MORE_SECONDS = 4
"""How long the schedules continue after the last kill."""
SEED = requested("KILLS_SEED", random.randrange(1_000_000))


@pytest.fixture
def commands() -> None:
    """The stories run no commands."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """The cluster on which flows run."""
    made = Cluster(tmp_path / "cluster", PATH)
    yield made
    made.close()


@pytest.fixture
def alone(repository: Repository, cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    """One controller with its state in a file."""
    write_site(repository, tmp_path / "effects")
    variables = {"CONTROLLER_RAY_ADDRESS": f"process:{cluster.directory}"}
    controller = Controller(repository, repository.state, variables, tmp_path / "controller.log")
    site = Site(repository, [controller], repository.select)
    yield site
    site.close()


@pytest.fixture
def pair(repository: Repository, cluster: Cluster, tmp_path: Path, url: StateUrl) -> Iterator[Site]:
    """Two controllers with their state on a server. Nodes reach either of them, whichever leads.

    The first one has an address only for nodes.
    """
    write_site(repository, tmp_path / "effects")
    node_port = free_port()
    controllers = [
        Controller(repository, tmp_path / f"state{number}", {}, tmp_path / f"controller{number}.log")
        for number in range(2)
    ]
    front = Front([node_port, controllers[1].port], random.Random(SEED))
    for controller in controllers:
        controller.variables = {
            "CONTROLLER_RAY_ADDRESS": f"process:{cluster.directory}",
            "CONTROLLER_STATE_URL": url.text,
            "CONTROLLER_NODE_URL": f"http://127.0.0.1:{front.port}",
        }
    controllers[0].variables["CONTROLLER_NODE_LISTEN"] = f"127.0.0.1:{node_port}"

    def select(query: str) -> list[tuple[Any, ...]]:
        with connect(url, "test") as connection:
            return connection.execute(query.encode()).fetchall()

    site = Site(repository, controllers, select)
    yield site
    site.close()
    front.close()


def test_the_ledger_equals_the_count_of_the_flows(alone: Site, cluster: Cluster, tmp_path: Path) -> None:
    killer = new_killer(alone, cluster)
    with noted_seed():
        live(alone, killer, tmp_path / "effects")


def test_the_ledger_equals_the_count_of_the_flows_with_a_standby(pair: Site, cluster: Cluster, tmp_path: Path) -> None:
    killer = new_killer(pair, cluster)
    killer.add(LeaderKills(pair).acts)
    with noted_seed():
        live(pair, killer, tmp_path / "effects")


def new_killer(site: Site, cluster: Cluster) -> Killer:
    chance = random.Random(SEED)
    killer = Killer(site, chance)
    killer.add(ClusterKills(site, killer, cluster, chance).acts)
    return killer


def live(site: Site, killer: Killer, effects: Path) -> None:
    """Let runs start while processes are killed, then wait until all have ended, and check the records."""
    site.start()
    end = SystemClock().now().replace(microsecond=0) + timedelta(seconds=SECONDS + MORE_SECONDS)
    site.begin_schedules(end)
    chance = random.Random(SEED)
    with Client(site, SECONDS, random.Random(SEED)) as client:
        last = time.monotonic() + SECONDS
        while time.monotonic() < last or killer.kills.total() < MIN_KILLS:
            moment = time.monotonic() + chance.uniform(0, 2)
            until(lambda: time.monotonic() >= moment, "a random moment")  # noqa: B023
            killer.act()
        until(lambda: client.is_done, "an answer to all requests", 60 + SECONDS)
    until(lambda: SystemClock().now() > end, "the end of the schedules", 60 + SECONDS)
    site.wait_for_the_end(180)
    ledger = Ledger(site, effects)
    log.info("%s; %s", dict(killer.kills), ledger.describe())
    ledger.check(client)
    ledger.check_due_times(end)


@contextmanager
def noted_seed() -> Iterator[None]:
    """Add the seed to whatever is raised."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"KILLS_SEED={SEED} KILLS_SECONDS={SECONDS}")
        raise
