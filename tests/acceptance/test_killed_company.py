"""Everything of a small company is killed at random while files, requests and due times start its runs.

`make kills` does it for minutes. Each thing that happens has the runs that it has to have, and no other ones.
"""

import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.clock import SystemClock
from tests.acceptance.company import FLOWS, SECRET, Killer, World, documents, project
from tests.acceptance.company_accounts import UNFINISHED, Accounts
from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, Running, processes, until
from tests.receivers import free_port
from tests.thoroughness import THOROUGH, requested

pytestmark = pytest.mark.acceptance

log = logging.getLogger(__name__)

SECONDS = requested("KILLS_SECONDS", 120 if THOROUGH else 8)
SEED = requested("KILLS_SEED", random.randrange(1_000_000))
GRACE_SECONDS = 5
"""How long the schedules of the company continue after the last kill."""


@pytest.fixture
def end() -> datetime:
    """The instant at which the schedules of the company end."""
    return SystemClock().now().replace(microsecond=0) + timedelta(seconds=SECONDS + GRACE_SECONDS)


@pytest.fixture
def company(repository: Repository, tmp_path: Path, end: datetime) -> Repository:
    """The repository of the company."""
    (tmp_path / "inbox").mkdir()
    repository.write("controller.yaml", project(end))
    repository.write("flows/company.py", FLOWS.format(effects=str(tmp_path / "effects")))
    repository.write("deployments/company.yaml", documents(tmp_path / "inbox", end))
    answer = repository.ask("validate")
    assert answer.code == 0, answer
    repository.commit("A small company")
    return repository


def test_each_event_has_exactly_its_runs_although_everything_is_killed_at_random(
    company: Repository, running: Start, tmp_path: Path, end: datetime
) -> None:
    chance, port = random.Random(SEED), free_port()
    world, killer = World(company, tmp_path / "inbox", port, SEED), Killer(company, chance)

    def start() -> Running:
        options = ("--watch-root", str(tmp_path), "--listen", f"127.0.0.1:{port}", "--max-running", "4")
        return running(company, *options, SHOP_HOOK=SECRET)

    with noted_seed():
        controller = start()
        company.wait_for_revision(None)
        world.begin()
        try:
            last = time.monotonic() + SECONDS
            while time.monotonic() < last:
                moment = time.monotonic() + chance.uniform(0, 3)
                until(lambda: time.monotonic() >= moment, "a random moment")  # noqa: B023
                if killer.kill_some(controller.process):
                    controller = start()
        finally:
            world.stop()
        world.finish_redos()
        Accounts(company, tmp_path / "effects").check_deliveries(world, is_complete=False)
        for delivery in [*world.unanswered(), *world.deliveries[-20:]]:
            until(lambda: world.is_answered(delivery), "the answer to a delivery")  # noqa: B023
        until(lambda: SystemClock().now() > end, "the end of the schedules")
        wait_for_the_end_of_all_runs(company, len(world.dropped))
        controller.stop()
        until(lambda: not processes((f"{company.state}/",)), "the processes to be gone")

        accounts = Accounts(company, tmp_path / "effects")
        log.info("%s kills; %s", killer.kills, accounts.describe())
        accounts.check(world, end)


@contextmanager
def noted_seed() -> Iterator[None]:
    """Add the seed to whatever is raised."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"KILLS_SEED={SEED} KILLS_SECONDS={SECONDS}")
        raise


def wait_for_the_end_of_all_runs(company: Repository, files: int) -> None:
    """Wait until there is nothing left to do. A run that waits says for what."""
    count = "SELECT count(*) FROM runs WHERE trigger = 'file'"
    until(lambda: company.select(count)[0][0] >= files, "the runs of all files")
    until(lambda: all(run["waiting"] for run in pending(company)), "each waiting run to say for what")
    try:
        until(lambda: not company.select(UNFINISHED), "all runs to end", 180)
    except AssertionError as error:
        error.add_note("\n".join(f"{run['deployment']} {run['id']}: {run['waiting']}" for run in pending(company)))
        raise


def pending(company: Repository) -> list[Any]:
    """Return the runs that wait."""
    return list(company.tell("runs", "list", "--state", "pending", "--limit", "1000"))
