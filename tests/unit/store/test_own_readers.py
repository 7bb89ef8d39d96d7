"""Reading connections for one part of the process, callbacks after commits, and the counts of runs by state."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import exc, select, text
from sqlalchemy.engine.interfaces import CacheStats

from controller.errors import StateError, StorageFullError
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.store import Store, database, retention, run_statistics, runs, schema
from tests.conftest import NOW
from tests.unit.store.conftest import ONLY_SQLITE


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


def test_own_readers_work_while_the_shared_pool_is_exhausted(store: Store) -> None:
    own = store.with_own_readers(1)
    with ExitStack() as open_readers:
        for _ in range(2 * database.READERS):
            open_readers.enter_context(store.read())
        with own.read() as tx:
            assert runs.find(tx, "none") is None
        with own.write() as tx:
            runs.insert_all(tx, [run(1)])
    with own.read() as tx:
        assert runs.find(tx, run(1).id) is not None
    own.close_readers()


@ONLY_SQLITE
def test_a_statement_is_compiled_once_for_all_databases_and_readers(store: Store, tmp_path: Path) -> None:
    own = store.with_own_readers(1)
    other = Store.open(tmp_path / "other.db")
    statement = select(schema.runs.c.id).where(schema.runs.c.deployment == "compiled once")
    hits = []
    for each in (store, own, other):
        with each.read() as tx:
            hits.append(tx.connection.execute(statement).context.cache_hit)
    with other.write() as tx:
        hits.append(tx.connection.execute(statement).context.cache_hit)
    assert hits == [CacheStats.CACHE_MISS, *[CacheStats.CACHE_HIT] * 3]
    own.close_readers()
    other.close()


@pytest.mark.parametrize(
    "error",
    [
        exc.TimeoutError("QueuePool limit of size 4 overflow 4 reached"),
        exc.OperationalError("SELECT", {}, Exception("disk I/O error")),
        exc.InvalidRequestError("closed"),
        exc.ResourceClosedError("closed"),
    ],
)
def test_database_errors_are_translated_to_state_errors(error: exc.SQLAlchemyError) -> None:
    with pytest.raises(StateError, match="The state database can't be used: "), database.translate_errors():
        raise error


def test_a_full_disk_is_a_storage_full_error() -> None:
    with pytest.raises(StorageFullError), database.translate_errors():
        raise exc.OperationalError("INSERT", {}, Exception("database or disk is full"))


def test_callbacks_run_once_after_the_commit_and_not_after_a_rollback(store: Store) -> None:
    calls: list[str] = []
    with store.write() as tx:
        tx.after_commit(lambda: calls.append("committed"))
        assert calls == []
    assert calls == ["committed"]

    def fail() -> None:
        with store.write() as tx:
            tx.after_commit(lambda: calls.append("rolled back"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert calls == ["committed"]


def counted(store: Store) -> dict[RunState, int]:
    """Return the maintained counts, and check that they equal a count of all rows."""
    with store.read() as tx:
        counts = run_statistics.by_state(tx)
        rows = tx.connection.execute(
            text("SELECT state, count(*) FROM runs WHERE project = :project GROUP BY 1"), {"project": tx.project}
        )
        assert counts == {RunState(state): count for state, count in rows}
    return counts


def test_run_counts_stay_exact_through_changes_deletions_and_rollbacks(store: Store) -> None:
    states = [*RunState] * 3
    with store.write() as tx:
        runs.insert_all(tx, [run(number, state) for number, state in enumerate(states)])
    assert counted(store) == Counter(states)
    with store.write() as tx:
        for pending in [run(number) for number, state in enumerate(states) if state is RunState.PENDING]:
            assert runs.move(tx, pending.id, expect=RunState.PENDING, to=RunState.SUCCEEDED, finished_at=NOW)
    assert counted(store)[RunState.SUCCEEDED] == 6
    with store.write() as tx:
        expired = retention.find_expired(tx, "a", keep=4, before=NOW, limit=100)
        retention.delete_runs(tx, expired)
    assert expired
    before = counted(store)

    def fail() -> None:
        with store.write() as tx:
            runs.insert_all(tx, [run(99)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert counted(store) == before
    again = Store.open_read_only(store.place)
    assert counted(again) == before
    other = Store.open(store.place, project="other")
    assert counted(other) == {}
    again.close()
    other.close()
