"""Runs as users see them: the time that their attempts have taken."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from sqlalchemy import insert

from controller.cli.terminal.run_tables import run_detail
from controller.model.gates import Gate, GateState
from controller.model.runs import Attempt, RunId, RunState
from controller.model.task_runs import TaskRun, TaskTree
from controller.model.triggers import UpstreamOutcome
from controller.queries.runs import find_run
from controller.store import Store, gates, runs, task_trees
from controller.store.rows import to_row
from controller.store.schema import attempts
from tests.conftest import NOW
from tests.postgresql import BOTH_DATABASES
from tests.unit.store.test_records import run

pytestmark = BOTH_DATABASES

SECOND = timedelta(seconds=1)


def attempt(number: int, started_at: datetime, finished_at: datetime | None) -> Attempt:
    state = RunState.RUNNING if finished_at is None else RunState.FAILED
    fields = {"run_id": RunId("run-001"), "nonce": f"n{number}", "boot_id": "b", "state": state}
    return Attempt(number=number, started_at=started_at, finished_at=finished_at, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "ends", "took", "running_since"),
    [
        (RunState.FAILED, [3, 35], 8, None),
        (RunState.RETRYING, [3, 35], 8, None),
        (RunState.RUNNING, [3, None], 3, NOW + 27 * SECOND),
    ],
)
def test_a_run_took_the_time_of_its_attempts_without_the_time_between_them(
    store: Store, state: RunState, ends: list[int | None], took: float, running_since: datetime | None
) -> None:
    """The first attempt starts at 0 s, the second at 30 s; it is 100 s now."""
    history = [
        attempt(number, NOW + (number - 1) * 30 * SECOND, None if end is None else NOW + end * SECOND)
        for number, end in enumerate(ends, 1)
    ]
    finished_at = NOW + 35 * SECOND if state.is_terminal else None
    with store.write() as tx:
        started_at = NOW + 30 * SECOND
        runs.insert_all(tx, [run(1, state=state, attempt=2, started_at=started_at, finished_at=finished_at)])
        rows = [
            {key: value for key, value in to_row(tx, attempts, item).items() if key != "project"} for item in history
        ]
        tx.connection.execute(insert(attempts), rows)
    with store.read() as tx:
        shown = find_run(tx, "run-001", NOW + 100 * SECOND)
    assert (shown.took, shown.running_since) == (took, running_since)
    assert [item.number for item in shown.history] == [1, 2]


def test_a_run_that_has_not_started_took_nothing(store: Store) -> None:
    with store.write() as tx:
        runs.insert_all(tx, [run(1)])
    with store.read() as tx:
        assert find_run(tx, "run-001", NOW).took is None


@pytest.mark.parametrize("state", [RunState.CANCELLED, RunState.RETRYING])
def test_tasks_without_an_end_end_with_the_attempt(store: Store, state: RunState) -> None:
    end = NOW + 35 * SECOND
    task = TaskRun(id=1, parent=None, kind="flow", name="main", label="main-1", state="cancelled", started_at=NOW)
    waiting = replace(task, id=2, started_at=None)
    with store.write() as tx:
        finished_at = end if state.is_terminal else None
        runs.insert_all(tx, [run(1, state=state, attempt=1, started_at=NOW, finished_at=finished_at)])
        row = to_row(tx, attempts, attempt(1, NOW, end))
        tx.connection.execute(insert(attempts), {key: value for key, value in row.items() if key != "project"})
        task_trees.save(tx, "run-001", 1, TaskTree(runs=(task, waiting)))
    with store.read() as tx:
        shown = find_run(tx, "run-001", NOW + 100 * SECOND)
    assert [entry.finished_at for entry in shown.tasks] == [end, None]


@pytest.mark.parametrize(
    ("state", "until"),
    [(GateState.WAITING, NOW + timedelta(hours=24)), (GateState.OPEN, None)],
)
def test_a_run_that_waits_for_other_deployments_has_the_end_of_the_wait(
    store: Store, state: GateState, until: datetime | None
) -> None:
    gate = Gate(
        run_id=RunId("run-001"),
        upstream="ingest",
        condition=UpstreamOutcome.SUCCEEDED,
        due_time=NOW,
        since=None,
        until=NOW + timedelta(hours=24),
        state=state,
    )
    with store.write() as tx:
        runs.insert_all(tx, [run(1, scheduled_for=NOW)])
        gates.insert_all(tx, [gate])
    with store.read() as tx:
        shown = find_run(tx, "run-001", NOW)
    assert shown.waits_until == until
    console = Console(width=120)
    with console.capture() as capture:
        console.print(run_detail(shown, NOW, UTC))
    line = "waits until  2026-06-02 12:00:00 UTC, then the run is skipped"
    assert (line in capture.get()) is (until is not None)
