"""The history of a deployment: runs with the skipped due times between them, and changes of parameters."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import event

from controller.model.runs import Occurrence, Outcome, Run, RunState
from controller.queries import run_history
from controller.queries.run_history import list_history, list_parameter_steps
from controller.store import Store, Transaction, inventory, occurrences, runs
from tests.conftest import NOW
from tests.unit.store.test_records import entry, run

MINUTE = timedelta(minutes=1)


def at(minutes: int) -> datetime:
    return NOW + minutes * MINUTE


def skipped(minutes: int, reason: str) -> Occurrence:
    return Occurrence(
        deployment="nightly", scheduled_for=at(minutes), schedule="0", outcome=Outcome.SKIPPED, reason=reason
    )


def ended(number: int, due: int, **more: Any) -> Run:
    return run(number, state=RunState.FAILED, scheduled_for=at(due), created_at=at(due), **more)


def rows(tx: Transaction, found: list[Run]) -> list[str]:
    """Return each row as text: the id of a run, with * if it can be repeated, or the skipped due times."""
    return [
        ", ".join(f"-{(due.scheduled_for - NOW) // MINUTE}" for due in row.skipped)
        if row.run is None
        else row.run.id + "*" * row.can_repeat
        for row in list_history(tx, "nightly", found, is_complete=True)
    ]


def test_skipped_due_times_are_rows_between_the_runs(store: Store) -> None:
    made = [ended(1, 10), ended(2, 20), run(3, scheduled_for=at(20), created_at=at(45)), ended(4, 50)]
    with store.write() as tx:
        inventory.save(tx, [entry()])
        runs.insert_all(tx, made)
        occurrences.append(
            tx, [skipped(5, "missed"), skipped(30, "overlap"), skipped(40, "overlap"), skipped(42, "held")]
        )
    with store.read() as tx:
        assert rows(tx, made[::-1]) == ["run-004*", "run-003", "-42", "-40, -30", "run-002", "run-001*", "-5"]
        cut = list_history(tx, "nightly", made[:1:-1], is_complete=False)
        assert [row.run and row.run.id for row in cut] == ["run-004", "run-003"]


def test_runs_with_the_same_parameters_are_one_step(store: Store) -> None:
    values = [{"a": 1}, {"a": 1}, {"a": 2, "b": True}, {"a": 2, "b": True}, {"a": 2, "b": True}]
    with store.write() as tx:
        runs.insert_all(tx, [run(number, parameters=value) for number, value in enumerate(values)])
    with store.read() as tx:
        statements: list[str] = []

        def record(*arguments: Any) -> None:
            statements.append(arguments[2])

        event.listen(tx.connection, "before_cursor_execute", record)
        steps, count = list_parameter_steps(tx, "nightly", 50)
        event.remove(tx.connection, "before_cursor_execute", record)
        assert list_parameter_steps(tx, "nightly", 2)[1] == 2
        assert list_parameter_steps(tx, "other", 50) == ([], 0)
    assert count == 5
    assert len(statements) == 2
    assert [(step.run.id, step.repeats, step.is_first) for step in steps] == [
        ("run-002", 2, False),
        ("run-000", 1, True),
    ]
    assert [(change.name, change.before, change.after) for change in steps[0].changes] == [
        ("a", 1, 2),
        ("b", None, True),
    ]


def test_large_parameters_limit_how_many_runs_are_compared(store: Store) -> None:
    large = "x" * (run_history.MOST_BYTES // 2)
    with store.write() as tx:
        runs.insert_all(tx, [run(number, parameters={"text": large}) for number in range(5)])
    with store.read() as tx:
        assert list_parameter_steps(tx, "nightly", 50)[1] == 1
