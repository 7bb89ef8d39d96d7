"""A site for stories in which flows run here and on a cluster while everything is killed, and checks of its records.

The cluster is the process engine. `Site` has the controllers, `Client` requests runs, `Killer` kills processes, and
`Ledger` compares the records with what the flows have counted themselves.
"""

import http.client
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controller.runs.executors.local.supervisor import process_tree
from tests.acceptance.harness import Repository, accepts_connections, processes, until
from tests.controller_on_processes import PATH, Cluster
from tests.remote_parts import free_port

ROOT = Path(__file__).parents[2]
TOKEN = "t" * 43
MAX_UNFINISHED = 12
"""Nobody requests more while this many runs have not finished, so that a slow machine keeps up."""
INTERVAL = 2

FLOWS = """
import os, time


def note(text):
    words = (text, os.environ["CONTROLLER_RUN_ID"], os.environ["CONTROLLER_ATTEMPT"])
    target = os.open({effects!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(target, (" ".join(words) + "\\n").encode())
    os.close(target)


def work(number: int = 0):
    note("begin")
    print("works on", number, flush=True)
    time.sleep(1)
    note("end")
    return 2 * number
"""
DOCUMENT = """\
name: {name}
flow: flows/all.py:work
executor: {executor}
overlap: allow
catchup: {{policy: all}}
retries: {{limit: 1, delay: 0.1s, on: [crashed]}}
"""
PLACES = {"here": "local", "there": "ray"}
KILLED = (
    "outcome unknown: the supervisor was killed",
    "outcome unknown: its supervisor was killed",
    "outcome unknown: the supervisor did not start: exit code -9",
    "outcome unknown: its node was lost: ray: its process has ended",
    "outcome unknown: the controller that led before has allowed its start",
    "ended by SIGKILL",
)
"""How the reasons of attempts that did not succeed begin. Nothing but a kill ends them."""


def write_site(repository: Repository, effects: Path) -> None:
    """Commit the deployments whose runs are requested."""
    repository.write("flows/all.py", FLOWS.format(effects=str(effects)))
    for name, executor in PLACES.items():
        repository.write(f"deployments/{name}.yaml", DOCUMENT.format(name=name, executor=executor))
    repository.commit("A site with a cluster")


