"""A small company for the story in which everything is killed: its deployments, and the world that works with it.

Files arrive, a shop reports refunds, and somebody runs finished work again. Meanwhile, processes are killed.
`company_accounts` checks afterwards what has happened.
"""

import hashlib
import hmac
import http.client
import json
import os
import random
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from controller.model.triggers import FileVersion
from tests.acceptance.harness import Repository, processes
from tests.command_server import Process

SECRET = "a secret of the shop"
MAX_UNFINISHED = 20
"""Nobody requests more while this many runs have not finished, so that a slow machine keeps up."""

FLOWS = """
import os, time


def note(text):
    env = os.environ
    words = (text, env["CONTROLLER_DEPLOYMENT"], env["CONTROLLER_RUN_ID"], env["CONTROLLER_ATTEMPT"], env["TMPDIR"])
    target = os.open({effects!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(target, (" ".join(words) + "\\n").encode())
    os.close(target)


def work(result, seconds=0.02):
    note("begin")
    open(os.path.join(os.environ["TMPDIR"], "scratch"), "w").close()
    time.sleep(seconds)
    note("end")
    return result


def ingest(path: str):
    return work({{"rows": len(open(path).read().split()), "path": path}}, 0.1)


def transform(region: str, rows: int):
    return work({{"region": region, "rows": rows}})


def report(eu: int, us: int):
    return work(eu + us)


def check(order: str):
    return work(order, 0.1)


def plain():
    return work("done")
"""
PROJECT = """\
calendars:
  de-by: {holidays: DE-BY}
  company-holidays: {dates: [FIRST/LAST The company is closed]}
"""
DOCUMENTS = """\
name: ingest
flow: flows/company.py:ingest
overlap: allow
retries: {limit: 1, delay: 0.1s, on: [failed, crashed]}
on: [{files: {path: INBOX, pattern: "*.csv", settle: 0.1s, parameter: path}}]
---
name: transform-{region}
matrix: {region: [eu, us]}
flow: flows/company.py:transform
retries: {limit: 1, delay: 0.1s, on: [failed, crashed]}
after: {deployment: ingest, on_redo: run}
parameters: {region: {from: matrix.region}, rows: {from: ingest.result.rows}}
---
name: report
flow: flows/company.py:report
overlap: queue
start_deadline: 6s
after: [{deployment: transform-eu, on_redo: run}, {deployment: transform-us, on_redo: run}]
parameters: {eu: {from: transform-eu.result.rows}, us: {from: transform-us.result.rows}}
timezone: Europe/Berlin
schedules:
- {interval: 3s, end: END}
- {cron: "30 7 * * *", except: [de-by]}
---
name: collect-{region}
matrix: {region: [eu, us]}
flow: flows/company.py:plain
schedule: {interval: 3s, end: END}
---
name: summary-{region}
matrix: {region: [eu, us]}
flow: flows/company.py:plain
overlap: queue
start_deadline: 8s
after: ["collect-{region}"]
schedule: {interval: 6s, end: END}
---
name: overview
flow: flows/company.py:plain
overlap: allow
start_deadline: 8s
after: [{deployment: collect-eu, on: finished}, {deployment: collect-us, on: finished}]
schedule: {interval: 5s, end: END}
---
name: on-holiday
flow: flows/company.py:plain
after: collect-eu
schedule: {interval: 3s, except: [company-holidays]}
---
name: refund-check
flow: flows/company.py:check
overlap: allow
on: [{webhook: {name: shop, secret: {env: SHOP_HOOK}, parameters: {order: $.order}}}]
---
name: audit
flow: flows/company.py:plain
overlap: allow
after: {deployment: ingest, on: finished}
---
name: alert
flow: flows/company.py:plain
after:
  deployments: [{deployment: ingest, on: failed}, {deployment: refund-check, on: failed}]
  any: true
---
name: book
flow: flows/company.py:plain
after: [transform-eu, transform-us]
"""


def project(now: datetime) -> str:
    """Return the project file of the company, which is closed on this day and those around it."""
    first, last = ((now + timedelta(days=days)).date().isoformat() for days in (-1, 1))
    return PROJECT.replace("FIRST", first).replace("LAST", last)


def documents(inbox: Path, end: datetime) -> str:
    """Return the deployments of the company. Their schedules end at `end`."""
    return DOCUMENTS.replace("INBOX", str(inbox)).replace("END", f'"{end.isoformat(timespec="seconds")}"')


@dataclass(slots=True)
class Delivery:
    """A refund that the shop reports, and the runs that the answers have named."""

    id: str
    order: str
    runs: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Redo:
    """A retry that somebody has requested, by a command that may have been cut off."""

    run_id: str
    process: Any
    output: Path
    new_id: str | None = None


