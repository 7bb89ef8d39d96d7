"""Reading connections of one part of the process, words after a commit, and runs that are counted as they change."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import exc

from controller.errors import StateError, StorageFullError
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.store import Store, database, retention, run_statistics, runs
from tests.conftest import NOW


def run(number: int, state: RunState = RunState.PENDING, deployment: str = "a") -> Run:
    return Run(
        id=RunId(f"{number:036}"),
        deployment=deployment,
        state=state,
        trigger=Trigger.MANUAL,
        created_at=NOW,
        revision="x",
        file="a.yaml",
        spec_digest="sha256:1",
        finished_at=NOW if state.is_terminal else None,
    )


def test_a_part_with_connections_of_its_own_reads_while_all_others_are_taken(store: Store) -> None:
    own = store.with_own_readers(1)
    with ExitStack() as taken:
        for _ in range(2 * database.READERS):
            taken.enter_context(store.read())
        with own.read() as tx:
            assert runs.find(tx, "none") is None
        with own.write() as tx:
            runs.insert_all(tx, [run(1)])
    with own.read() as tx:
        assert runs.find(tx, run(1).id) is not None
    own.close_readers()


@pytest.mark.parametrize(
    "error",
    [
        exc.TimeoutError("QueuePool limit of size 4 overflow 4 reached"),
        exc.OperationalError("SELECT", {}, Exception("disk I/O error")),
        exc.InvalidRequestError("closed"),
        exc.ResourceClosedError("closed"),
    ],
)
def test_whatever_the_database_layer_raises_is_an_error_of_the_state(error: exc.SQLAlchemyError) -> None:
    with pytest.raises(StateError, match="The state database can't be used: "), database.translated():
        raise error


def test_a_full_disk_has_a_reason_of_its_own() -> None:
    with pytest.raises(StorageFullError), database.translated():
        raise exc.OperationalError("INSERT", {}, Exception("database or disk is full"))


def test_what_is_to_be_told_after_a_commit_is_told_once_and_only_then(store: Store) -> None:
    told: list[str] = []
    with store.write() as tx:
        tx.after_commit(lambda: told.append("committed"))
        assert told == []
    assert told == ["committed"]

    def fail() -> None:
        with store.write() as tx:
            tx.after_commit(lambda: told.append("rolled back"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert told == ["committed"]


def counted(store: Store) -> dict[RunState, int]:
    """What `by_state` says, which must be what is there."""
    with store.read() as tx:
        found = run_statistics.by_state(tx)
        rows = tx.connection.exec_driver_sql(
            "SELECT state, count(*) FROM runs WHERE project = ? GROUP BY 1", (tx.project,)
        )
        assert found == {RunState(state): count for state, count in rows}
    return found


def test_runs_are_counted_exactly_whatever_becomes_of_them(store: Store, tmp_path: Path) -> None:
    states = [*RunState] * 3
    with store.write() as tx:
        runs.insert_all(tx, [run(number, state) for number, state in enumerate(states)])
    assert counted(store) == Counter(states)
    with store.write() as tx:
        pending = [one for one in (run(number, state) for number, state in enumerate(states)) if one.state == "pending"]
        for one in pending:
            assert runs.move(tx, one.id, expect=RunState.PENDING, to=RunState.SUCCEEDED, finished_at=NOW)
    assert counted(store)[RunState.SUCCEEDED] == 6
    with store.write() as tx:
        gone = retention.find_expired(tx, "a", keep=4, before=NOW, limit=100)
        retention.delete_runs(tx, gone)
    assert gone
    before = counted(store)

    def fail() -> None:
        with store.write() as tx:
            runs.insert_all(tx, [run(99)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert counted(store) == before
    again = Store.open(tmp_path / "state.db")
    assert counted(again) == before
    other = Store.open(tmp_path / "state.db", project="other")
    assert counted(other) == {}
    again.close()
    other.close()
