"""A served state with a given number of deployments, whose loop and engine do not run, and a view of it."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.app.controller import Controller
from controller.app.stop_signal import StopSignal
from controller.cli.live_view.frame import render_frame
from controller.cli.live_view.loader import Answer, Job
from controller.cli.live_view.local_client import LocalClient
from controller.cli.live_view.view import View
from controller.client import NoAnswerError, ProblemError
from controller.model.commits import DeploymentNames, RecordedCommit
from controller.model.findings import Finding
from controller.model.runs import Attempt, Run, RunId, RunState, Trigger
from controller.model.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    Event,
    EventSeverity,
    Hold,
    InventoryEntry,
    SourceStatus,
    Withheld,
)
from controller.settings import Settings, locate
from controller.store import (
    Transaction,
    commits,
    events,
    holds,
    inventory,
    queues,
    run_transitions,
    runs,
    source_status,
)
from tests.conftest import NOW, ManualClock, new_repository

SHA = "5c3533bb4" + "0" * 31
REVISION = f"main@sha1:{SHA}"
MINUTE = timedelta(minutes=1)


class CountingClient(LocalClient):
    """A client that records its requests."""

    def __init__(self, url: Path) -> None:
        super().__init__(url)
        self.requests: list[str] = []

    def _request(self, method: str, path: str, *arguments: Any) -> Any:
        self.requests.append(f"{method} {path}")
        return super()._request(method, path, *arguments)


@dataclass
class DirectLoader:
    """Runs each job at once, in the thread of the test."""

    client: LocalClient
    view: View | None = None
    lost: list[str] = field(default_factory=list)

    def submit(self, key: str, job: Job, done: Answer) -> None:  # noqa: ARG002
        try:
            done(job(self.client))
        except ProblemError as problem:
            assert self.view is not None
            self.view.on_problem(problem.detail)
        except NoAnswerError as error:
            assert self.view is not None
            self.view.on_lost(str(error))


@dataclass
class Screen:
    """A view of a state, its clock, and what it did to the outside."""

    view: View
    clock: ManualClock
    client: CountingClient
    copied: list[str] = field(default_factory=list)
    left: list[bool] = field(default_factory=list)

    def press(self, *keys: str) -> "Screen":
        for key in keys:
            self.view.press(key, key if len(key) == 1 else None)
        return self

    def type(self, text: str) -> "Screen":
        return self.press(*text)

    @property
    def lines(self) -> list[str]:
        return [line.plain for line in render_frame(self.view)]

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines)


MakeScreen = Callable[..., Screen]


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@dataclass
class State:
    """A controller that only serves its state."""

    controller: Controller
    clock: ManualClock

    def screen(self, width: int = 80, height: int = 24, *, owns_controller: bool = False) -> Screen:
        client = CountingClient(self.controller.state.socket)
        loader = DirectLoader(client)
        copied: list[str] = []
        left: list[bool] = []
        view = View(
            loader,
            self.clock,
            leave=lambda: left.append(True),
            copy=copied.append,
            owns_controller=owns_controller,
        )
        loader.view = view
        view.resize(width, height)
        view.on_change()
        return Screen(view=view, clock=self.clock, client=client, copied=copied, left=left)


def serve_state(path: Path, count: int) -> State:
    clock = ManualClock()
    repository = new_repository(path / "shop")
    repository.commit({"README": "x"})
    location = locate(str(repository.path), "deployments", None, str(path / "state"))
    controller = Controller(Settings(location=location, listen=None), StopSignal(), clock)
    with controller._store.write() as tx:
        fill(tx, count, controller.state.runs, str(repository.path))
    controller._web.start()
    return State(controller=controller, clock=clock)


@pytest.fixture(scope="module", params=[76])
def state(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    served = serve_state(tmp_path_factory.mktemp("state"), request.param)
    yield served
    served.controller.stop()


def run_id(number: int, minutes_ago: float) -> RunId:
    millis = int((NOW - minutes_ago * MINUTE).timestamp() * 1000)
    stamp = f"{millis:012x}"
    return RunId(f"{stamp[:8]}-{stamp[8:]}-7000-8000-{number:012}")


def fill(tx: Transaction, count: int, directory: Path, repo: str) -> None:
    """Record deployments of every kind, their runs, queues, events and commits."""
    names = ["crm-nps-import", "ml-feature-backfill", "warehouse-cube", "finance-close-month", "platform-image-resize"]
    names += [f"shop-report-{number:04}" for number in range(count - len(names))]
    schedules = {"crm-nps-import": {"interval": "1m"}, "finance-close-month": {"cron": "0 13 * * *", "timezone": "UTC"}}
    withheld = [name for name in names if name.startswith("shop-report")][:16]
    inventory.save(tx, [_entry(name, schedules.get(name), is_withheld=name in withheld) for name in names])
    finding = Finding(
        code="UnknownKey",
        message="unknown key `schedul`",
        file="deployments/team/reports/broken.yaml",
        line=3,
        column=1,
        deployment="broken",
    )
    status = SourceStatus(
        repo=repo,
        ref=None,
        revision=REVISION,
        last_attempted_revision=REVISION,
        last_applied_revision=REVISION,
        conditions=(_condition(ConditionType.READY, is_true=True),),
        findings=(finding,),
        withheld=Withheld(reason="16 of 76", digest="sha256:d", deployments=tuple(withheld), plan_digest="sha256:p")
        if withheld
        else None,
    )
    source_status.save(tx, status)
    commit = RecordedCommit(
        sha=SHA,
        author="Ada Lovelace",
        author_date=NOW - 54 * MINUTE,
        subject="etl: keep 98 % of rows",
        changed=DeploymentNames(count=1, names=("crm-nps-import",)),
        removed=DeploymentNames(count=len(withheld), names=tuple(withheld)),
    )
    commits.save(tx, [commit])
    queues.save_limits(tx, {"heavy": 1})
    queues.save_total_limit(tx, 4)
    _record_runs(tx, directory)
    holds.save(tx, Hold(deployment="platform-image-resize", reason="disk", author="ada", since=NOW - 9 * MINUTE))
    for number in range(40):
        severity = EventSeverity.WARNING if number % 7 == 0 else EventSeverity.INFO
        event = Event(time=NOW - number * MINUTE, severity=severity, reason="Ran", message=f"no. {number}", about="x")
        events.append(tx, [event])


def _record_runs(tx: Transaction, directory: Path) -> None:
    failed = [
        make_run(
            number, "crm-nps-import", RunState.FAILED, number, reason="KeyError: 'amount' in the row of the customer"
        )
        for number in range(17, 0, -1)
    ]
    done = [make_run(100 + n, "warehouse-cube", RunState.SUCCEEDED, 60 + n, seconds=480) for n in range(5)]
    waiting = [make_run(200 + n, "finance-close-month", RunState.PENDING, 2, queue="heavy") for n in range(3)]
    running = [
        make_run(300, "ml-feature-backfill", RunState.PENDING, 5),
        make_run(301, "warehouse-cube", RunState.PENDING, 3),
    ]
    running[1] = replace(running[1], queue="heavy")
    runs.insert_all(tx, sorted([*failed, *done, *waiting, *running], key=lambda run: run.id))
    for run in running:
        attempt = Attempt(run_id=run.id, number=1, nonce="n", boot_id="b", state=RunState.LAUNCHING)
        run_transitions.claim(tx, [attempt])
        run_transitions.start(tx, [attempt], run.created_at)
    report = directory / running[0].id / "1-n"
    report.mkdir(parents=True)
    tasks = [
        {"task": {"id": n + 1, "kind": "task", "name": "chunk", "label": f"chunk-{n}", "state": state}}
        for n, state in enumerate(["succeeded"] * 16 + ["running"] + ["pending"] * 23)
    ]
    (report / "events.jsonl").write_text("".join(f"{json.dumps(task)}\n" for task in tasks))


def make_run(number: int, name: str, state: RunState, minutes_ago: float, **values: Any) -> Run:
    seconds = values.pop("seconds", 3)
    created = NOW - minutes_ago * MINUTE
    is_over = state is not RunState.PENDING
    return Run(
        id=run_id(number, minutes_ago),
        deployment=name,
        state=state,
        trigger=Trigger.SCHEDULE,
        created_at=created,
        started_at=created if is_over else None,
        finished_at=created + timedelta(seconds=seconds) if is_over else None,
        attempt=1 if is_over else 0,
        revision=REVISION,
        file="deployments/all.yaml",
        spec_digest="sha256:1",
        **values,
    )


def _entry(name: str, schedule: dict[str, Any] | None, *, is_withheld: bool) -> InventoryEntry:
    reason = "PruneWithheld" if is_withheld else "Applied"
    return InventoryEntry(
        name=name,
        file="deployments/all.yaml",
        line=1,
        document={"name": name, "command": ["true"], **({} if schedule is None else {"schedules": [schedule]})},
        spec_digest="sha256:1",
        revision=REVISION,
        cursor=NOW,
        conditions=(replace(_condition(ConditionType.READY, is_true=not is_withheld), reason=reason),),
        changed_in=SHA,
    )


def _condition(kind: ConditionType, *, is_true: bool) -> Condition:
    status = ConditionStatus(str(is_true))
    return Condition(type=kind, status=status, reason="Applied", message="", last_transition_time=NOW - 30 * MINUTE)
