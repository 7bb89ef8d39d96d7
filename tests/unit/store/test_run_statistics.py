"""Success rates and durations of one deployment, computed by the database."""

from datetime import timedelta
from typing import Any

from sqlalchemy import event

from controller.model.runs import Run, RunState
from controller.store import Store, run_statistics, runs
from tests.conftest import NOW
from tests.unit.store.conftest import ONLY_SQLITE
from tests.unit.store.test_records import run

DAY = timedelta(days=1)
PERIODS = (DAY, 7 * DAY, 30 * DAY)


def ended(number: int, state: RunState, *, ago: timedelta, seconds: float | None = None) -> Run:
    """Return a run that was created `ago`; with `seconds`, it took that long."""
    at = NOW - ago
    times = {} if seconds is None else {"started_at": at, "finished_at": at + timedelta(seconds=seconds)}
    return run(number, state=state, created_at=at, **times)


def test_success_rates_count_runs_that_succeeded_and_failed_by_period(store: Store) -> None:
    states = [RunState.SUCCEEDED, RunState.FAILED, RunState.CRASHED, RunState.SKIPPED, RunState.CANCELLED]
    with store.write() as tx:
        runs.insert_all(tx, [ended(number, state, ago=DAY / 2) for number, state in enumerate(states)])
        runs.insert_all(tx, [ended(50 + number, RunState.SUCCEEDED, ago=number * DAY) for number in (2, 6, 8, 29)])
    with store.read() as tx:
        found = run_statistics.reliability(tx, "nightly", NOW, PERIODS)
        none = run_statistics.reliability(tx, "other", NOW, PERIODS)
    assert [(rate.succeeded, rate.failed) for rate in found.rates] == [(1, 2), (3, 2), (5, 2)]
    assert [(rate.succeeded, rate.failed) for rate in none.rates] == [(0, 0)] * 3
    assert (found.p50, none.p95) == (None, None)


def test_percentiles_are_durations_of_successful_runs(store: Store) -> None:
    with store.write() as tx:
        runs.insert_all(tx, [ended(number, RunState.SUCCEEDED, ago=DAY, seconds=number) for number in range(1, 101)])
        runs.insert_all(tx, [ended(900, RunState.FAILED, ago=DAY, seconds=5000)])
    with store.read() as tx:
        found = run_statistics.reliability(tx, "nightly", NOW, PERIODS)
    assert found.p50 is not None
    assert found.p95 is not None
    assert (round(found.p50, 3), round(found.p95, 3)) == (50, 95)


@ONLY_SQLITE
def test_only_the_newest_runs_are_read_with_the_index_of_the_deployment(store: Store) -> None:
    plans: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith("WITH"):
            plans.extend(row[-1] for row in cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

    with store.read() as tx:
        event.listen(tx.connection, "before_cursor_execute", explain)
        run_statistics.reliability(tx, "nightly", NOW, PERIODS)
        event.remove(tx.connection, "before_cursor_execute", explain)
    index = "SEARCH runs USING INDEX ix_runs_project_deployment_id (project=? AND deployment=? AND id>?)"
    assert plans.count(index) == 2
    assert not any(plan.startswith("SCAN runs") for plan in plans)
