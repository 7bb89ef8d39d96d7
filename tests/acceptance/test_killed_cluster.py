"""Flows run here and on a cluster while everything is killed at random. The records equal what the flows have counted.

`make kills` does it for minutes. Half of the runs have a due time, and the others are requested.
"""

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from controller.clock import SystemClock
from tests.acceptance.cluster_site import Client, Controller, Killer, Ledger, Site, new_cluster, write_site
from tests.acceptance.harness import Repository, until
from tests.thoroughness import THOROUGH, requested

pytestmark = pytest.mark.acceptance

log = logging.getLogger(__name__)

SECONDS = requested("KILLS_SECONDS", 60 if THOROUGH else 8)
MORE_SECONDS = 4
"""How long the schedules continue after the last kill."""
SEED = requested("KILLS_SEED", random.randrange(1_000_000))


@pytest.fixture
def commands() -> None:
    """The stories run no commands."""


@pytest.fixture
def alone(repository: Repository, tmp_path: Path) -> Iterator[Site]:
    """One controller with its state in a file."""
    write_site(repository, tmp_path / "effects")
    variables = {"CONTROLLER_RAY_ADDRESS": f"process:{tmp_path / 'cluster'}"}
    controller = Controller(repository, repository.state, variables, tmp_path / "controller.log")
    site = Site(repository, [controller], new_cluster(tmp_path / "cluster"), repository.select)
    yield site
    site.close()


def test_the_ledger_equals_the_count_of_the_flows(alone: Site, tmp_path: Path) -> None:
    with noted_seed():
        live(alone, tmp_path / "effects", random.Random(SEED))


def live(site: Site, effects: Path, chance: random.Random) -> None:
    """Let runs start while processes are killed, then wait until all have ended, and check the records."""
    site.start()
    end = SystemClock().now().replace(microsecond=0) + timedelta(seconds=SECONDS + MORE_SECONDS)
    site.begin_schedules(end)
    client, killer = Client(site, SECONDS, random.Random(SEED)), Killer(site, chance)
    client.begin()
    try:
        last = time.monotonic() + SECONDS
        while time.monotonic() < last:
            moment = time.monotonic() + chance.uniform(0, 2)
            until(lambda: time.monotonic() >= moment, "a random moment")  # noqa: B023
            killer.act()
        until(lambda: client.is_done, "an answer to all requests", 60 + SECONDS)
    finally:
        client.stop()
    until(lambda: SystemClock().now() > end, "the end of the schedules", 60 + SECONDS)
    site.wait_for_the_end(180)
    ledger = Ledger(site, effects)
    log.info("%s; %s", dict(killer.kills), ledger.describe())
    ledger.check(client, end)


@contextmanager
def noted_seed() -> Iterator[None]:
    """Add the seed to whatever is raised."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"KILLS_SEED={SEED} KILLS_SECONDS={SECONDS}")
        raise
