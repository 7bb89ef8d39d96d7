"""Lists and details of deployments and runs: sync status, health, order, and lookup by id."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from controller.errors import NotFoundError
from controller.model.findings import Finding
from controller.model.notifications import DeadlineKind, DeadlineRecord, MissedDeadline
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.model.status import Condition, ConditionStatus, ConditionType, InventoryEntry, SourceStatus, Withheld
from controller.model.triggers import WatchProblem
from controller.queries.deployment_details import show_deployment
from controller.queries.deployment_list import deployment_rows
from controller.queries.deployment_rows import summarize
from controller.queries.deployments import Health, Rank, Sync, list_deployments, rank
from controller.queries.fire_timeline import NOTHING
from controller.queries.overview import overview
from controller.queries.runs import find_run, list_runs, stored_states
from controller.queries.withheld_rows import group_withheld
from controller.runs.ids import RunIds
from controller.store import Store, deadlines, inventory, last_runs, runs, seen_files, source_status
from controller.store.run_search import RunFilter
from tests.conftest import NOW
from tests.postgresql import BOTH_DATABASES

HOUR = timedelta(hours=1)


def condition(status: bool, reason: str = "Applied") -> Condition:
    text = ConditionStatus(str(status))
    return Condition(type=ConditionType.READY, status=text, reason=reason, message="", last_transition_time=NOW)


def entry(name: str, *, is_valid: bool = True, **document: object) -> InventoryEntry:
    return InventoryEntry(
        name=name,
        file=f"deployments/{name}.yaml",
        line=1,
        document={"name": name, "command": ["true"], **document},
        spec_digest="sha256:1",
        revision="r1",
        cursor=NOW,
        conditions=(condition(is_valid, "Applied" if is_valid else "InvalidManifest"),),
    )


def source(**changes: object) -> SourceStatus:
    status = SourceStatus(
        repo="/r",
        ref=None,
        revision="r1",
        last_attempted_revision="r1",
        last_applied_revision="r1",
        conditions=(condition(True),),
    )
    return replace(status, **changes)  # type: ignore[arg-type]


def run(number: int, deployment: str, state: RunState) -> Run:
    return Run(
        id=RunId(f"0000-{number:04}"),
        deployment=deployment,
        state=state,
        trigger=Trigger.MANUAL,
        created_at=NOW,
        revision="r1",
        file="f",
        spec_digest="sha256:1",
    )


def views(store: Store) -> dict[str, tuple[Sync, Health]]:
    with store.read() as tx:
        return {view.name: (view.sync, view.health) for view in list_deployments(tx, NOW)}


HEALTH = {
    RunState.PENDING: Health.RUNNING,
    RunState.LAUNCHING: Health.RUNNING,
    RunState.RUNNING: Health.RUNNING,
    RunState.SUCCEEDED: Health.HEALTHY,
    RunState.FAILED: Health.DEGRADED,
    RunState.TIMED_OUT: Health.DEGRADED,
    RunState.CRASHED: Health.DEGRADED,
    RunState.CANCELLED: Health.HEALTHY,
    RunState.SKIPPED: Health.DEGRADED,
}


@BOTH_DATABASES
@pytest.mark.parametrize(("state", "health"), HEALTH.items())
def test_health_is_that_of_the_last_run(store: Store, state: RunState, health: Health) -> None:
    with store.write() as tx:
        source_status.save(tx, source())
        inventory.save(tx, [entry("a")])
        runs.insert_all(tx, [run(1, "a", RunState.FAILED), run(2, "a", state)])
    assert views(store) == {"a": (Sync.SYNCED, health)}


@BOTH_DATABASES
@pytest.mark.parametrize("state", [state for state in HEALTH if state is not RunState.SKIPPED])
def test_skipped_runs_do_not_change_the_health(store: Store, state: RunState) -> None:
    skipped = [run(number, "a", RunState.SKIPPED) for number in (1, 3, 4)]
    with store.write() as tx:
        source_status.save(tx, source())
        inventory.save(tx, [entry("a"), entry("b")])
        runs.insert_all(tx, [*skipped, run(2, "a", state), run(5, "b", RunState.SKIPPED)])
    with store.read() as tx:
        overall = overview(tx, summarize(list_deployments(tx, NOW)), NOW, NOTHING, Path())
    assert views(store) == {"a": (Sync.SYNCED, HEALTH[state]), "b": (Sync.SYNCED, Health.HEALTHY)}
    failures = [(group.title, group.items[0].run_id) for group in overall.attention]
    title = f"a: the last run {state.replace('_', ' ')}, and later ones were skipped"
    assert failures == ([(title, "0000-0002")] if HEALTH[state] is Health.DEGRADED else [])


@BOTH_DATABASES
def test_the_overview_counts_skipped_runs_neither_as_successes_nor_as_failures(store: Store) -> None:
    ids = RunIds()
    with store.write() as tx:
        ended = (RunState.SUCCEEDED, RunState.FAILED, RunState.SKIPPED, RunState.SKIPPED)
        runs.insert_all(tx, [replace(run(0, "a", state), id=ids.new(NOW)) for state in ended])
    with store.read() as tx:
        overall = overview(tx, summarize([]), NOW, NOTHING, Path())
    assert (overall.succeeded, overall.failed, sum(slot.other for slot in overall.slots)) == (1, 1, 2)


@BOTH_DATABASES
def test_lists_have_problems_first_then_running_deployments(store: Store) -> None:
    finding = Finding(code="X", message="bad", file="f.yaml", line=3, column=1, deployment="never")
    with store.write() as tx:
        source_status.save(tx, source(findings=(finding,)))
        inventory.save(
            tx,
            [entry("good"), entry("bad", is_valid=False), entry("failed"), entry("busy"), entry("off", suspend=True)],
        )
        runs.insert_all(tx, [run(1, "failed", RunState.FAILED), run(2, "busy", RunState.RUNNING)])
    assert list(views(store).items()) == [
        ("bad", (Sync.INVALID, Health.HEALTHY)),
        ("never", (Sync.INVALID, Health.UNKNOWN)),
        ("failed", (Sync.SYNCED, Health.DEGRADED)),
        ("busy", (Sync.SYNCED, Health.RUNNING)),
        ("off", (Sync.SYNCED, Health.SUSPENDED)),
        ("good", (Sync.SYNCED, Health.HEALTHY)),
    ]


def ended(number: int, deployment: str, state: RunState, reason: str | None = None) -> Run:
    return replace(run(number, deployment, state), reason=reason, finished_at=NOW + timedelta(minutes=number))


@BOTH_DATABASES
def test_failing_deployments_rank_before_withheld_ones_by_consecutive_failures(store: Store) -> None:
    withheld = Withheld(reason="3 of 8 deployments", digest="d", deployments=("w1", "w2", "w3"), plan_digest="p")
    kept = [replace(entry(name), conditions=(condition(False, "PruneWithheld"),)) for name in withheld.deployments]
    states = {
        "once": [RunState.SUCCEEDED, RunState.FAILED],
        "thrice": [RunState.FAILED, RunState.SUCCEEDED, RunState.FAILED, RunState.SKIPPED, RunState.TIMED_OUT],
        "again": [RunState.FAILED, RunState.CRASHED, RunState.RUNNING],
        "stopped": [RunState.FAILED, RunState.CANCELLED],
        "newer": [RunState.CANCELLED, RunState.FAILED],
    }
    history = [(name, state) for name, names in states.items() for state in names]
    with store.write() as tx:
        source_status.save(tx, source(withheld=withheld))
        inventory.save(tx, [*kept, *[entry(name) for name in states]])
        runs.insert_all(tx, [ended(number, name, state, f"{number}") for number, (name, state) in enumerate(history)])
    with store.read() as tx:
        listed = list_deployments(tx, NOW)
        overall = overview(tx, summarize(listed), NOW, NOTHING, Path())
    assert [view.name for view in listed] == ["again", "thrice", "newer", "once", "w1", "w2", "w3", "stopped"]
    grouped = ["again", "thrice", "newer", "once", "w1 and 2 more", "stopped"]
    assert [view.name for view in group_withheld(listed)] == grouped
    assert [(group.title, group.cause, group.since) for group in overall.attention] == [
        ("again: the last 2 runs failed", "8", NOW + timedelta(minutes=7)),
        ("thrice: the last 2 runs failed", "6", NOW + timedelta(minutes=4)),
        ("newer: the last run failed", "13", NOW + timedelta(minutes=13)),
        ("once: the last run failed", "1", NOW + timedelta(minutes=1)),
        ("3 deletions are waiting for approval", "3 of 8 deployments.", None),
    ]


@BOTH_DATABASES
def test_a_run_that_waits_beyond_the_next_due_time_is_late(store: Store) -> None:
    hourly = [{"cron": "0 * * * *", "timezone": "UTC"}]
    waiting = [
        replace(run(1, "late", RunState.PENDING), scheduled_for=NOW - HOUR, created_at=NOW - HOUR),
        replace(run(2, "soon", RunState.PENDING), scheduled_for=NOW),
        replace(run(3, "again", RunState.PENDING), scheduled_for=NOW - 9 * HOUR, created_at=NOW),
        replace(run(4, "filled", RunState.PENDING), scheduled_for=NOW - HOUR, created_at=NOW - HOUR, backfill_id="b"),
        replace(
            run(5, "window", RunState.PENDING),
            scheduled_for=NOW - HOUR,
            created_at=NOW - HOUR,
            not_before=NOW + HOUR,
        ),
    ]
    names = ("again", "filled", "good", "late", "soon", "window")
    with store.write() as tx:
        source_status.save(tx, source())
        inventory.save(tx, [entry(name, schedules=hourly) for name in names])
        runs.insert_all(tx, waiting)
    with store.read() as tx:
        listed = list_deployments(tx, NOW)
        overall = overview(tx, summarize(listed), NOW, NOTHING, Path())
    assert [(view.name, rank(view)) for view in listed] == [
        ("late", Rank.LATE),
        ("again", Rank.RUNNING),
        ("filled", Rank.RUNNING),
        ("soon", Rank.RUNNING),
        ("window", Rank.RUNNING),
        ("good", Rank.HEALTHY),
    ]
    assert [item.title for item in overall.attention] == ["late: a run is late"]


@BOTH_DATABASES
def test_a_missed_deadline_is_a_condition_and_needs_attention(store: Store) -> None:
    hourly = [{"cron": "0 * * * *", "timezone": "UTC"}]
    waiting = [replace(run(1, "a", RunState.PENDING), scheduled_for=NOW - HOUR)]
    late = MissedDeadline(
        deployment="b", kind=DeadlineKind.START_WITHIN, due_time=NOW - HOUR, deadline=NOW, since=NOW, reason="it waits"
    )
    overdue = replace(late, kind=DeadlineKind.SUCCESS_EVERY, due_time=None, reason="")
    records = [
        DeadlineRecord(deployment="b", kind=miss.kind, length=HOUR, checked_at=NOW, miss=miss)
        for miss in (late, overdue)
    ]
    with store.write() as tx:
        source_status.save(tx, source())
        inventory.save(tx, [entry(name, schedules=hourly, expect={"start_within": "3h"}) for name in "ab"])
        runs.insert_all(tx, waiting)
        deadlines.save(tx, records)
    with store.read() as tx:
        listed = list_deployments(tx, NOW)
        attention = overview(tx, summarize(listed), NOW, NOTHING, Path()).attention
        detail = show_deployment(tx, "b", NOW)
    assert [(view.name, rank(view)) for view in listed] == [("b", Rank.LATE), ("a", Rank.RUNNING)]
    missed = detail.conditions[1:]
    conditions = [(each.type, each.status, each.reason, each.last_transition_time) for each in missed]
    assert conditions == [("Late", "True", "NotStarted", NOW), ("Overdue", "True", "NoSuccess", NOW)]
    assert detail.conditions == listed[0].conditions
    assert [(item.title, item.cause, item.since) for item in attention] == [
        ("b: a run is late", late.message, NOW),
        ("b is overdue", "No run has succeeded by 2026-06-01 12:00:00 UTC.", NOW),
    ]


@BOTH_DATABASES
def test_a_deployment_whose_upstream_or_folder_is_missing_is_a_problem(store: Store) -> None:
    stalled = replace(condition(True, "UpstreamMissing"), type=ConditionType.STALLED)
    problem = WatchProblem(deployment="files", path="/srv", reason="FolderMissing", message="It is gone.", since=NOW)
    paused = replace(entry("paused", suspend=True), conditions=(condition(True), stalled))
    waiting = [replace(entry(name), conditions=(condition(True), stalled)) for name in ("after", "busy")]
    with store.write() as tx:
        source_status.save(tx, source())
        inventory.save(tx, [entry("files"), entry("good"), paused, *waiting])
        runs.insert_all(tx, [run(1, "busy", RunState.RUNNING)])
        seen_files.replace_problems(tx, [problem])
    with store.read() as tx:
        views = list_deployments(tx, NOW)
        detail = show_deployment(tx, "files", NOW)
        rows = {row.view.name: row for row in deployment_rows(tx, views, source(), lambda _: ())}
    assert [(view.name, view.health, view.state) for view in views] == [
        ("after", Health.DEGRADED, "failing"),
        ("busy", Health.RUNNING, "failing"),
        ("files", Health.DEGRADED, "failing"),
        ("paused", Health.SUSPENDED, "suspended"),
        ("good", Health.HEALTHY, "ok"),
    ]
    assert (detail.health, detail.state) == (Health.DEGRADED, "failing")
    assert (rows["files"].state, rows["files"].why) == ("failing", "FolderMissing: It is gone.")


@BOTH_DATABASES
def test_streaks_of_all_deployments_are_one_statement(store: Store) -> None:
    names = [f"d{number:03}" for number in range(600)]
    with store.write() as tx:
        source_status.save(tx, source())
        inventory.save(tx, [entry(name) for name in names])
        runs.insert_all(tx, [ended(number, name, RunState.FAILED) for number, name in enumerate(names * 2)])
    with store.read() as tx:
        statements: list[str] = []

        def record(*arguments: Any) -> None:
            statements.append(arguments[2])

        event.listen(tx.connection, "before_cursor_execute", record)
        newest = last_runs.find_all(tx)
        event.remove(tx.connection, "before_cursor_execute", record)
    assert {last.streak.count for last in newest.values() if last.streak} == {2}
    assert len(newest) == 600
    assert len(statements) == 2


@pytest.mark.parametrize(
    ("changes", "sync"),
    [
        ({}, Sync.SYNCED),
        ({"last_attempted_revision": "r2"}, Sync.OUT_OF_SYNC),
        ({"conditions": (condition(False, "SourceUnavailable"),)}, Sync.UNKNOWN),
        ({"conditions": (condition(False, "InvalidManifest"),)}, Sync.SYNCED),
    ],
)
def test_sync_compares_the_applied_with_the_attempted_revision(
    store: Store, changes: dict[str, object], sync: Sync
) -> None:
    with store.write() as tx:
        source_status.save(tx, source(**changes))
        inventory.save(tx, [entry("a")])
    assert views(store)["a"][0] is sync


@BOTH_DATABASES
def test_details_have_the_next_fire_times_and_the_revision(store: Store) -> None:
    schedules = [{"id": "x", "cron": "0 * * * *"}, {"id": "y", "cron": "30 * * * *", "suspend": True}]
    with store.write() as tx:
        source_status.save(tx, source())
        inventory.save(tx, [replace(entry("a", schedules=schedules), pinned="r0"), entry("b", suspend=True)])
    with store.read() as tx:
        detail = show_deployment(tx, "a", NOW)
        assert show_deployment(tx, "b", NOW).next_fire_time is None
    assert detail.next_fire_time == NOW + HOUR
    assert detail.revision == "r0"
    assert [(schedule.id, len(schedule.fire_times)) for schedule in detail.schedules] == [("x", 5), ("y", 0)]


@BOTH_DATABASES
def test_an_unreadable_document_still_has_a_row(store: Store) -> None:
    with store.write() as tx:
        source_status.save(tx, source())
        inventory.save(tx, [entry("a", command=5)])
    with store.read() as tx:
        assert [view.name for view in list_deployments(tx, NOW)] == ["a"]
        assert show_deployment(tx, "a", NOW).schedules == ()


@BOTH_DATABASES
def test_an_unknown_deployment_is_not_found(store: Store) -> None:
    with store.read() as tx, pytest.raises(NotFoundError, match="'x'"):
        show_deployment(tx, "x", NOW)


@BOTH_DATABASES
def test_a_run_is_found_by_a_unique_part_of_its_id(store: Store) -> None:
    with store.write() as tx:
        runs.insert_all(tx, [run(1, "a", RunState.FAILED), run(2, "a", RunState.LAUNCHING)])
    with store.read() as tx:
        assert (found := find_run(tx, "0002")).id == run(2, "a", RunState.PENDING).id
        assert found.state is RunState.PENDING
        assert find_run(tx, "0000-0001").state == "failed"
        for part in ("0000", "", "%", "9"):
            with pytest.raises(NotFoundError):
                find_run(tx, part)
        assert [view.state for view in list_runs(tx, RunFilter(), NOW)] == ["pending", "failed"]


def test_launching_runs_are_shown_and_searched_as_pending() -> None:
    assert {state for state in RunState if state.public is not state} == {RunState.LAUNCHING}
    for state in RunState:
        assert state in stored_states(state.public)
