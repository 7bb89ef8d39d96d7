"""The tables of the store: compare-and-set of runs, the unique key of due times, and round trips of all values."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from controller.errors import StateError
from controller.model.findings import Finding, Severity
from controller.model.queues import ActiveRuns
from controller.model.runs import Attempt, Occurrence, Outcome, Run, RunId, RunState, Trigger
from controller.model.status import Condition, ConditionStatus, ConditionType, InventoryEntry, SourceStatus
from controller.model.task_runs import TaskRun, TaskTree
from controller.store import (
    Store,
    inventory,
    last_runs,
    occurrences,
    queues,
    run_transitions,
    runs,
    source_status,
    task_trees,
)
from controller.store.run_search import RunFilter, select_all
from tests.conftest import NOW

CONDITION = Condition(
    type=ConditionType.READY,
    status=ConditionStatus.FALSE,
    reason="InvalidManifest",
    message="a.yaml:3:1: 'x' is no cron — grüße",
    last_transition_time=datetime(2026, 5, 4, 3, 2, 1, 987654, tzinfo=UTC),
)
FINDING = Finding(
    code="Unknown",
    message="what?",
    file="deployments/a.yaml",
    line=3,
    column=7,
    severity=Severity.WARNING,
    hint="that",
    path="$.x",
    deployment="a",
)


def run(number: int = 1, **changes: object) -> Run:
    defaults = Run(
        id=RunId(f"run-{number:03}"),
        deployment="nightly",
        state=RunState.PENDING,
        trigger=Trigger.SCHEDULE,
        created_at=NOW,
        revision="main@sha1:" + "a" * 40,
        file="deployments/a.yaml",
        spec_digest="sha256:1",
        scheduled_for=NOW + timedelta(minutes=number),
        tags=("a", "b"),
        parameters={"nums": [1, 2.5, None, "grüße"], "deep": {"x": True}},
    )
    return replace(defaults, **changes)  # type: ignore[arg-type]


def occurrence(instant: datetime) -> Occurrence:
    return Occurrence(deployment="nightly", scheduled_for=instant, schedule="0", outcome=Outcome.RUN)


def entry(**changes: object) -> InventoryEntry:
    defaults = InventoryEntry(
        name="nightly",
        file="deployments/a.yaml",
        line=1,
        document={"name": "nightly", "command": ["true"]},
        spec_digest="sha256:1",
        revision="main@sha1:" + "a" * 40,
        cursor=NOW,
        conditions=(CONDITION,),
    )
    return replace(defaults, **changes)  # type: ignore[arg-type]


def test_a_run_is_read_back_unchanged(store: Store) -> None:
    with store.write() as tx:
        runs.insert_all(tx, [run()])
    with store.read() as tx:
        assert runs.find(tx, "run-001") == run()


def test_a_state_only_changes_from_the_expected_state(store: Store) -> None:
    with store.write() as tx:
        runs.insert_all(tx, [run()])
    results = []
    for _ in range(2):
        with store.write() as tx:
            results.append(runs.move(tx, RunId("run-001"), expect=RunState.PENDING, to=RunState.LAUNCHING, attempt=1))
    assert results == [True, False]


def test_exactly_one_of_many_threads_changes_a_run(store: Store) -> None:
    with store.write() as tx:
        runs.insert_all(tx, [run()])
    results: list[bool] = []

    def claim() -> None:
        with store.write() as tx:
            results.append(runs.move(tx, RunId("run-001"), expect=RunState.PENDING, to=RunState.LAUNCHING))

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]


def test_a_late_result_does_not_change_a_finished_run(store: Store) -> None:
    with store.write() as tx:
        runs.insert_all(tx, [run(state=RunState.CRASHED, reason="lost")])
        assert not runs.move(tx, RunId("run-001"), expect=RunState.RUNNING, to=RunState.SUCCEEDED, exit_code=0)
    with store.read() as tx:
        stored = runs.find(tx, "run-001")
    assert stored is not None
    assert (stored.state, stored.reason, stored.exit_code) == (RunState.CRASHED, "lost", None)


def test_a_due_time_can_only_be_recorded_once(store: Store) -> None:
    with store.write() as tx:
        occurrences.append(tx, [occurrence(NOW)])
    with pytest.raises(StateError, match=r"(?i)unique"), store.write() as tx:
        occurrences.append(tx, [occurrence(NOW + timedelta(hours=1)), occurrence(NOW)])
    with store.read() as tx:
        assert [row.scheduled_for for row in occurrences.find_newest(tx, "nightly", 10)] == [NOW]


def test_due_times_in_different_zones_are_the_same_instant(store: Store) -> None:
    elsewhere = NOW.astimezone(tz=None)
    with store.write() as tx:
        occurrences.append(tx, [occurrence(NOW)])
        assert occurrences.recorded_times(tx, "nightly", elsewhere, elsewhere) == {NOW}
    with pytest.raises(StateError), store.write() as tx:
        occurrences.append(tx, [occurrence(elsewhere)])


def test_an_idempotency_key_is_unique_per_deployment(store: Store) -> None:
    with store.write() as tx:
        runs.insert_all(tx, [run(1, idempotency_key="k"), run(2, idempotency_key="k", deployment="other")])
        stored = runs.find_by_key(tx, "nightly", "k")
    assert stored is not None
    assert stored.id == "run-001"
    with pytest.raises(StateError), store.write() as tx:
        runs.insert_all(tx, [run(3, idempotency_key="k")])


def test_a_null_result_is_read_back_as_none(store: Store) -> None:
    with store.write() as tx:
        runs.insert_all(tx, [run(1), run(2, result=[]), run(3, result=0), run(4, result="")])
    with store.read() as tx:
        assert [stored.result for stored in select_all(tx, RunFilter())] == ["", 0, [], None]


def test_newest_runs_are_read_with_two_statements_however_many_were_skipped(store: Store) -> None:
    names = ("a", "b", "c")
    with store.write() as tx:
        runs.insert_all(tx, [run(n, deployment=name, state=RunState.FAILED) for n, name in enumerate(names[:2], 1)])
        runs.insert_all(tx, [run(n, deployment=names[n % 3], state=RunState.SKIPPED) for n in range(10, 40)])
    statements: list[str] = []
    with store.read() as tx:
        event.listen(tx.connection.engine, "before_cursor_execute", lambda *of: statements.append(of[2]))
        newest = last_runs.find_since(tx, "run-010")
    assert [(run.deployment, run.id, run.before and run.before.id) for run in newest] == [
        ("b", "run-037", "run-002"),
        ("c", "run-038", None),
        ("a", "run-039", "run-001"),
    ]
    assert len(statements) == 2


def test_waiting_runs_are_found_and_prefixes_match_literally(store: Store) -> None:
    with store.write() as tx:
        runs.insert_all(tx, [run(3), run(1), run(2, state=RunState.RUNNING)])
    with store.read() as tx:
        assert sorted(waiting.id for waiting in queues.find_startable(tx, NOW)) == ["run-001", "run-003"]
        assert runs.find_by_prefix(tx, "run-00%") == []
        assert runs.find_by_prefix(tx, "run_00") == []
        assert [match.id for match in runs.find_by_prefix(tx, "002")] == ["run-002"]
        assert queues.count_active(tx, ["nightly", "other"]) == {"nightly": ActiveRuns(active=3, waiting=2)}
        assert runs.counts(tx) == {RunState.PENDING: 2, RunState.RUNNING: 1}
        newest = last_runs.find(tx, "nightly")
        assert newest is not None
        assert newest.id == "run-003"


def test_a_run_is_not_queued_before_its_start_time(store: Store) -> None:
    minute = timedelta(minutes=1)
    waiting = [run(1, not_before=NOW + 2 * minute), run(2, not_before=NOW + minute), run(3)]
    over = run(4, not_before=NOW + minute / 2, state=RunState.CANCELLED)
    with store.write() as tx:
        runs.insert_all(tx, [*waiting, over])
    with store.read() as tx:
        assert runs.find(tx, "run-001") == waiting[0]
        for later, queued, next_start in (
            (timedelta(), ["run-003"], NOW + minute),
            (minute - timedelta.resolution, ["run-003"], NOW + minute),
            (minute, ["run-002", "run-003"], NOW + 2 * minute),
            (2 * minute, ["run-001", "run-002", "run-003"], None),
        ):
            assert sorted(queued_run.id for queued_run in queues.find_startable(tx, NOW + later)) == queued
            assert queues.next_change(tx, NOW + later) == next_start


def test_a_new_record_replaces_an_attempt_that_never_started(store: Store) -> None:
    first = Attempt(run_id=RunId("run-001"), number=1, nonce="aa", boot_id="b", state=RunState.LAUNCHING)
    second = replace(first, nonce="bb")
    with store.write() as tx:
        runs.insert_all(tx, [run()])
        assert run_transitions.claim(tx, [first]) == {"run-001"}
        runs.move(tx, first.run_id, expect=RunState.LAUNCHING, to=RunState.PENDING)
        assert run_transitions.claim(tx, [second]) == {"run-001"}
        assert run_transitions.start(tx, [second], NOW) == {"run-001"}
    with store.read() as tx:
        assert runs.attempts_of(tx, "run-001") == [replace(second, state=RunState.RUNNING, started_at=NOW)]


def test_conditions_and_findings_are_read_back_unchanged(store: Store) -> None:
    status = SourceStatus(
        repo="/r",
        ref=None,
        revision="r2",
        last_attempted_revision="r2",
        last_applied_revision="r1",
        conditions=(CONDITION,),
        findings=(FINDING,),
    )
    with store.write() as tx:
        assert source_status.find(tx) is None
        source_status.save(tx, replace(status, ref="main"))
        source_status.save(tx, status)
        inventory.save(tx, [entry()])
    with store.read() as tx:
        assert source_status.find(tx) == status
        assert inventory.entries(tx) == {"nightly": entry()}


def test_advancing_never_moves_a_cursor_back(store: Store) -> None:
    with store.write() as tx:
        inventory.save(tx, [entry()])
        inventory.advance_cursors(tx, ["nightly"], NOW - timedelta(hours=1))
        assert inventory.entries(tx)["nightly"].cursor == NOW
        inventory.advance_cursors(tx, ["nightly"], NOW + timedelta(hours=1))
        assert inventory.entries(tx)["nightly"].cursor == NOW + timedelta(hours=1)


def test_updating_keeps_the_cursor_and_saving_sets_it(store: Store) -> None:
    later = NOW + timedelta(hours=1)
    with store.write() as tx:
        inventory.save(tx, [entry()])
        inventory.update_keeping_cursor(tx, [entry(cursor=later, line=7)])
        updated = inventory.find(tx, "nightly")
        inventory.save(tx, [entry(cursor=later)])
        saved = inventory.find(tx, "nightly")
    assert updated == entry(line=7)
    assert saved == entry(cursor=later)


def test_a_removed_entry_is_inactive_until_it_is_saved_again(store: Store) -> None:
    with store.write() as tx:
        inventory.save(tx, [entry()])
        inventory.remove(tx, ["nightly"], NOW)
        assert inventory.entries(tx) == {}
        assert inventory.find(tx, "nightly") is None
        inventory.save(tx, [entry(line=5)])
        assert inventory.entries(tx) == {"nightly": entry(line=5)}


def test_the_task_tree_of_a_missing_run_is_not_saved(store: Store) -> None:
    tree = TaskTree(runs=(TaskRun(id=1, parent=None, kind="task", name="a", label="a-1", state="succeeded"),))
    with store.write() as tx:
        task_trees.save(tx, "nobody", 1, tree)
    with store.read() as tx:
        assert task_trees.find(tx, "nobody") == TaskTree()
