"""The rows of the Runs page, and the summary of the runs that match: what they show, and what they read."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event, insert

from benchmarks.history import write_history
from controller.api.dashboard.scatter_chart import scatter_chart
from controller.model.commits import DeploymentNames, RecordedCommit
from controller.model.runs import FAILURES, ListedRun, Run, RunId, RunState
from controller.model.task_runs import TaskTree
from controller.queries.run_list import RunSummary, add_details, longest_runs, summarize_matches
from controller.queries.runs import page_of_runs
from controller.store import Store, Transaction, commits, runs, task_trees
from controller.store.rows import to_row
from controller.store.run_search import MAX_EXAMINED, RunFilter, count_matching, newest_points
from controller.store.schema import attempts
from tests.conftest import NOW
from tests.postgresql import BOTH_DATABASES
from tests.unit.queries.test_deployment_cache import entry
from tests.unit.queries.test_runs import attempt
from tests.unit.store.test_records import run

SECOND = timedelta(seconds=1)
DEPLOYMENTS, HISTORY = 3_000, 30_000


def finished(number: int, took: float, **changes: object) -> Run:
    state = changes.pop("state", RunState.SUCCEEDED)
    end = NOW + took * SECOND
    return run(number, state=state, attempt=1, started_at=NOW, finished_at=end, scheduled_for=None, **changes)


def details(store: Store) -> list[ListedRun]:
    with store.read() as tx:
        return add_details(tx, page_of_runs(tx, RunFilter(), NOW, limit=50, before=None)[0])


def summary(store: Store, criteria: RunFilter | None = None) -> RunSummary:
    with store.read() as tx:
        return summarize_matches(tx, criteria or RunFilter(), NOW + 60 * SECOND)


@BOTH_DATABASES
def test_rows_have_the_commit_the_name_and_the_usual_duration(store: Store) -> None:
    nobody = DeploymentNames(count=0, names=())
    commit = RecordedCommit(
        sha="a" * 40, author="Ada", author_date=NOW, subject="Less", added=nobody, changed=nobody, removed=nobody
    )
    with store.write() as tx:
        took = enumerate([1, 5, 3, 100], 1)
        runs.insert_all(tx, [finished(number, seconds) for number, seconds in took])
        runs.insert_all(tx, [finished(5, 50, state=RunState.FAILED, revision="dir@sha256:" + "b" * 64)])
        runs.insert_all(tx, [run(6, deployment="other", state=RunState.PENDING)])
        commits.save(tx, [commit])
        task_trees.save(tx, "run-002", 1, TaskTree(name="the second"))
    rows = details(store)
    assert [row.id for row in rows] == [f"run-00{number}" for number in (6, 5, 4, 3, 2, 1)]
    assert [row.commit.subject if row.commit else None for row in rows] == ["Less", None, *["Less"] * 4]
    assert [row.name for row in rows] == [None, None, None, None, "the second", None]
    assert [row.typical_seconds for row in rows] == [None, *[4.0] * 5]


@BOTH_DATABASES
def test_the_summary_counts_matches_and_describes_the_newest(store: Store) -> None:
    with store.write() as tx:
        states = [RunState.FAILED, RunState.SKIPPED, RunState.CANCELLED, RunState.SUCCEEDED, RunState.SUCCEEDED]
        runs.insert_all(tx, [finished(number, number, state=state) for number, state in enumerate(states, 1)])
        runs.insert_all(tx, [run(6), run(7, state=RunState.RUNNING, attempt=2, started_at=NOW + 50 * SECOND)])
        times = [attempt(1, NOW, NOW + 5 * SECOND), attempt(2, NOW + 50 * SECOND, None)]
        rows = [{**to_row(tx, attempts, time), "run_id": "run-007"} for time in times]
        tx.connection.execute(insert(attempts), [{k: v for k, v in row.items() if k != "project"} for row in rows])
    found = summary(store)
    assert (found.count, found.is_exact, found.succeeded, found.finished, found.median_seconds) == (7, True, 2, 3, 3)
    assert [point.seconds for point in found.points] == [1, 2, 3, 4, 5, None, 15]
    with store.read() as tx:
        assert [run.id for run in longest_runs(tx, found.points, 2)] == ["run-007", "run-005"]
    assert summary(store, RunFilter(states=[RunState.SUCCEEDED])).count == 2
    nothing = summary(store, RunFilter(deployment="nobody"))
    assert (nothing.count, nothing.points, nothing.median_seconds) == (0, (), None)


@BOTH_DATABASES
def test_the_chart_has_a_dot_for_each_run_that_started(store: Store) -> None:
    with store.write() as tx:
        runs.insert_all(tx, [finished(1, 1), finished(2, 100, state=RunState.FAILED, created_at=NOW + 30 * SECOND)])
        runs.insert_all(tx, [run(3)])
    chart = scatter_chart(summary(store), None, NOW + 60 * SECOND)
    assert chart is not None
    assert [dot.tone for dot in chart.dots] == ["good", "bad"]
    assert [dot.x for dot in chart.dots] == [0, pytest.approx(49.2, abs=1)]
    assert chart.dots[0].y > chart.dots[1].y
    assert (chart.bottom, chart.top) == ("1.00 s", "1 min 40 s")
    assert chart.title == "Duration of 2 runs over time, logarithmic scale: 1 failed, the longest took 1 min 40 s"
    assert chart.first <= NOW < NOW + 60 * SECOND <= chart.last
    assert scatter_chart(summary(store, RunFilter(states=[RunState.FAILED])), None, NOW) is None


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store with 3,000 deployments and 30,000 runs of the last 80 days."""
    path = tmp_path_factory.mktemp("state") / "state.db"
    store = Store.open(path)
    with store.write() as tx:
        names = json.dumps([f"dep-{number:04}" for number in range(DEPLOYMENTS)])
        row = entry("a")
        tx.connection.exec_driver_sql(
            "INSERT INTO inventory (project, name, file, line, document, spec_digest, revision, cursor, conditions)"
            " SELECT 'default', value, 'f', 1, '{}', 'd', ?, ?, '[]' FROM json_each(?)",
            (row.revision, "2026-01-01 00:00:00.000000", names),
        )
    write_history(path, HISTORY)
    yield store
    store.close()


