"""The last successful run of each deployment, and the number of failed runs since then."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event

from controller.model.runs import RunState
from controller.store import Store, run_outcomes, runs
from controller.store.run_outcomes import FailedRun
from controller.store.store import Transaction
from tests.conftest import NOW
from tests.unit.store.conftest import ONLY_SQLITE
from tests.unit.store.test_records import run

STATES = [RunState.SUCCEEDED, RunState.FAILED, RunState.SKIPPED, RunState.CRASHED, RunState.SUCCEEDED, RunState.FAILED]


@pytest.fixture
def recorded(store: Store) -> Store:
    """A deployment whose runs 0 to 5 ended in this order with these states."""
    with store.write() as tx:
        ended = [
            run(number, state=state, finished_at=NOW + timedelta(minutes=number)) for number, state in enumerate(STATES)
        ]
        runs.insert_all(tx, ended)
    return store


def failed(number: int, before: int | None = None) -> FailedRun:
    next_id = None if before is None else f"run-{before:03}"
    return FailedRun(deployment="nightly", run_id=f"run-{number:03}", next_id=next_id)


def test_the_first_success_after_a_failure_is_looked_up(recorded: Store) -> None:
    with recorded.read() as tx:
        (success,) = run_outcomes.next_successes(tx, [failed(1, before=3), failed(3, before=5), failed(5)])
    assert (success.run_id, success.finished_at) == ("run-004", NOW + timedelta(minutes=4))


def test_a_success_that_ended_before_the_failure_does_not_count(recorded: Store) -> None:
    with recorded.write() as tx:
        runs.insert_all(tx, [run(6, state=RunState.SUCCEEDED, finished_at=NOW + timedelta(minutes=4))])
    with recorded.read() as tx:
        assert run_outcomes.next_successes(tx, [failed(5)]) == []


def test_a_failed_run_that_was_deleted_has_the_next_success(recorded: Store) -> None:
    with recorded.read() as tx:
        gone = FailedRun(deployment="nightly", run_id="run-000-deleted")
        assert [success.run_id for success in run_outcomes.next_successes(tx, [gone])] == ["run-004"]


def test_the_last_success_before_a_failure_is_looked_up(recorded: Store) -> None:
    with recorded.read() as tx:
        successes = run_outcomes.last_successes(tx, [failed(3), failed(5), failed(0)])
    assert {number: success.id for number, success in successes.items()} == {"run-003": "run-000", "run-005": "run-004"}


def test_failures_in_a_row_are_counted_up_to_a_run(recorded: Store) -> None:
    with recorded.read() as tx:
        counts = run_outcomes.count_failures(tx, [failed(1), failed(3), failed(5)])
    assert counts == {"run-001": 1, "run-003": 2, "run-005": 1}


@pytest.mark.parametrize(
    "look_up", [run_outcomes.next_successes, run_outcomes.last_successes, run_outcomes.count_failures]
)
@ONLY_SQLITE
def test_lookups_read_the_runs_of_a_deployment_by_index(
    recorded: Store, look_up: Callable[[Transaction, list[FailedRun]], object]
) -> None:
    plans: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        plans.extend(row[-1] for row in cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    with recorded.read() as tx:
        event.listen(tx.connection, "before_cursor_execute", explain)
        look_up(tx, [failed(1)])
        event.remove(tx.connection, "before_cursor_execute", explain)
    steps = [plan for plan in plans if "runs" in plan]
    assert steps
    assert all(step.startswith("SEARCH") and "USING" in step for step in steps), steps
    assert not any("TEMP B-TREE" in plan for plan in plans)
