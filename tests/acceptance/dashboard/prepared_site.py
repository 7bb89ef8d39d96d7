"""A site whose pages are always the same: fixed commits, runs and clock. Its loop and its engine are not started."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from controller.app.controller import Controller
from controller.app.stop_signal import StopSignal
from controller.listen_address import parse_listen
from controller.model.artifacts import Artifact
from controller.model.backfills import Backfill, BackfillState
from controller.model.runs import Attempt, Run, RunId, RunOutcome, RunState, Trigger
from controller.model.status import Hold, InventoryEntry
from controller.model.task_runs import TaskRun, TaskTree
from controller.runs.executors.local.supervisor.log_times import MAGIC, RECORD
from controller.settings import Settings, locate
from controller.store import Transaction, backfills, holds, inventory, run_transitions, runs, task_trees
from tests.conftest import NOW, ManualClock, new_repository

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FAILED = "sales-by-region"
BACKFILL = "00000000-0000-7000-8000-0000000000ff"
ERROR = "ValueError: sales of 0.6 are below 0.75"

FLOWS = {
    "flows/sales.py": '''
"""The flow of the sales report."""
from typing import Literal

from controller import flow, task


@task
def load(region):
    return [region]


@task
def publish(amount, threshold):
    if amount < threshold:
        raise ValueError(f"sales of {amount} are below {threshold}")


@flow
def sales(
    regions: list[str], threshold: float = 0.5, currency: Literal["EUR", "USD"] = "EUR", dry_run: bool = False
) -> None:
    publish(len([load(region) for region in regions]) / 5, threshold)
'''
}
SALES = """
name: sales-by-region
flow: flows/sales.py:sales
description: Yesterday's sales by region, in the currency of the report.
tags: [sales, daily, finance]
parameters: {regions: [north, south, west], threshold: THRESHOLD}
schedules:
  - {cron: "0 9 * * mon-fri", timezone: America/New_York}
  - {id: weekly, cron: "0 18 * * sun", timezone: America/New_York, parameters: {threshold: 0.9}}
