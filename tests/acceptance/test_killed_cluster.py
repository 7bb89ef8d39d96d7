"""Flows run here and on a cluster while everything is killed at random. The records equal what the flows have counted.

`make kills` does it for minutes. Half of the runs have a due time, and the others are requested.
"""

import logging
import random
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from controller.clock import SystemClock
from controller.store.databases.postgresql import connect
from tests.acceptance.cluster_site import Client, Controller, Killer, Ledger, Site, new_cluster, write_site
from tests.acceptance.front import Front
from tests.acceptance.harness import Repository, until
from tests.postgresql import Server
from tests.remote_parts import free_port
from tests.thoroughness import THOROUGH, requested

pytestmark = pytest.mark.acceptance

log = logging.getLogger(__name__)

Act = Callable[[Site], None]
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


@pytest.fixture
def pair(repository: Repository, tmp_path: Path, postgresql_server: Server) -> Iterator[Site]:
    """Two controllers with their state on a server. Nodes reach either of them, whichever leads."""
    write_site(repository, tmp_path / "effects")
    url = postgresql_server.create_database(f"t{uuid.uuid4().hex[:12]}")
    ports = [free_port(), free_port()]
    front = Front(ports, random.Random(SEED))
    variables = {
        "CONTROLLER_RAY_ADDRESS": f"process:{tmp_path / 'cluster'}",
        "CONTROLLER_STATE_URL": url.text,
        "CONTROLLER_NODE_URL": f"http://127.0.0.1:{front.port}",
    }
    controllers = [
        Controller(
            repository,
            tmp_path / f"state{port}",
            {**variables, "CONTROLLER_NODE_LISTEN": f"127.0.0.1:{port}"},
            tmp_path / f"controller{port}.log",
        )
        for port in ports
    ]

    def select(query: str) -> list[tuple[Any, ...]]:
        with connect(url) as connection:
            return connection.execute(query.encode()).fetchall()

    site = Site(repository, controllers, new_cluster(tmp_path / "cluster"), select)
    yield site
    site.close()
    front.close()


def test_the_ledger_equals_the_count_of_the_flows_with_a_standby(pair: Site, tmp_path: Path) -> None:
    acts = {"leader": kill_leader, "paused leader": pause_leader, "session": end_session}
    with noted_seed():
        live(pair, tmp_path / "effects", random.Random(SEED), acts)


def kill_leader(site: Site) -> None:
    """Kill the controller that leads, and start it again: as a standby, if the other one is fast."""
    for controller in leaders(site):
        controller.kill()
        controller.start()


def pause_leader(site: Site) -> None:
    """Stop the process of the controller that leads until the other one leads."""
    for controller in leaders(site):
        controller.process.send_signal(signal.SIGSTOP)
        try:
            until(lambda: controller not in leaders(site), "the other controller to lead")  # noqa: B023
        finally:
            controller.process.send_signal(signal.SIGCONT)


def leaders(site: Site) -> list[Controller]:
    """Return the controller that led last, unless it was killed."""
    pids = site.select("SELECT pid FROM leadership")
    return [controller for controller in site.controllers if (controller.process.pid,) in pids]


def end_session(site: Site) -> None:
    """End a session of some controller at the server."""
    site.select(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name LIKE 'controller%' ORDER BY random() LIMIT 1"
    )


def live(site: Site, effects: Path, chance: random.Random, acts: Mapping[str, Act] = MappingProxyType({})) -> None:
    """Let runs start while processes are killed, then wait until all have ended, and check the records."""
    site.start()
    end = SystemClock().now().replace(microsecond=0) + timedelta(seconds=SECONDS + MORE_SECONDS)
    site.begin_schedules(end)
    client, killer = Client(site, SECONDS, random.Random(SEED)), Killer(site, chance)
    for name, act in acts.items():
        killer.add(name, act)
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