@contextmanager
def counting(tx: Transaction) -> Iterator[list[str]]:
    """Collect the statements that are executed, with the steps of their query plans."""
    steps: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        if not statement.startswith("EXPLAIN"):
            plan = tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
            steps.append("; ".join(row[3] for row in plan.all()))

    event.listen(tx.connection, "before_cursor_execute", record)
    yield steps
    event.remove(tx.connection, "before_cursor_execute", record)


@pytest.mark.parametrize(
    ("criteria", "count", "is_exact", "statements"),
    [
        (RunFilter(), HISTORY, True, 6),
        (RunFilter(states=sorted(FAILURES)), HISTORY // 50, True, 10),
        (RunFilter(deployment="dep-0001"), 10, True, 6),
        (RunFilter(trigger="manual"), 103, False, 8),
        (RunFilter(states=[RunState.SUCCEEDED], tag="none"), 0, False, 5),
    ],
    ids=["all", "states", "deployment", "trigger", "state and tag"],
)
def test_the_page_reads_few_rows_of_a_long_history(
    large: Store, criteria: RunFilter, count: int, *, is_exact: bool, statements: int
) -> None:
    with large.read() as tx, counting(tx) as steps:
        rows = add_details(tx, page_of_runs(tx, criteria, NOW, limit=50, before=None)[0])
        found = summarize_matches(tx, criteria, NOW)
    assert (found.count, found.is_exact) == (count, is_exact)
    assert len(rows) == min(50, count)
    assert len(steps) <= statements, steps
    assert not [step for step in steps if "SCAN runs" in step and "USING INDEX" not in step], steps
    assert len(found.points) <= 500


def test_no_count_and_no_chart_examines_more_than_the_newest_runs(large: Store) -> None:
    with large.read() as tx:
        newest = page_of_runs(tx, RunFilter(), NOW, limit=50, before=None)[0]
        oldest = runs.find_all(tx, [RunId(tx.connection.exec_driver_sql("SELECT min(id) FROM runs").scalar_one())])
        [first] = oldest.values()
        criteria = RunFilter(since=first.created_at, revision=newest[0].revision.rpartition(":")[2])
        assert count_matching(tx, criteria) == (MAX_EXAMINED, False)
        assert count_matching(tx, criteria, max_examined=HISTORY) == (HISTORY, True)
        points = newest_points(tx, criteria, limit=MAX_EXAMINED * 2)
        assert len(points) == MAX_EXAMINED
