"""The overview reads few rows however many deployments there are, and frequent deployments hide no other fire time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event

from controller.model.runs import RunState
from controller.model.status import Hold
from controller.queries.deployment_rows import summarize
from controller.queries.deployments import DeploymentState, count_states, list_deployments
from controller.queries.fire_timeline import find_upcoming
from controller.queries.overview import overview
from controller.store import Store, Transaction, holds, inventory, run_statistics, runs, source_status
from tests.conftest import NOW
from tests.unit.queries.test_views import entry, run, source

MINUTE = timedelta(minutes=1)
REFUSED = "ConnectionError: warehouse.internal:5432 refused the connection"


@contextmanager
def recorded_statements(tx: Transaction) -> Iterator[list[str]]:
    statements: list[str] = []

    def record(*arguments: Any) -> None:
        statements.append(arguments[2])

    event.listen(tx.connection, "before_cursor_execute", record)
    yield statements
    event.remove(tx.connection, "before_cursor_execute", record)


def test_the_number_of_statements_does_not_grow_with_the_deployments(store: Store, tmp_path: Path) -> None:
    names = [f"d{number:04}" for number in range(1000)]
    failed = [
        replace(run(number, name, RunState.FAILED), reason=REFUSED if number % 2 else f"exit code {number}")
        for number, name in enumerate(names)
    ]
    counts = []
    for count in (100, 1000):
        with store.write() as tx:
            source_status.save(tx, source())
            inventory.save(tx, [entry(name, schedules=[{"interval": "8h"}]) for name in names[:count]])
            runs.insert_all(tx, failed[100 if count > 100 else 0 : count])
        with store.read() as tx:
            views = list_deployments(tx, NOW)
            with recorded_statements(tx) as statements:
                view = overview(tx, summarize(views), NOW, find_upcoming([], NOW), tmp_path)
        counts.append(len(statements))
    assert counts[0] == counts[1] < 25
    assert view.states[DeploymentState.FAILING] == view.deployments == 1000
    assert (len(view.attention), view.more_attention) == (20, 481)
    assert len(next(group for group in view.attention if group.cause == REFUSED).items) == 500
    assert len(view.bars) == 39, "the last runs of 19 single problems, and of the first 20 of the group"


def test_frequent_deployments_are_one_row_before_those_that_fire_rarely(store: Store, tmp_path: Path) -> None:
    often = [entry(f"o{number:02}", schedules=[{"interval": "1m"}]) for number in range(31)]
    rare = [entry(name, schedules=[{"cron": "15 0 * * *", "timezone": "UTC"}]) for name in ("backup", "report")]
    later = entry("later", schedules=[{"cron": "30 1 * * *", "timezone": "UTC"}])
    with store.write() as tx:
        source_status.save(tx, source())
        inventory.save(tx, [*often, *rare, later])
    with store.read() as tx:
        views = list_deployments(tx, NOW)
        deployments = [(view.name, ((), view.hold)) for view in views]
        upcoming = replace(
            find_upcoming(deployments, NOW), frequent=frozenset(view.name for view in views if view.name[0] == "o")
        )
        fires = overview(tx, summarize(views), NOW, upcoming, tmp_path).next_fires
    assert fires.frequent is not None
    assert (fires.frequent.count, fires.frequent.names[0], fires.soon) == (31, "o00", 31)
    assert [(fire.count, fire.names) for fire in fires.rare] == [(2, ("backup", "report")), (1, ("later",))]


def test_every_deployment_is_in_one_state(store: Store) -> None:
    hold = Hold(deployment="held", reason="r", author="t", since=NOW)
    with store.write() as tx:
        source_status.save(tx, source())
        entries = [entry("ok"), entry("busy"), entry("failing"), entry("held"), entry("off", suspend=True)]
        inventory.save(tx, [*entries, entry("broken", is_valid=False)])
        runs.insert_all(tx, [run(1, "busy", RunState.RUNNING), run(2, "failing", RunState.FAILED)])
        holds.save(tx, hold)
    with store.read() as tx:
        states = count_states(list_deployments(tx, NOW))
    assert {state.value: count for state, count in states.items() if count} == {
        "invalid": 1,
        "failing": 1,
        "held": 1,
        "suspended": 1,
        "ok": 2,
    }


def test_failures_by_revision_read_a_limited_number_of_runs(store: Store) -> None:
    old = [replace(run(number, "a", RunState.FAILED), revision="main@sha1:old") for number in range(5)]
    new = [replace(run(10 + number, "a", RunState.FAILED), revision="main@sha1:new") for number in range(3)]
    crashed = replace(run(20, "a", RunState.CRASHED), revision="main@sha1:new")
    with store.write() as tx:
        runs.insert_all(tx, [*old, *new, crashed, run(30, "a", RunState.SUCCEEDED)])
    with store.read() as tx:
        assert run_statistics.failures_by_revision(tx) == {"main@sha1:old": 5, "main@sha1:new": 4}
        assert run_statistics.failures_by_revision(tx, limit=4) == {"main@sha1:old": 1, "main@sha1:new": 4}