@dataclass(slots=True)
class Controller:
    """One of the controllers of a site, with its state directory and its address; `start` starts it again."""

    repository: Repository
    state: Path
    variables: dict[str, str]
    log: Path
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.state.mkdir(mode=0o700, exist_ok=True)
        (self.state / "token").write_text(TOKEN, encoding="ascii")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Start it. Returns when it accepts requests."""
        environment = {
            **self.repository.machine.environment,
            "PYTHONPATH": str(ROOT),
            "CONTROLLER_LISTEN": f"127.0.0.1:{self.port}",
            "CONTROLLER_MAX_RUNNING": "8",
            **self.variables,
        }
        command = [sys.executable, "-m", "tests.controller_on_processes", "run"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--repo", self.repository.address, "--state-dir", str(self.state)],
                env=environment,
                cwd="/",
                stdout=log,
                stderr=log,
            )
        until(self._is_started, "the controller to start")

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.process.kill()
        self.process.wait(30)

    def close(self) -> None:
        """Stop it, if it runs, and check that it has logged no internal error."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            assert self._process.wait(30) == 0, self.log.read_text()
        text = self.log.read_text()
        assert "Traceback" not in text, text
        assert "internal error" not in text, text

    def _is_started(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return (self.state / "control.sock").exists() and accepts_connections(self.state)


@dataclass(slots=True)
class Site:
    """The controllers of a repository, their cluster, and a query of their state."""

    repository: Repository
    controllers: list[Controller]
    cluster: Cluster
    select: Callable[[str], list[tuple[Any, ...]]]

    def start(self) -> None:
        """Start all controllers. Returns when a commit is applied."""
        for controller in self.controllers:
            controller.start()
        until(lambda: self.select("SELECT 1 FROM source WHERE last_applied_revision IS NOT NULL"), "the first pass")

    def begin_schedules(self, end: datetime) -> None:
        """Commit the deployments that have a schedule, which ends at `end`, and wait until they are applied."""
        schedule = f'schedule: {{interval: {INTERVAL}s, end: "{end.isoformat(timespec="seconds")}"}}\n'
        for name, executor in PLACES.items():
            document = DOCUMENT.format(name=f"{name}-often", executor=executor)
            self.repository.write(f"deployments/{name}-often.yaml", document + schedule)
        revision = self.repository.commit("Schedules")
        until(lambda: self.select("SELECT last_applied_revision FROM source") == [(revision,)], "the schedules")

    def wait_for_the_end(self, seconds: float) -> None:
        """Wait until no run is left."""
        unfinished = "SELECT deployment, id, state, attempt, uncertain_reason FROM runs WHERE finished_at IS NULL"
        try:
            until(lambda: not self.select(unfinished), "all runs to end", seconds)
        except AssertionError as error:
            error.add_note("\n".join(str(row) for row in self.select(unfinished)))
            raise

    def processes(self) -> list[int]:
        """Return the processes of local runs."""
        return processes(tuple(f"{controller.state}/runs/" for controller in self.controllers))

    def close(self) -> None:
        """Stop the controllers, and kill everything that is left on the cluster."""
        try:
            for controller in reversed(self.controllers):
                controller.close()
        finally:
            for controller in self.controllers:
                controller.kill()
            self.cluster.close()


class Client:
    """Requests `count` runs, in turn here and on the cluster. Repeats each request until it is answered."""

    def __init__(self, site: Site, count: int, chance: random.Random) -> None:
        self._site = site
        self._count = count
        self._chance = chance
        self._thread = threading.Thread(target=self._work)
        self._stopping = threading.Event()
        self.answered: dict[str, str] = {}

    def begin(self) -> None:
        """Start to request runs."""
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether all requests have been answered."""
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Give up what was not requested yet."""
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        for number in range(self._count):
            while not self._stopping.wait(self._chance.uniform(0.1, 0.5)):
                if self._count_unfinished() < MAX_UNFINISHED and self._request(number):
                    break

    def _request(self, number: int) -> bool:
        """Request a run of some controller; return whether it was answered."""
        name = list(PLACES)[number % 2]
        port = self._chance.choice(self._site.controllers).port
        headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": f"request-{number}"}
        content = json.dumps({"parameters": {"number": number}})
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            try:
                connection.request(
                    "POST",
                    f"/api/v1/deployments/{name}/runs",
                    content,
                    {**headers, "Content-Type": "application/json"},
                )
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                return False
        assert answer.status in (201, 503), (answer.status, text)
        if answer.status == 201:
            self.answered[f"request-{number}"] = json.loads(text)["run_id"]
        return answer.status == 201

    def _count_unfinished(self) -> int:
        return int(self._site.select("SELECT count(*) FROM runs WHERE finished_at IS NULL")[0][0])


class Killer:
    """Kills processes of a site at random, each by its id, and starts killed controllers again."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self._site = site
        self._chance = chance
        self.kills: Counter[str] = Counter()
        self._acts: dict[str, Callable[[], None]] = {
            "controller": self._kill_controller,
            "local process": self._kill_local_process,
            "runner": self._kill_runner,
            "process below a runner": self._kill_below_runner,
            "node": self._lose_node,
            "repeated job": self._repeat_job,
            "everything": self._kill_everything,
        }

    def add(self, name: str, act: Callable[[Site], None]) -> None:
        """Let something else happen, too."""
        self._acts[name] = lambda: act(self._site)

    def act(self) -> None:
        """Kill something."""
        name = self._chance.choice(list(self._acts))
        self._acts[name]()
        self.kills[name] += 1

    def _kill_controller(self) -> None:
        controller = self._chance.choice(self._site.controllers)
        controller.kill()
        controller.start()

    def _kill_local_process(self) -> None:
        self._kill_one(self._site.processes())

    def _kill_runner(self) -> None:
        for job_id in self._some_job():
            self._site.cluster.kill_runner(job_id)

    def _kill_below_runner(self) -> None:
        """Kill a supervisor or a flow on a node."""
        for job_id in self._some_job():
            runners = self._site.cluster.runners(job_id)
            self._kill_one([pid for runner in runners for pid in process_tree.descendants(runner)])

    def _lose_node(self) -> None:
        for job_id in self._some_job():
            self._site.cluster.lose_job(job_id)

    def _repeat_job(self) -> None:
        for job_id in self._some_job():
            with suppress(FileNotFoundError):
                self._site.cluster.repeat(job_id)

    def _kill_everything(self) -> None:
        for controller in self._site.controllers:
            controller.kill()
        for pid in self._site.processes():
            self._kill(pid)
        for job_id in self._site.cluster.jobs:
            self._site.cluster.lose_job(job_id)
        for controller in self._site.controllers:
            controller.start()

    def _some_job(self) -> Iterator[str]:
        """Yield one job whose runner lives, if there is any."""
        cluster = self._site.cluster
        alive = [job_id for job_id in cluster.jobs if cluster.runners(job_id)]
        if alive:
            yield self._chance.choice(alive)

    def _kill_one(self, pids: list[int]) -> None:
        if pids:
            self._kill(self._chance.choice(sorted(pids)))

    def _kill(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Ledger:
    """The records of a site after its last run, and the lines that the flows have written."""

    def __init__(self, site: Site, effects: Path) -> None:
        self._site = site
        lines = [line.split() for line in effects.read_text().splitlines()]
        self._begun = Counter((run_id, int(number)) for text, run_id, number in lines if text == "begin")
        self._ended = Counter((run_id, int(number)) for text, run_id, number in lines if text == "end")
        rows = site.select("SELECT id, deployment, state, reason, idempotency_key FROM runs")
        self._runs = {row[0]: row[1:] for row in rows}
        rows = site.select("SELECT run_id, number, state, reason, executor, instance FROM attempts")
        self._attempts = {(row[0], row[1]): row[2:] for row in rows}

    def check(self, client: Client, end: datetime) -> None:
        """Check everything. The schedules end at `end`."""
        self.check_requests(client)
        self.check_due_times(end)
        self.check_attempts()
        self.check_results()

    def check_requests(self, client: Client) -> None:
        """Each request has its one run."""
        recorded = {key: run_id for run_id, (_, _, _, key) in self._runs.items() if key}
        assert recorded == client.answered

    def check_due_times(self, end: datetime) -> None:
        """Each due time of the schedules has one run."""
        for name in PLACES:
            query = f"SELECT scheduled_for, run_id FROM occurrences WHERE deployment = '{name}-often' ORDER BY 1"
            rows = self._site.select(query)
            times = [_instant(moment) for moment, _ in rows]
            for earlier, later in itertools.pairwise(times):
                assert later - earlier == timedelta(seconds=INTERVAL), f"{name}: {earlier} is followed by {later}"
            assert end - timedelta(seconds=INTERVAL) < times[-1] <= end, (name, times[-1], end)
            run_ids = [run_id for _, run_id in rows]
            assert set(run_ids) <= self._runs.keys()
            of_deployment = [run_id for run_id, (deployment, *_) in self._runs.items() if deployment == f"{name}-often"]
            assert sorted(run_ids) == sorted(of_deployment)

    def check_attempts(self) -> None:
        """Each attempt was started at most once. Those that succeeded have finished, and kills explain the others."""
        assert set(self._begun.values()) <= {1}, [key for key, count in self._begun.items() if count > 1]
        assert self._ended.keys() <= self._begun.keys() <= self._attempts.keys()
        for key, (state, reason, executor, instance) in self._attempts.items():
            assert state in ("succeeded", "failed", "crashed"), (key, state, reason)
            assert (state == "succeeded") <= (key in self._ended), f"{key} has succeeded without an end"
            assert state == "succeeded" or str(reason).startswith(KILLED), (key, state, reason)
            assert (executor == "local") is (instance is None), (key, executor, instance)

    def check_results(self) -> None:
        """The state of a run is that of its last attempt, and further attempts follow only crashes."""
        for run_id, (deployment, state, reason, _) in self._runs.items():
            states = [self._attempts[key][0] for key in sorted(self._attempts) if key[0] == run_id]
            assert states, (deployment, run_id, state, reason)
            assert states[-1] == state, (run_id, state, states)
            assert set(states[:-1]) <= {"crashed"}, (run_id, states)

    def describe(self) -> str:
        """Return how many runs there are in each state, and how many attempts were killed."""
        counts = Counter(f"{deployment} {state}" for deployment, state, *_ in self._runs.values())
        killed = {key for key, (state, *_) in self._attempts.items() if state != "succeeded"}
        counts["killed attempts"] = len(killed)
        counts["killed attempts whose flow had finished"] = len(killed & self._ended.keys())
        return ", ".join(f"{name}: {count}" for name, count in sorted(counts.items()))


def new_cluster(directory: Path) -> Cluster:
    """Return a cluster without jobs."""
    return Cluster(directory, PATH)


def _instant(value: Any) -> datetime:
    found = datetime.fromisoformat(value) if isinstance(value, str) else value
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
