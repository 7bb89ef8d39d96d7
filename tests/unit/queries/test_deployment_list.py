"""The rows of the Deployments page, their order, and what they read."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from controller.model.runs import Run, RunState
from controller.model.status import Hold
from controller.queries.attention import RECENT
from controller.queries.deployment_list import DeploymentRow, DeploymentSort, deployment_rows, sort_deployments
from controller.queries.deployments import DeploymentView, list_deployments
from controller.store import Store, holds, inventory, runs
from tests.conftest import NOW
from tests.postgresql import BOTH_DATABASES
from tests.unit.queries.test_deployment_cache import entry
from tests.unit.store.test_records import run

pytestmark = BOTH_DATABASES

MINUTE = timedelta(minutes=1)
DEPLOYMENTS = 3_000


def ended(number: int, name: str, state: RunState = RunState.SUCCEEDED) -> Run:
    at = NOW + number * MINUTE
    times = {"created_at": at, "started_at": at, "finished_at": at, "scheduled_for": None}
    return run(number, deployment=name, state=state, attempt=1, reason=f"{state} {number}", **times)


def views_of(store: Store) -> list[DeploymentView]:
    with store.read() as tx:
        return list_deployments(tx, NOW + 60 * MINUTE)


def rows_of(store: Store, views: list[DeploymentView]) -> list[DeploymentRow]:
    with store.read() as tx:
        return deployment_rows(tx, views, None, lambda _: ())


def test_a_row_says_since_when_and_why(store: Store) -> None:
    with store.write() as tx:
        inventory.save(tx, [entry(name) for name in ("fails", "fine", "held", "runs")])
        inventory.save(tx, [entry("withheld", reason="PruneWithheld")])
        runs.insert_all(tx, [ended(1, "fails"), ended(2, "fails", RunState.FAILED), ended(3, "fails", RunState.FAILED)])
        runs.insert_all(tx, [ended(number, "fine") for number in range(10, 25)])
        runs.insert_all(tx, [replace(ended(4, "runs", RunState.RUNNING), reason=None, finished_at=None)])
        holds.save(tx, Hold(deployment="held", reason="no disk", author="me", since=NOW, until=None))
    rows = {row.view.name: row for row in rows_of(store, views_of(store))}
    assert {name: (row.state, row.why) for name, row in rows.items()} == {
        "fails": ("failing", "failed 3"),
        "withheld": ("ok", "PruneWithheld"),  # whether it is in sync is unknown without a source
        "runs": ("running", ""),
        "held": ("held", "me: no disk"),
        "fine": ("ok", ""),
    }
    assert rows["fails"].since == NOW + 2 * MINUTE
    assert (rows["held"].since, rows["fine"].since) == (NOW, None)
    assert [bar.id for bar in rows["fine"].bars] == [f"run-{number:03}" for number in range(15, 25)]


def test_deployments_are_sorted_by_name_next_run_and_last_run(store: Store) -> None:
    with store.write() as tx:
        for name, minutes in (("c", 5), ("a", 9), ("b", None)):
            schedules = [] if minutes is None else [{"cron": f"{minutes} * * * *"}]
            inventory.save(tx, [entry(name, schedules=schedules)])
        runs.insert_all(tx, [ended(1, "c"), ended(2, "a", RunState.FAILED)])
    views = views_of(store)
    orders = {order: "".join(view.name for view in sort_deployments(views, order)) for order in DeploymentSort}
    assert orders == {
        DeploymentSort.PROBLEMS: "abc",
        DeploymentSort.NAME: "abc",
        DeploymentSort.NEXT: "cab",
        DeploymentSort.LAST_RUN: "acb",
    }


@pytest.fixture
def large(store: Store) -> Store:
    with store.write() as tx:
        inventory.save(tx, [entry(f"dep-{number:04}") for number in range(DEPLOYMENTS)])
        runs.insert_all(tx, [ended(number, f"dep-{number % 20:04}") for number in range(900)])
    return store


def test_the_runs_of_a_page_are_read_with_one_statement(large: Store) -> None:
    views = views_of(large)[:50]
    statements: list[str] = []

    def record(*arguments: Any) -> None:
        statements.append(arguments[2])

    with large.read() as tx:
        event.listen(tx.connection, "before_cursor_execute", record)
        rows = deployment_rows(tx, views, None, lambda _: ())
        event.remove(tx.connection, "before_cursor_execute", record)
    assert len(statements) == 1
    assert sum(len(row.bars) for row in rows) == 20 * RECENT