class World:
    """Everybody who works with the company. `begin` lets them work in threads until `stop`."""

    def __init__(self, repository: Repository, inbox: Path, port: int, seed: int) -> None:
        self._repository = repository
        self._inbox = inbox
        self._port = port
        self._seed = seed
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._faults: list[Exception] = []
        self.dropped: list[FileVersion] = []
        self.deliveries: list[Delivery] = []
        self.redone: list[Redo] = []

    def begin(self) -> None:
        """Start to work."""
        for number, act in enumerate((self._drop, self._report, self._redo)):
            chance = random.Random(f"{self._seed} {number}")
            thread = threading.Thread(target=self._repeat, args=(act, chance))
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop to work. Raises what has gone wrong."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        for fault in self._faults:
            raise fault

    def finish_redos(self) -> None:
        """Read what the commands that requested retries have printed."""
        for redo in self.redone:
            if redo.process.wait(60) == 0:
                redo.new_id = json.loads(redo.output.read_text())["run_id"]

    def _repeat(self, act: Callable[[random.Random], None], chance: random.Random) -> None:
        try:
            while not self._stopping.wait(chance.uniform(0.1, 1.5)):
                if self._count_unfinished() < MAX_UNFINISHED:
                    act(chance)
        except Exception as fault:  # noqa: BLE001 - `stop` raises it
            self._faults.append(fault)

    def _count_unfinished(self) -> int:
        return int(self._repository.select("SELECT count(*) FROM runs WHERE finished_at IS NULL")[0][0])

    def _drop(self, chance: random.Random) -> None:
        """Drop some files, as a careful program does: under another name, and then renamed."""
        for _ in range(chance.choice((1, 1, 1, 2))):
            name = f"{len(self.dropped):04}.csv"
            part = self._inbox.parent / f"{name}.part"
            part.write_text("row " * chance.randint(1, 9))
            part.rename(self._inbox / name)
            status = (self._inbox / name).stat()
            self.dropped.append(
                FileVersion(
                    path=str(self._inbox / name),
                    inode=status.st_ino,
                    size=status.st_size,
                    modified_ns=status.st_mtime_ns,
                )
            )

    def _report(self, chance: random.Random) -> None:
        """Report a new refund or, as often, one again: mostly one that was not answered."""
        candidates = self.unanswered() if chance.random() < 0.8 else self.deliveries
        if candidates and chance.random() < 0.5:
            delivery = chance.choice(candidates)
        else:
            number = len(self.deliveries)
            delivery = Delivery(id=f"delivery-{number}", order=f"A-{number}")
            self.deliveries.append(delivery)
        self.send(delivery, is_cut_off=chance.random() < 0.3)

    def unanswered(self) -> list[Delivery]:
        """Return the deliveries that the shop has to send again."""
        return [delivery for delivery in self.deliveries if not delivery.runs]

    def send(self, delivery: Delivery, *, is_cut_off: bool = False) -> None:
        """Send a signed request, and remember the run of the answer. A sender that is cut off reads no answer."""
        body = json.dumps({"order": delivery.order}).encode()
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            headers = {"X-Signature": signature, "Idempotency-Key": delivery.id}
            connection.request("POST", "/hooks/shop", body, headers)
            if is_cut_off:
                return
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()
        assert answer.status in (202, 429, 503), (answer.status, text)
        if answer.status == 202:
            delivery.runs.add(json.loads(text)["run_id"])

    def is_answered(self, delivery: Delivery) -> bool:
        """Send a delivery again, and return whether it has been answered."""
        self.send(delivery)
        return bool(delivery.runs)

    def _redo(self, chance: random.Random) -> None:
        """Retry a finished run of the first link of the chain. Nobody waits for the command."""
        if chance.random() < 0.6:
            return
        finished = self._repository.select(
            "SELECT id FROM runs WHERE deployment IN ('ingest', 'refund-check', 'collect-eu')"
            " AND finished_at NOT NULL ORDER BY id DESC LIMIT 20"
        )
        if not finished:
            return
        [run_id] = chance.choice(finished)
        output = self._inbox.parent / f"redo{len(self.redone)}"
        with output.open("wb") as stream, Path(os.devnull).open("wb") as nowhere:
            process = self._repository.machine.start(
                *("runs", "retry", run_id, "-o", "json", "--repo", self._repository.address),
                stdout=stream.fileno(),
                stderr=nowhere.fileno(),
            )
        self.redone.append(Redo(run_id, process, output))


class Killer:
    """Kills processes of the company at random, each by its id."""

    def __init__(self, repository: Repository, chance: random.Random) -> None:
        self._marks = (f"{repository.state}/runs/",)
        self._chance = chance
        self.kills = 0

    def kill_some(self, controller: Process | subprocess.Popen[bytes]) -> bool:
        """Kill a process or several ones. Return whether the controller is one of them."""
        target = self._chance.choices(("controller", "run", "helper", "everything"), (4, 4, 1, 2))[0]
        if target == "helper":
            self._kill_one(_children(controller.pid))
        if target in ("controller", "everything"):
            controller.kill()
            controller.wait(60)
            self.kills += 1
        if target == "run":
            self._kill_one(processes(self._marks))
        if target == "everything":
            for pid in processes(self._marks):
                self._kill(pid)
        return target in ("controller", "everything")

    def _kill_one(self, pids: list[int]) -> None:
        if pids:
            self._kill(self._chance.choice(sorted(pids)))

    def _kill(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills += 1


def _children(pid: int) -> list[int]:
    """Return the processes that this one has started."""
    with suppress(OSError):
        return [int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]
    return []
