"""Flows run here and on Ray while controllers, runners, supervisors and a node are killed at random."""

import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.cluster_kills import Killer
from tests.acceptance.cluster_ledger import Ledger
from tests.acceptance.cluster_site import Client, Controller, Site, write_site
from tests.acceptance.harness import Machine, Repository, processes, until
from tests.ray_cluster import RayCluster
from tests.thoroughness import requested

pytestmark = pytest.mark.ray

log = logging.getLogger(__name__)

RUNS = requested("RAY_RUNS", 6)
"""How many runs are requested. Half of them run on Ray, each of which costs 2 s of CPU time."""
SEED = requested("KILLS_SEED", random.randrange(1_000_000))


@pytest.fixture
def site(cluster: RayCluster, tmp_path: Path) -> Iterator[Site]:
    """One controller whose cluster is Ray."""
    repository = Repository(tmp_path / "r", Machine(tmp_path / "home", None))
    write_site(repository, tmp_path / "effects")
    variables = {"CONTROLLER_RAY_ADDRESS": cluster.address, "CONTROLLER_RAY_TOKEN_FILE": str(cluster.token_file)}
    controller = Controller(repository, repository.state, variables, tmp_path / "controller.log")
    made = Site(repository, [controller], repository.select)
    yield made
    made.close()


def test_the_ledger_equals_the_count_of_the_flows(site: Site, cluster: RayCluster, tmp_path: Path) -> None:
    killer = Killer(site, random.Random(SEED))
    [controller] = site.controllers
    mark = f"CONTROLLER_NODE_URL=http://127.0.0.1:{controller.port}"
    killer.add({"process of a runner": lambda: killer.kill_one(processes((mark,)))})
    site.start()
    try:
        with Client(site, RUNS, random.Random(SEED)) as client:
            while not client.is_done:
                answered = len(client.answered)
                until(lambda: client.is_done or len(client.answered) >= answered + 2, "further runs")  # noqa: B023
                killer.act()
        cluster.kill_node()
        site.wait_for_the_end(180)
        ledger = Ledger(site, tmp_path / "effects")
        log.info("%s; %s", dict(killer.kills), ledger.describe())
        ledger.check(client)
    except BaseException as error:
        error.add_note(f"KILLS_SEED={SEED} RAY_RUNS={RUNS}")
        raise
