"""Lookups for many deployments at once read what they need by an index, whatever else is stored."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from controller.model.runs import ACTIVE, RunId
from controller.store import Store, Transaction, dependencies, gates, releases, runs, upstream_lookup
from tests.conftest import NOW
from tests.unit.store.conftest import ONLY_SQLITE

TIMES = [("one", NOW), ("two", NOW + timedelta(hours=1))]
LOOKUPS: dict[str, tuple[Callable[[Transaction], object], str]] = {
    "recorded": (lambda tx: upstream_lookup.find_recorded(tx, TIMES), "deployment=? AND scheduled_for=?"),
    "unfinished": (lambda tx: upstream_lookup.find_unfinished(tx, TIMES), "deployment=? AND scheduled_for=?"),
    "of times": (lambda tx: upstream_lookup.find_runs_of_times(tx, TIMES), "deployment=? AND scheduled_for=?"),
    "latest": (lambda tx: upstream_lookup.find_latest_due(tx, TIMES), "deployment=? AND scheduled_for<?"),
    "newest": (lambda tx: upstream_lookup.find_newest(tx, TIMES, ACTIVE), "deployment=? AND id>?"),
    "active": (lambda tx: upstream_lookup.find_unfinished_runs(tx, ["one"]), "project=? AND state=?"),
    "chains": (lambda tx: upstream_lookup.find_of_chains(tx, [("one", "x")]), "deployment=? AND scheduled_for=?"),
    "releases": (lambda tx: releases.find_all(tx, [("one", "up", "x")]), "upstream=? AND chain=?"),
    "pending": (lambda tx: releases.find_pending(tx, ["one"]), "deployment=? AND run_id=?"),
    "keys": (lambda tx: runs.ids_by_keys(tx, [("one", "x")]), "deployment=? AND idempotency_key=?"),
    "opened": (lambda tx: gates.find_opened_by(tx, [RunId("x")], ["one"]), "ix_gates_upstream_run_id"),
    "gates": (lambda tx: gates.find_of_runs(tx, [RunId("x")]), "gates_1 (run_id=?)"),
    "expired": (lambda tx: gates.expire_runs(tx, [RunId("x")]), "gates_1 (run_id=?)"),
    "dependants": (lambda tx: dependencies.find_dependants(tx, ["up"]), "project=? AND upstream=?"),
}


@pytest.mark.parametrize("name", LOOKUPS)
def test_a_lookup_of_an_empty_state_finds_nothing(store: Store, name: str) -> None:
    look_up, _ = LOOKUPS[name]
    with store.write() as tx:
        assert not look_up(tx)


@ONLY_SQLITE
@pytest.mark.parametrize("name", LOOKUPS)
def test_a_lookup_reads_tables_by_an_index(store: Store, name: str) -> None:
    look_up, expected = LOOKUPS[name]
    plans: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        plans.extend(row[-1] for row in cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    with store.write() as tx:
        event.listen(tx.connection, "before_cursor_execute", explain)
        look_up(tx)
        event.remove(tx.connection, "before_cursor_execute", explain)
    assert any(expected in plan for plan in plans), plans
    assert not [plan for plan in plans if plan.startswith("SCAN") and "VIRTUAL TABLE" not in plan]
