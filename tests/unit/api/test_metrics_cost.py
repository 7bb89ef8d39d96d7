"""The cost of the metrics with many deployments, and what they show of queues, incidents and the outbox."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import parser
from sqlalchemy import Engine as SqlEngine
from sqlalchemy import event

from controller.api.metrics.exposition import Exposition
from controller.api.metrics.parts import RunningParts
from controller.model.notifications import (
    ChannelState,
    ChannelStatus,
    DeadlineKind,
    DeadlineRecord,
    Incident,
    Message,
    MessageState,
    MissedDeadline,
    Trouble,
)
from controller.model.python_environments import PythonStatistics
from controller.model.runs import Run, RunState, Trigger
from controller.notify.delivery_statistics import DeliveryStatistics
from controller.reconcile.pass_statistics import PassStatistics
from controller.runs.run_statistics import RunStatistics
from controller.store import deadlines, incidents, inventory, messages, queues, runs, source_status
from controller.store.state_directory import StateDirectory
from tests.conftest import NOW
from tests.unit.queries.test_deployment_cache import World, entry

COUNT = 200
"""Enough to show that no statement and no series depends on the number of deployments in another way."""
CRON = {"cron": "0 9 * * *"}


class Measured(World):
    """A store with deployments, and the metrics of a controller that uses it."""

    def __init__(self, path: Path, count: int, *, has_deployment_series: bool = True) -> None:
        super().__init__(path)
        entries = [entry(f"name-of-a-deployment-{number:04}", schedules=[CRON]) for number in range(count)]
        with self.reconcile_pass() as tx:
            inventory.save(tx, entries)
            runs.insert_all(tx, [self.run(name.name, RunState.SUCCEEDED) for name in entries])
        parts = RunningParts(
            passes=PassStatistics(),
            runs=RunStatistics(),
            python=PythonStatistics,
            deliveries=DeliveryStatistics(),
            oldest_due=lambda tx, _: messages.oldest_failed(tx),
            git_requests={},
            has_deployment_series=has_deployment_series,
        )
        self.exposition = Exposition(parts, self.store, StateDirectory(path), self.cache, self.clock, lambda: None)

    def run(self, name: str, state: RunState) -> Run:
        at = self.clock.now()
        return Run(
            id=self.ids.new(at),
            deployment=name,
            state=state,
            trigger=Trigger.MANUAL,
            created_at=at,
            finished_at=at if state.is_terminal else None,
            revision="r1",
            file="f",
            spec_digest="sha256:1",
        )

    def body(self) -> str:
        return self.exposition.render("")[0].decode()

    def samples(self) -> dict[tuple[str, tuple[str, ...]], float]:
        families = parser.text_string_to_metric_families(self.body())
        return {(one.name, tuple(one.labels.values())): one.value for family in families for one in family.samples}


@contextmanager
def counted() -> Iterator[list[str]]:
    statements: list[str] = []

    def record(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(SqlEngine, "before_cursor_execute", record)
    yield statements
    event.remove(SqlEngine, "before_cursor_execute", record)


def statements_after_a_run(measured: Measured) -> int:
    """Return how many statements a request needs after a run of each deployment has been recorded."""
    measured.body()
    measured.clock.turn(timedelta(seconds=15))
    names = [view.name for view in measured.cache.deployments()]
    with measured.store.write() as tx:
        runs.insert_all(tx, [measured.run(name, RunState.SUCCEEDED) for name in names])
    measured.cache.deployments()
    with counted() as statements:
        measured.body()
    return len([text for text in statements if not text.startswith(("BEGIN", "COMMIT", "ROLLBACK"))])


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    measured = Measured(tmp_path_factory.mktemp("large"), COUNT)
    yield measured
    measured.close()


def test_the_series_of_many_deployments_need_one_statement_more(large: Measured, tmp_path: Path) -> None:
    without = Measured(tmp_path, 3, has_deployment_series=False)
    assert statements_after_a_run(large) == statements_after_a_run(without) + 1
    without.close()


def test_each_of_many_deployments_has_few_short_series(large: Measured) -> None:
    of_deployments = [line for line in large.body().splitlines() if line.startswith("controller_deployment_")]
    assert len(of_deployments) == 4 * COUNT
    assert sum(map(len, of_deployments)) < 400 * COUNT


def test_without_series_of_deployments_the_size_does_not_depend_on_their_number(tmp_path: Path) -> None:
    without = Measured(tmp_path, 3, has_deployment_series=False)
    assert "controller_deployment_" not in without.body()
    assert len(without.body()) < 40_000
    without.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Measured]:
    measured = Measured(tmp_path, 2)
    yield measured
    measured.close()


def test_only_runs_that_wait_for_a_slot_count_as_the_depth_of_a_queue(small: Measured) -> None:
    with small.store.write() as tx:
        queues.save_total_limit(tx, 1)
        queues.save_limits(tx, {"heavy": 1})
        waiting = small.run("name-of-a-deployment-0000", RunState.PENDING)
        later = replace(small.run("name-of-a-deployment-0000", RunState.PENDING), not_before=NOW + timedelta(days=1))
        running = replace(small.run("name-of-a-deployment-0001", RunState.RUNNING), queue="heavy")
        runs.insert_all(tx, [waiting, later, running, replace(waiting, id=small.ids.new(NOW), queue="heavy")])
    small.clock.turn(timedelta(minutes=30))
    samples = small.samples()
    assert samples["controller_queue_depth", ("default",)] == samples["controller_queue_depth", ("heavy",)] == 1
    assert samples["controller_queue_oldest_wait_seconds", ("default",)] == 1800
    assert samples["controller_queue_running", ("heavy",)] == samples["controller_queue_limit", ("heavy",)] == 1
    assert ("controller_queue_limit", ("default",)) not in samples
    assert samples["controller_running_runs", ()] == samples["controller_max_running", ()] == 1


def test_missed_deadlines_are_conditions_of_deployments(small: Measured) -> None:
    late, overdue = "name-of-a-deployment-0000", "name-of-a-deployment-0001"
    kinds = {late: DeadlineKind.START_WITHIN, overdue: DeadlineKind.SUCCESS_EVERY}
    with small.store.write() as tx:
        for name, kind in kinds.items():
            miss = MissedDeadline(deployment=name, kind=kind, due_time=NOW, deadline=NOW, since=NOW)
            length = timedelta(minutes=5)
            deadlines.save(tx, [DeadlineRecord(deployment=name, kind=kind, length=length, checked_at=NOW, miss=miss)])
    conditions = {labels for name, labels in small.samples() if name == "controller_deployment_condition"}
    assert {frozenset(labels) for labels in conditions} == {
        frozenset((late, "late")),
        frozenset((overdue, "overdue")),
    }


def test_open_incidents_are_counted_by_trouble(small: Measured) -> None:
    with small.store.write() as tx:
        incidents.add(tx, Incident(id=0, key="a", trouble=Trouble.LATE, cause="", opened_at=NOW))
        incidents.add(tx, Incident(id=0, key="b", trouble=Trouble.LATE, cause="", opened_at=NOW, closed_at=NOW))
    samples = small.samples()
    assert samples["controller_incidents_open", ("late",)] == 1
    assert samples["controller_incidents_open", ("source",)] == 0


def message(measured: Measured, **changes: Any) -> Message:
    defaults = Message(
        id=measured.ids.new(NOW),
        channel="ops",
        state="failed",
        title="t",
        body="b",
        created_at=NOW,
        not_before=NOW,
    )
    return replace(defaults, **changes)


def test_messages_and_channels_are_counted_by_state(small: Measured) -> None:
    with small.store.write() as tx:
        failed = message(small, attempts=3, error="no")
        messages.add(tx, [failed, message(small), message(small, delivery=MessageState.UNDELIVERABLE)])
        messages.save_channel(
            tx, ChannelStatus(name="ops", kind="webhook", state=ChannelState.FAILING, message="no", since=NOW)
        )
    small.clock.turn(timedelta(minutes=5))
    samples = small.samples()
    assert samples["controller_notification_oldest_waiting_seconds", ()] == 300
    assert samples["controller_notification_messages", ("waiting",)] == 2
    assert samples["controller_notification_messages", ("undeliverable",)] == 1
    assert samples["controller_notification_channels", ("failing",)] == 1


def test_any_name_of_an_invalid_deployment_is_escaped(small: Measured) -> None:
    from controller.model.findings import Finding, Severity

    finding = Finding(code="x", message="m", file="f", line=1, column=1, severity=Severity.ERROR, deployment='a"b\\\nc')
    with small.reconcile_pass(findings=(finding,)) as tx:
        source_status.find(tx)
    samples = small.samples()
    [labels] = [labels for name, labels in samples if name == "controller_deployment_condition"]
    assert set(labels) == {'a"b\\\nc', "invalid"}
