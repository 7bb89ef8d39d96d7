"""When deployments last succeeded: the remembered times equal those of a full read, and little is read again."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from controller.model.runs import Run, RunId, RunState, Trigger
from controller.queries.last_successes import LastSuccesses
from controller.runs.ids import RunIds
from controller.store import Store, last_successes, runs
from tests.conftest import NOW
from tests.unit.queries.test_deployment_cache import empty_state

NAMES = ["a", "b", "c"]
STATES = [RunState.SUCCEEDED, RunState.FAILED, RunState.SKIPPED]


def new_run(ids: RunIds, minute: int, name: str, state: RunState) -> Run:
    at = NOW + timedelta(minutes=minute)
    return Run(
        id=ids.new(at),
        deployment=name,
        state=state,
        trigger=Trigger.MANUAL,
        created_at=at,
        finished_at=at if state.is_terminal else None,
        revision="r",
        file="f",
        spec_digest="sha256:1",
    )


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([None, *STATES]), st.booleans()), max_size=20))
def test_the_remembered_times_equal_those_of_a_full_read(history: list[tuple[str, RunState | None, bool]]) -> None:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "state.db"
        path.write_bytes(empty_state())
        store, ids, remembered = Store.open(path), RunIds(), LastSuccesses()
        running: list[RunId] = []
        for minute, (name, state, is_read) in enumerate(history):
            with store.write() as tx:
                if state is None and running:  # the oldest running run succeeds, perhaps after newer ones
                    at = NOW + timedelta(minutes=minute)
                    runs.move(tx, running.pop(0), expect=RunState.RUNNING, to=RunState.SUCCEEDED, finished_at=at)
                run = new_run(ids, minute, name, state or RunState.RUNNING)
                runs.insert_all(tx, [run])
                running += [run.id] if state is None else []
            if is_read:
                with store.read() as tx:
                    times = remembered.refresh(tx, NAMES)
                    full = last_successes.find(tx, NAMES)
                assert times.keys() == full.keys()
                assert all(times[name] >= at for name, at in full.items())
        store.close()


def test_a_later_read_is_one_statement_that_reads_only_new_and_unfinished_runs(store: Store) -> None:
    ids, remembered = RunIds(), LastSuccesses()
    with store.write() as tx:
        runs.insert_all(tx, [new_run(ids, minute, "a", RunState.SUCCEEDED) for minute in range(50)])
        runs.insert_all(tx, [new_run(ids, 60, "b", RunState.RUNNING)])
    with store.read() as tx:
        assert remembered.refresh(tx, ["a", "b"]) == {"a": NOW + timedelta(minutes=49)}
        statements: list[str] = []
        plans: list[str] = []

        def record(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            statements.append(statement)
            plans.extend(row[-1] for row in cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters))

        event.listen(tx.connection, "before_cursor_execute", record)
        remembered.refresh(tx, ["a", "b"])
        event.remove(tx.connection, "before_cursor_execute", record)
    assert len(statements) == 1
    assert not [plan for plan in plans if plan.startswith("SCAN runs")]


def test_a_deployment_that_takes_over_a_history_is_read_in_full(store: Store) -> None:
    ids, remembered = RunIds(), LastSuccesses()
    with store.write() as tx:
        runs.insert_all(tx, [new_run(ids, 1, "a", RunState.SUCCEEDED)])
    with store.read() as tx:
        remembered.refresh(tx, ["b"])
        assert remembered.refresh(tx, ["a", "b"]) == {"a": NOW + timedelta(minutes=1)}
        assert remembered.refresh(tx, ["b"]) == {}
