"""Three controllers share a server, and whatever leads is killed, stopped and cut off, and the server restarted.

`make failover` does it for 1,000 runs. Flows count their attempts themselves.
"""

import itertools
import logging
import signal
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from controller.clock import SystemClock
from tests.acceptance.harness import Repository, assert_every_second, until
from tests.acceptance.several_controllers import Controllers, check_terms, each_a_process
from tests.postgresql import Server
from tests.thoroughness import THOROUGH, requested

pytestmark = pytest.mark.acceptance
commands = each_a_process

log = logging.getLogger(__name__)

RUNS = requested("FAILOVER_RUNS", 1000 if THOROUGH else 120)
DEPLOYMENTS = 5
DOCUMENT = """
    name: d{number}
    command: ['sh', '{root}/count.sh', '{failures}']
    retries: {{limit: 1, delay: 0.1s}}
    overlap: allow
"""
COUNT = """
    echo $CONTROLLER_RUN_ID $CONTROLLER_ATTEMPT >> {root}/starts
    [ $CONTROLLER_ATTEMPT -gt $1 ]
"""
SCHEDULE = "    schedules: [{interval: 1s}]\n"
FINISHED = "SELECT count(*) FROM runs WHERE state = 'succeeded'"


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that keeps what it has confirmed."""
    found = Server(fsync="on", synchronous_commit="on", full_page_writes="on")
    yield found
    found.close()


@pytest.fixture
def controllers(repository: Repository, server: Server, tmp_path: Path) -> Iterator[Controllers]:
    """Three controllers, and deployments that are due every second. Each run of the first one fails once."""
    repository.write("count.sh", COUNT.format(root=repository.root))
    declare(repository, SCHEDULE)
    found = Controllers(repository, server, tmp_path, 3)
    yield found
    found.close()


def declare(repository: Repository, schedule: str) -> str:
    """Commit the deployments with this schedule. Return the revision."""
    for number in range(DEPLOYMENTS):
        document = DOCUMENT.format(number=number, root=repository.root, failures=int(number == 0))
        repository.write(f"deployments/d{number}.yaml", document + schedule)
    return repository.commit()


def kill(controllers: Controllers) -> Callable[[], None]:
    """Kill the leader, and start its controller again later."""
    member = controllers.leader
    member.running.kill()
    return member.start


def stop(controllers: Controllers) -> Callable[[], None]:
    """Stop the process of the leader, and continue it later."""
    member = controllers.leader
    member.running.process.send_signal(signal.SIGSTOP)
    return lambda: member.running.process.send_signal(signal.SIGCONT)


def cut_off(controllers: Controllers) -> Callable[[], None]:
    """Let nothing pass between the leader and the server, and let it pass later."""
    member = controllers.leader
    member.proxy.drop()
    return member.proxy.restore


def restart(controllers: Controllers) -> Callable[[], None]:
    """End the server at once, and start it again."""
    controllers.server.stop()
    controllers.server.start()
    return lambda: None


FAULTS = {"killed": kill, "stopped": stop, "cut off": cut_off, "server restarted": restart}


def test_every_run_happens_once_although_leaders_and_the_server_fail(controllers: Controllers) -> None:
    delays: dict[str, list[tuple[float, float]]] = defaultdict(list)
    faults = itertools.cycle(FAULTS.items())
    while len(delays) < len(FAULTS) or controllers.select(FINISHED)[0][0] < RUNS:
        name, fail = next(faults)
        term, moment = controllers.term, SystemClock().now()
        repair = fail(controllers)
        controllers.wait_for_term(term)
        delays[name].append((since_begin_of_term(controllers, moment), since_first_run(controllers, moment)))
        repair()
        until(lambda: all(member.is_settled for member in controllers.members), "all controllers to lead or to wait")
        wait_for_due_run(controllers, SystemClock().now())
    revision = declare(controllers.folder, "")
    until(
        lambda: controllers.select(f"SELECT 1 FROM source WHERE last_applied_revision = '{revision}'"), "the last pass"
    )
    until(
        lambda: not controllers.select("SELECT 1 FROM runs WHERE state <> 'succeeded' LIMIT 1"), "all runs to succeed"
    )
    log.info("%s runs; from the fault to the new term, and to its first run:\n%s", *describe(controllers, delays))
    check_starts(controllers)
    check_due_times(controllers)
    check_terms([term for (term,) in controllers.select("SELECT term FROM terms ORDER BY number")])


def wait_for_due_run(controllers: Controllers, moment: datetime) -> None:
    """Return when a run that was due after this instant has succeeded."""
    query = f"SELECT 1 FROM runs WHERE state = 'succeeded' AND scheduled_for > '{moment.isoformat()}' LIMIT 1"
    until(lambda: controllers.select(query), "the next run")


def since_begin_of_term(controllers: Controllers, moment: datetime) -> float:
    [(since,)] = controllers.select("SELECT since FROM leadership")
    return float((since - moment).total_seconds())


def since_first_run(controllers: Controllers, moment: datetime) -> float:
    query = "SELECT min(started_at) FROM attempts, leadership WHERE started_at > since"
    started = until(lambda: controllers.select(query)[0][0], "a run of the new term")
    return float((started - moment).total_seconds())


def describe(controllers: Controllers, delays: dict[str, list[tuple[float, float]]]) -> tuple[int, str]:
    """Return the number of runs, and a table of the delays in seconds: the median and the longest."""
    lines = ["| fault | times | new term after | first run after |", "|---|---|---|---|"]
    for name, pairs in delays.items():
        columns = [
            f"{statistics.median(values):.1f} s, at most {max(values):.1f} s" for values in zip(*pairs, strict=True)
        ]
        lines.append(f"| {name} | {len(pairs)} | {' | '.join(columns)} |")
    return controllers.select(FINISHED)[0][0], "\n".join(lines)


def check_starts(controllers: Controllers) -> None:
    """Check that the attempts in the database are those that the flows have counted, each of them once."""
    counted = Counter((controllers.folder.root / "starts").read_text().splitlines())
    assert set(counted.values()) == {1}
    recorded = {f"{run} {number}" for run, number in controllers.select("SELECT run_id, number FROM attempts")}
    assert set(counted) == recorded
    attempts = (
        "SELECT deployment = 'd0', count(*) FROM attempts JOIN runs ON runs.id = run_id GROUP BY run_id, deployment"
    )
    assert set(controllers.select(attempts)) == {(True, 2), (False, 1)}


def check_due_times(controllers: Controllers) -> None:
    """Check that each due time has a run of its own, and that no due time is missing."""
    for number in range(DEPLOYMENTS):
        query = f"SELECT scheduled_for, run_id FROM occurrences WHERE deployment = 'd{number}' ORDER BY 1"
        rows = controllers.select(query)
        assert_every_second([time.isoformat() for time, _ in rows])
        recorded = {run for (run,) in controllers.select(f"SELECT id FROM runs WHERE deployment = 'd{number}'")}
        assert {run for _, run in rows} == recorded
        assert len(rows) == len(recorded)