"""
AFTER = {
    "slow-export": "\nafter: {deployments: [stock-levels, {deployment: heartbeat, on: finished}], any: true}",
    "train-recommendations-for-all-markets": "\nafter: [slow-export, {deployment: stock-levels, on: failed}]",
    "archive": "\non: [{webhook: {name: full-disk, secret: {env: FULL_DISK}}}]",
    "cleanup": "\nafter: [train-recommendations-for-all-markets, {deployment: archive, on: finished}]",
}
OTHERS = "\n---\n".join(
    f"name: {name}\ncommand: [echo, {name}]\ntags: [{tag}]\nschedules: [{schedule}]{AFTER.get(name, '')}"
    for name, tag, schedule in (
        ("archive", "disk", '{cron: "0 */4 * * *"}'),
        ("heartbeat", "ops", "{interval: 30m}"),
        ("stock-levels", "warehouse", '{cron: "0 5 * * *", timezone: Europe/Berlin}'),
        ("slow-export", "warehouse", "{interval: 1h}"),
        ("train-recommendations-for-all-markets", "ml", '{cron: "30 3 * * *", timezone: Europe/Berlin}'),
        ("cleanup", "disk", '{cron: "15 2 * * *"}'),
        ("report", "finance", '{cron: "0 8 1 * *"}'),
    )
)
LEGACY = {
    f"deployments/legacy/{n}.yaml": f"name: legacy-{n}\ncommand: [echo]\n" for n in ("de", "es", "fr", "it", "nl", "pl")
}
OUTPUT = "Loading 3 regions\n" + "".join(f"loaded region {number}\n" for number in range(30))
TRACEBACK = f"""\
Traceback (most recent call last):
  File "flows/sales.py", line 24, in sales
    publish(len([load(region) for region in regions]) / 5, threshold)
  File "flows/sales.py", line 17, in publish
    raise ValueError(f"sales of {{amount}} are below {{threshold}}")
{ERROR}
"""


class FixedClock(ManualClock):
    """A clock that changes only when it is turned, so that all durations are zero."""

    def monotonic(self) -> float:
        return 0.0


class PreparedSite:
    """A controller that serves a repository of 14 deployments and their runs at a fixed time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._clock = FixedClock(NOW - 3 * DAY)
        self.repository = new_repository(directory / "shop")
        location = locate(str(self.repository.path), "deployments", None, str(directory / "state"))
        settings = Settings(location=location, listen=parse_listen("127.0.0.1:0"))
        self._apply_first()
        self._controller = Controller(settings, StopSignal(), self._clock)
        self._apply_all()
        with self._controller._store.write() as tx:
            self.failed_run = _record(tx, inventory.entries(tx), self._controller.state.runs)
        self._controller._web.start()
        assert self._controller._web.url is not None
        self.url = self._controller._web.url

    def login_link(self) -> str:
        return self._controller._web.login_link()

    def close(self) -> None:
        self._controller.stop()

    def _apply_first(self) -> None:
        files = {
            **FLOWS,
            "deployments/sales.yaml": SALES.replace("THRESHOLD", "0.5"),
            "deployments/others.yaml": OTHERS,
        }
        self.repository.commit({**files, **LEGACY}, message="Add the deployments", at=NOW - 4 * DAY)

    def _apply_all(self) -> None:
        """Apply three commits: the first deployments, a deleted one, then six more deletions and an invalid file."""
        self._controller._reconciler.run_pass()
        self._pass_at(-DAY, {"deployments/others.yaml": OTHERS.rpartition("\n---\n")[0]}, "Remove the report")
        for name in LEGACY:
            (self.repository.path / name).unlink()
        invalid = "name: broken\ncommand: [echo]\nschedul: daily\n"
        files = {"deployments/sales.yaml": SALES.replace("THRESHOLD", "0.75"), "deployments/broken.yaml": invalid}
        self._pass_at(-54 * MINUTE, files, "sales: raise the threshold to 75 %")
        self._clock.step(NOW - self._clock.now())

    def _pass_at(self, offset: timedelta, files: dict[str, str], message: str) -> None:
        self._clock.step(NOW + offset - self._clock.now())
        self.repository.commit(files, message=message, at=NOW + offset - MINUTE)
        self._controller._reconciler.run_pass()


def _record(tx: Transaction, entries: dict[str, InventoryEntry], directory: Path) -> RunId:
    """Record runs of several states, a backfill and a hold. Return the id of the newest failed run."""
    names = [name for name in entries if name not in (FAILED, "archive")]
    done = [_run(entries[names[n % len(names)]], 40 * n + 7, seconds=2 + 7 * n % 40) for n in range(60)]
    good = [_run(entries[FAILED], 60 * 24 * day + 180, seconds=3 + day % 2) for day in range(3, 12)]
    bad = [_run(entries[FAILED], 60 * 24 * day + 23, seconds=3 + day, reason=ERROR) for day in range(3)]
    train = _run(entries["train-recommendations-for-all-markets"], 5)
    stock = entries["stock-levels"]
    times = [NOW - (7 - n) * DAY for n in range(6)]
    redone = [
        _run(stock, 93 - n, seconds=2, reason="no export" if n == 3 else None, backfill_id=BACKFILL, scheduled_for=time)
        for n, time in enumerate(times)
    ]
    _record_backfill(tx, stock, times)
    finished = [*done, *good, *bad, *redone]
    waiting = _run(entries["cleanup"], 2)
    pending = [
        replace(run, state=RunState.PENDING, finished_at=None, reason=None) for run in (*finished, train, waiting)
    ]
    runs.insert_all(tx, sorted(pending, key=lambda run: run.id))
    backfills.record_runs(tx, redone)
    for run in (train, *finished):
        _record_attempt(tx, run)
    _record_report(tx, good[0], None, directory)
    for run in bad:
        _record_report(tx, run, ERROR, directory)
    holds.save(tx, Hold(deployment="archive", reason="the disk is replaced", author="Ada", since=NOW - 9 * HOUR))
    return bad[0].id


