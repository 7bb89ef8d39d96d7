"""A site for stories in which flows run here and on a cluster while everything is killed, and a client.

`Site` has the controllers, and `Client` requests runs. `cluster_kills` kills processes, and `cluster_ledger` compares
the records with what the flows have counted themselves.
"""

import http.client
import json
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from tests.acceptance.harness import Repository, accepts_connections, processes, until
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
    time.sleep(2)
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
        self.process.wait(60)

    def close(self) -> None:
        """Stop it, if it runs, and check that it has logged no internal error."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            assert self._process.wait(60) == 0, self.log.read_text()
        text = self.log.read_text()
        assert not re.search("Traceback|internal error|violates", text), text

    def _is_started(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        return (self.state / "control.sock").exists() and accepts_connections(self.state)


@dataclass(slots=True)
class Site:
    """The controllers of a repository, and a query of their state."""

    repository: Repository
    controllers: list[Controller]
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
        """Stop the controllers."""
        try:
            for controller in reversed(self.controllers):
                controller.close()
        finally:
            for controller in self.controllers:
                controller.kill()


class Client:
    """Requests `count` runs, in turn here and on the cluster. It repeats each request until it is answered."""

    def __init__(self, site: Site, count: int, chance: random.Random) -> None:
        self._site = site
        self._count = count
        self._chance = chance
        self._thread = threading.Thread(target=self._work)
        self._stopping = threading.Event()
        self._fault: Exception | None = None
        self.answered: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Start to request runs."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give up what was not requested yet. Raise what has gone wrong."""
        self._stopping.set()
        self._thread.join()
        if self._fault is not None:
            raise self._fault

    @property
    def is_done(self) -> bool:
        """Whether all requests have been answered."""
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            for number in range(self._count):
                while not self._stopping.wait(self._chance.uniform(0.4, 1.2)):
                    if self._count_unfinished() < MAX_UNFINISHED and self._request(number):
                        break
        except Exception as fault:  # noqa: BLE001 - raised at the end
            self._fault = fault

    def _request(self, number: int) -> bool:
        """Request a run of some controller; return whether it was answered."""
        name = list(PLACES)[number % 2]
        port = self._chance.choice(self._site.controllers).port
        headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": f"request-{number}"}
        content = json.dumps({"parameters": {"number": number}})
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
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