def _run(entry: InventoryEntry, minutes_ago: int, *, seconds: int | None = None, **values: Any) -> Run:
    """Return a run that was created this long ago; without `seconds`, it has not finished."""
    created = NOW - minutes_ago * MINUTE
    state = RunState.PENDING if seconds is None else RunState.FAILED if values.get("reason") else RunState.SUCCEEDED
    key = f"{int(created.timestamp() * 1000):012x}"
    return Run(
        id=RunId(f"{key[:8]}-{key[8:]}-7000-8000-{minutes_ago:012}"),
        deployment=entry.name,
        state=state,
        trigger=Trigger.BACKFILL if "backfill_id" in values else Trigger.SCHEDULE,
        created_at=created,
        finished_at=None if seconds is None else created + timedelta(seconds=seconds),
        revision=entry.revision,
        file=entry.file,
        spec_digest=entry.spec_digest,
        tags=tuple(entry.document.get("tags", ())),
        parameters=entry.document.get("parameters", {}),
        **{"scheduled_for": created, **values},
    )


def _record_attempt(tx: Transaction, run: Run) -> None:
    attempt = Attempt(run_id=run.id, number=1, nonce="n", boot_id="b", state=RunState.LAUNCHING)
    run_transitions.claim(tx, [attempt])
    run_transitions.start(tx, [attempt], run.created_at)
    if run.finished_at is not None:
        code = int(run.state is RunState.FAILED)
        outcome = RunOutcome(state=run.state, reason=run.reason, finished_at=run.finished_at, exit_code=code)
        run_transitions.end(tx, [(replace(run, state=RunState.RUNNING, attempt=1), outcome)])


def _record_report(tx: Transaction, run: Run, error: str | None, directory: Path) -> None:
    """Record the tasks, an artifact and the log of a run of the sales report."""

    def task(number: int, name: str, start: float, end: float, reason: str | None = None, **more: Any) -> TaskRun:
        return TaskRun(
            id=number,
            parent=more.pop("parent", 1),
            kind=more.pop("kind", "task"),
            name=name,
            label=f"{name}-{number}",
            state="failed" if reason else "succeeded",
            attempt=1,
            started_at=run.created_at + timedelta(seconds=start),
            finished_at=run.created_at + timedelta(seconds=end),
            reason=reason,
            **more,
        )

    loads = [task(number, "load", 0.1, number / 2) for number in (2, 3, 4)]
    flow = task(1, "sales", 0, 3, error, parent=None, kind="flow")
    published = task(5, "publish", 2, 3, error, needs=(2, 3, 4))
    artifact = Artifact(key="summary", kind="markdown", data="# Sales\n\n- north: 0.2\n- south: 0.4\n")
    tree = TaskTree(runs=(flow, *loads, published), artifacts=(artifact,), name="sales of today")
    task_trees.save(tx, run.id, 1, tree)
    attempt = directory / run.id / "1-n"
    attempt.mkdir(parents=True)
    (attempt / "log").write_text(OUTPUT + TRACEBACK if error else OUTPUT)
    arrived = int(run.created_at.timestamp() * 1000)
    (attempt / "log.times").write_bytes(MAGIC + RECORD.pack(0, arrived) + RECORD.pack(400, arrived + 2000))


def _record_backfill(tx: Transaction, entry: InventoryEntry, times: list[datetime]) -> None:
    backfill = Backfill(
        id=BACKFILL,
        deployment=entry.name,
        state=BackfillState.PAUSED,
        since=times[0],
        until=NOW,
        created_at=NOW - 95 * MINUTE,
        author="Ada",
        revision=entry.revision,
        total=9,
        file=entry.file,
        line=entry.line,
        document=entry.document,
        spec_digest=entry.spec_digest,
    )
    later = [NOW - number * HOUR for number in range(3)]
    backfills.insert_new(tx, backfill, [(time, "main") for time in (*times, *later)])
