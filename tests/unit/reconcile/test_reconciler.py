"""A pass applies a revision of the source: errors stay local, uncertainty prunes nothing, no change writes nothing."""

import shutil
import sqlite3
from collections.abc import Callable, Collection
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from controller.errors import SourceError, StateError
from controller.model.status import Condition, ConditionType
from controller.reconcile.reconciler import PassResult
from controller.sources.directory.source import DirectorySource
from controller.store import Store, inventory, occurrences, passes, source_status
from tests.conftest import NOW
from tests.unit.reconcile.conftest import World, hourly

BROKEN = "name: [not closed\n"
HOUR = timedelta(hours=1)


def ready(world: World, name: str) -> Condition:
    [condition] = [found for found in world.entries()[name].conditions if found.type is ConditionType.READY]
    return condition


def test_declared_deployments_become_active(world: World) -> None:
    result = world.put(a=hourly("a"), b=hourly("b", suspend="true"))
    assert result.plan is not None
    assert [new.name for new in result.plan.create] == ["a", "b"]
    assert list(world.entries()) == ["a", "b"]
    assert list(world.projected) == ["a"]
    assert world.projected["a"].after == NOW
    assert result.status.last_applied_revision == result.status.revision != ""
    assert world.reported() == [("a", "Created"), ("b", "Created"), ("source", "Applied")]


def test_a_pass_with_nothing_new_writes_nothing(tmp_path: Path, world: World) -> None:
    world.put(a=hourly("a"))
    with closing(sqlite3.connect(tmp_path / "state.db")) as watcher:
        before = watcher.execute("PRAGMA data_version").fetchone()
        world.clock.turn(HOUR)
        assert world.put().plan is None
        assert world.put(a=hourly("a")).plan is None
        assert watcher.execute("PRAGMA data_version").fetchone() == before
        world.put(a=hourly("a", description="new"))
        assert watcher.execute("PRAGMA data_version").fetchone() != before


def test_a_restart_changes_nothing_and_records_no_events(world: World) -> None:
    world.put(a=hourly("a"), b=BROKEN)
    entries, reported = world.entries(), world.reported()
    world.projected.clear()
    world.clock.turn(HOUR)
    world.restart()
    world.put()
    assert (world.entries(), world.reported()) == (entries, reported)
    assert world.projected["a"].after == NOW


def test_a_broken_file_keeps_the_last_good_version_and_says_why(world: World) -> None:
    world.put(a=hourly("a"), b=hourly("b"))
    good = world.entries()["a"]
    revision = good.revision
    world.clock.turn(HOUR)
    result = world.put(a=BROKEN)
    kept = world.entries()["a"]
    assert (kept.document, kept.spec_digest, kept.cursor) == (good.document, good.spec_digest, good.cursor)
    assert kept.pinned == revision
    assert "a" in world.projected
    condition = ready(world, "a")
    assert (condition.is_true, condition.reason, condition.last_transition_time) == (
        False,
        "InvalidManifest",
        NOW + HOUR,
    )
    assert condition.message.startswith("deployments/a.yaml:2:1: ")
    assert ready(world, "b").is_true is True
    assert [(found.type, found.is_true, found.reason) for found in result.status.conditions] == [
        (ConditionType.READY, False, "InvalidManifest"),
        (ConditionType.STALLED, True, "InvalidManifest"),
    ]
    assert world.reported()[-2:] == [("a", "InvalidManifest"), ("source", "InvalidManifest")]


def test_a_broken_file_that_changes_does_not_move_the_transition_or_the_pin(world: World) -> None:
    world.put(a=hourly("a"))
    pinned = world.entries()["a"].revision
    world.clock.turn(HOUR)
    world.put(a=BROKEN)
    world.clock.turn(HOUR)
    world.put(a="- also\n- broken\n")
    assert ready(world, "a").last_transition_time == NOW + HOUR
    assert world.entries()["a"].pinned == pinned


def test_an_unrelated_change_does_not_report_a_broken_file_again(world: World) -> None:
    world.put(a=hourly("a"))
    world.put(a=BROKEN)
    before = world.reported()
    world.put(b=hourly("b"))
    assert world.reported()[len(before) :] == [("b", "Created")]


def test_a_repaired_file_recovers_with_its_cursor(world: World) -> None:
    world.put(a=hourly("a"))
    world.put(a=BROKEN)
    world.clock.turn(HOUR)
    world.put(a=hourly("a"))
    entry = world.entries()["a"]
    assert (entry.pinned, entry.cursor, ready(world, "a").is_true) == (None, NOW, True)
    assert ready(world, "a").last_transition_time == NOW + HOUR
    assert ("a", "Recovered") in world.reported()
    assert world.reported()[-1] == ("source", "Applied")


def test_an_invalid_document_does_not_affect_the_others(world: World) -> None:
    world.put(a=hourly("a") + "---\n" + hourly("b") + "---\n" + hourly("c"))
    world.put(a=hourly("a", description="new") + "---\nname: b\ncommand: 5\n---\n" + hourly("c"))
    entries = world.entries()
    assert entries["a"].document["description"] == "new"
    assert ready(world, "b").is_true is False
    assert entries["b"].document["command"] == ["true"]
    assert ready(world, "c").is_true is True


def test_deleted_documents_are_pruned(world: World) -> None:
    world.put(a=hourly("a"), b=hourly("b") + "---\n" + hourly("c"))
    world.put(a=None)
    assert list(world.entries()) == ["b", "c"]
    world.put(b=hourly("b"))
    assert list(world.entries()) == ["b"]
    assert list(world.projected) == ["b"]
    assert [event for event in world.reported() if event[1] == "Pruned"] == [("a", "Pruned"), ("c", "Pruned")]
    assert world.settled == [(("a",), True), (("c",), True)]


def test_a_missing_deployment_is_kept_while_a_new_file_is_broken(world: World) -> None:
    world.put(a=hourly("a"), b=hourly("b"))
    world.put(a=None, moved=BROKEN)
    assert list(world.entries()) == ["a", "b"]
    assert ready(world, "a").is_true is False
    world.put(moved=hourly("other"))
    assert list(world.entries()) == ["b", "other"]


def test_a_missing_deployment_is_kept_while_a_file_has_unknown_names(world: World) -> None:
    world.put(gone=hourly("gone"))
    world.put(gone=None, moved=hourly("new") + "---\ncommand: ['true']\n")
    message = "it may have moved into deployments/moved.yaml, which declares a deployment without a valid name"
    assert ready(world, "gone").message == message
    world.restart()
    world.put(other=hourly("other"))
    assert "gone" in world.entries()
    world.put(moved=hourly("new"))
    assert "gone" not in world.entries()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("name: weekly\ncommand: 5\n", id="a wrong type"),
        pytest.param("name: weekly\ncommand: [forecast]\nschedul: {}\n", id="an unknown key, and the name elsewhere"),
        pytest.param(hourly("weekly") + "---\nname: daily\ncommand: 5\n", id="two documents, both with a name"),
        pytest.param("name: weekly\ncommand: [a]\ndescription: a: b\ntimeout: 1h\n", id="no YAML after the name"),
        pytest.param('{"name": "weekly", "command" ["a"]}\n', id="no JSON after the name"),
        pytest.param("name: weekly\ncommand: [a, b\ntimeout: 1h\npriority: 1\n", id="a list that is not closed"),
    ],
)
def test_a_broken_file_whose_names_can_be_read_keeps_only_those(world: World, text: str) -> None:
    world.put(forecast=hourly("forecast"), weekly=hourly("weekly"))
    world.put(forecast=None, weekly=None, moved=text)
    assert list(world.entries()) == ["weekly"]
    assert "deployments/moved.yaml:" in ready(world, "weekly").message
    world.put()
    assert list(world.entries()) == ["weekly"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("name: [\n", "which cannot be parsed", id="broken from the start"),
        pytest.param("name: weekly\ncommand: [a, b\n", "which cannot be parsed", id="cut off"),
        pytest.param('name: weekly\ndescription: "x\n', "which cannot be parsed", id="a quote that is never closed"),
        pytest.param("name: weekly\na: b: c\n---\nx: 1\n", "which cannot be parsed", id="more documents"),
        pytest.param("name: weekly\n---\na: b: c\nx: 1\n", "which cannot be parsed", id="broken in the second"),
        pytest.param("- name: weekly\n  a: b: c\n- x: 1\n", "which cannot be parsed", id="a list"),
        pytest.param("name: weekly\n<<<<<<< a\nx: 1\n", "which cannot be parsed", id="an unfinished merge"),
        pytest.param("name: weekly\na: b: c\nname: daily\n", "which cannot be parsed", id="two names"),
        pytest.param("command: [a]\n", "which declares a deployment without a valid name", id="no name"),
        pytest.param("name: For ecast\ncommand: [a]\n", "which declares a deployment without a valid name", id="bad"),
        pytest.param("name: a\nname: b\n", "which declares a deployment without a valid name", id="a name twice"),
        pytest.param("name: a\nenv: {}\nx:\n  name: forecast\n", "which has errors", id="declared further in"),
    ],
)
def test_a_missing_deployment_is_kept_while_names_in_a_broken_file_are_unknown(
    world: World, text: str, why: str
) -> None:
    world.put(forecast=hourly("forecast"), other=hourly("other"))
    for _ in range(2):
        world.put(**({"forecast": None} if (world.root / "deployments/forecast.yaml").exists() else {}), moved=text)
        assert ready(world, "forecast").message == f"it may have moved into deployments/moved.yaml, {why}"
    world.put(moved=None)
    assert list(world.entries()) == ["other"]


def test_a_document_removed_from_a_valid_file_is_pruned_while_another_file_is_broken(world: World) -> None:
    world.put(a=hourly("a") + "---\n" + hourly("b"))
    world.put(a=hourly("a"), stranger=BROKEN)
    assert list(world.entries()) == ["a"]


def test_a_deployment_that_may_have_moved_into_a_broken_file_is_kept(world: World) -> None:
    world.put(a=hourly("a"), b=hourly("b"), c=hourly("c"))
    world.put(a=BROKEN)
    world.put(a=BROKEN + "---\n" + hourly("b"), b=None, c=None)
    assert set(world.entries()) == {"a", "b"}
    assert world.entries()["b"].reason == "InvalidManifest"
    world.put(a=hourly("a") + "---\n" + hourly("b"))
    assert all(entry.is_valid for entry in world.entries().values())


@pytest.mark.parametrize(
    "content",
    [
        pytest.param((hourly("b") + "---\n" + hourly("forecast")).encode("utf-16"), id="UTF-16"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n", id="an LFS pointer"),
        pytest.param(f"{hourly('b')}---\n{hourly('forecast')}{'# x' * 400_000}\n".encode(), id="too large"),
        pytest.param(None, id="a link"),
    ],
)
def test_a_missing_deployment_is_kept_while_a_recorded_file_is_unsearchable(
    world: World, content: bytes | None
) -> None:
    world.put(b=hourly("b"), forecast=hourly("forecast"))
    path = world.root / "deployments/b.yaml"
    if content is None:
        path.unlink()
        path.symlink_to("elsewhere.yaml")
    else:
        path.write_bytes(content)
    world.put(forecast=None)
    assert list(world.entries()) == ["b", "forecast"]
    assert str(ready(world, "forecast").message).startswith("it may have moved into deployments/b.yaml, which ")


def test_a_document_removed_from_a_file_that_has_errors_is_kept(world: World) -> None:
    world.put(a=hourly("a") + "---\n" + hourly("b"))
    world.put(a="name: a\ncommand: 5\n")
    assert list(world.entries()) == ["a", "b"]


def test_deployments_of_a_refused_file_are_kept(world: World) -> None:
    world.put(a=hourly("a"))
    path = world.root / "deployments" / "a.yaml"
    path.unlink()
    path.symlink_to("/etc/passwd")
    result = world.put()
    assert list(world.entries()) == ["a"]
    assert "leads outside the repository" in ready(world, "a").message
    assert [finding.code for finding in result.status.findings] == ["RefusedFile"]


def test_a_name_declared_twice_keeps_the_active_version(world: World) -> None:
    world.put(a=hourly("x"))
    world.put(b=hourly("x", description="other"))
    assert "description" not in world.entries()["x"].document
    assert ready(world, "x").is_true is False
    world.put(a=None)
    assert world.entries()["x"].document["description"] == "other"
    assert ready(world, "x").is_true is True


def test_moving_a_document_changes_only_its_location(world: World) -> None:
    world.put(a=hourly("a"))
    before = world.entries()["a"]
    world.clock.turn(HOUR)
    world.put(a=None, b="# a comment\n" + hourly("a"))
    after = world.entries()["a"]
    assert (after.file, after.line) == ("deployments/b.yaml", before.line + 1)
    assert (after.spec_digest, after.cursor, after.document) == (before.spec_digest, before.cursor, before.document)
    assert ready(world, "a").last_transition_time == NOW
    assert world.settled == []
    assert ("a", "Updated") not in world.reported()
    with world.store.read() as tx:
        assert passes.latest(tx)[0].counts == {"new": 0, "changed": 0, "pruned": 0, "kept": 0, "unchanged": 1}


def test_an_edit_outside_of_the_schedule_keeps_the_cursor(world: World) -> None:
    world.put(a=hourly("a"))
    world.clock.turn(HOUR)
    world.put(a=hourly("a", description="new", parameters="{x: 1}"))
    assert world.entries()["a"].cursor == NOW
    assert ready(world, "a").last_transition_time == NOW
    assert world.settled == []


@pytest.mark.parametrize("schedules", ["[{cron: '30 * * * *'}]", "[{cron: '0 * * * *', suspend: true}]"])
def test_an_edit_of_the_schedule_settles_the_old_one_and_resets_the_cursor(world: World, schedules: str) -> None:
    world.put(a=hourly("a"))
    world.clock.turn(HOUR + timedelta(minutes=5))
    world.put(a=f"name: a\ncommand: ['true']\nschedules: {schedules}\n")
    assert world.settled == [(("a",), False)]
    assert world.entries()["a"].cursor == NOW + HOUR + timedelta(minutes=5)
    with world.store.read() as tx:
        assert [found.scheduled_for for found in occurrences.find_newest(tx, "a", 10)] == [NOW + HOUR]


def test_deleting_and_adding_a_deployment_repeats_no_due_time(world: World) -> None:
    world.put(a=hourly("a"))
    world.clock.turn(HOUR)
    world.put(a=None)
    world.put(a=hourly("a"))
    with world.store.read() as tx:
        [only] = occurrences.find_newest(tx, "a", 10)
    assert (only.scheduled_for, only.reason) == (NOW + HOUR, "pruned")
    assert world.entries()["a"].cursor == NOW + HOUR


def test_an_unreadable_source_prunes_nothing(world: World) -> None:
    world.put(a=hourly("a"))
    entries = world.entries()
    shutil.rmtree(world.root / "deployments")
    world.clock.turn(HOUR)
    first = world.put()
    world.clock.turn(HOUR)
    world.put()
    assert first.error is not None
    assert world.entries() == entries
    condition = first.status.conditions[0]
    assert (condition.is_true, condition.reason, condition.last_transition_time) == (
        False,
        "SourceUnavailable",
        NOW + HOUR,
    )
    assert world.reported()[-1] == ("source", "SourceUnavailable")
    assert world.reported().count(("source", "SourceUnavailable")) == 1
    (world.root / "deployments").mkdir()
    world.put(a=hourly("a"))
    assert world.reported()[-1] == ("source", "Applied")
    assert world.entries() == entries


def test_after_a_restart_with_an_unreadable_source_deployments_are_active(world: World) -> None:
    world.put(a=hourly("a"))
    shutil.rmtree(world.root / "deployments")
    world.projected.clear()
    world.restart()
    assert world.put().error is not None
    assert list(world.projected) == ["a"]


def test_a_revision_is_applied_whole_or_not_at_all(world: World, store: Store) -> None:
    world.put(a=hourly("a"))
    reported = world.reported()
    with store.write() as tx:
        tx.connection.exec_driver_sql(
            "CREATE TRIGGER disk_full BEFORE UPDATE ON source BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    with pytest.raises(StateError, match="disk full"):
        world.put(a=None, b=hourly("b"))
    assert list(world.entries()) == ["a"]
    assert world.reported() == reported
    with store.write() as tx:
        tx.connection.exec_driver_sql("DROP TRIGGER disk_full")
    world.put()
    assert list(world.entries()) == ["b"]


def test_an_unavailable_source_is_recorded_once_the_state_can_be_written(world: World, store: Store) -> None:
    world.put(a=hourly("a"))
    (world.root / "deployments").rename(world.root / "away")
    with store.write() as tx:
        tx.connection.exec_driver_sql(
            "CREATE TRIGGER disk_full BEFORE UPDATE ON source BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    with pytest.raises(StateError, match="disk full"):
        world.reconciler.run_pass()
    with store.write() as tx:
        tx.connection.exec_driver_sql("DROP TRIGGER disk_full")
    assert world.reconciler.run_pass().error is not None
    assert ("source", "SourceUnavailable") in world.reported()
    with store.read() as tx:
        known = source_status.find(tx)
    assert known is not None
    assert known.conditions[0].reason == "SourceUnavailable"


def test_failed_garbage_collection_does_not_fail_the_pass(world: World, caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(DirectorySource):
        def collect(self, find_needed: Callable[[], Collection[str]]) -> None:  # noqa: ARG002
            raise SourceError("It is stuck.")

    world.restart(source=Stuck(world.root, path="deployments"))
    assert world.put(a=hourly("a")).error is None
    assert list(world.projected) == ["a"]
    assert "It is stuck." in str([record.__dict__ for record in caplog.records])


def test_a_recovery_is_in_the_history(world: World) -> None:
    world.put(a=hourly("a"))
    (world.root / "deployments").rename(world.root / "away")
    world.reconciler.run_pass()
    (world.root / "away").rename(world.root / "deployments")
    world.reconciler.run_pass()
    world.reconciler.run_pass(is_requested=True)
    with world.store.read() as tx:
        assert [found.reason for found in passes.latest(tx)] == ["Applied", "SourceUnavailable", "Applied"]


def test_the_findings_of_a_pass_are_stored(world: World) -> None:
    result = world.put(a=BROKEN)
    with world.store.read() as tx:
        assert source_status.find(tx) == result.status
        assert inventory.entries(tx) == {}
    assert [finding.file for finding in result.status.findings] == ["deployments/a.yaml"]


def test_an_invalid_project_changes_nothing_and_prunes_nothing(world: World) -> None:
    project = world.root / "controller.yaml"
    project.write_text("defaults: {timeout: 1h}\n", encoding="utf-8")
    world.put(a=hourly("a"), b=hourly("b"), c=hourly("c"))
    before = world.entries()
    assert before["a"].document["timeout"] == "1h"
    project.write_text("defaults: {timeout: soon}\n", encoding="utf-8")
    world.put(a=hourly("a", description="edited"), b="# nothing any more\n", c=None, d=hourly("d"))
    after = world.entries()
    assert {name: entry.document for name, entry in after.items()} == {
        name: entry.document for name, entry in before.items()
    }
    for name in ("a", "b", "c"):
        assert ready(world, name).message.startswith("controller.yaml:1:21: ")
    project.write_text("defaults: {timeout: 2h}\n", encoding="utf-8")
    world.put()
    assert {name: entry.document["timeout"] for name, entry in world.entries().items()} == {"a": "2h", "d": "2h"}


def ready_message(result: PassResult) -> str:
    return next(found.message for found in result.status.conditions if found.type is ConditionType.READY)


def test_the_ready_condition_says_what_happens_to_the_valid_files(world: World) -> None:
    world.put(a=hourly("a"), b=hourly("b"), c=hourly("c"))
    message = ready_message(world.put(a=BROKEN))
    assert message.startswith("1 invalid file; everything else is applied: deployments/a.yaml:2:1: ")
    message = ready_message(world.put(a=BROKEN + "---\n" + hourly("b"), b=None, c=None))
    outcome = "everything else is applied, but 1 deployment may have moved there and is kept"
    assert message.startswith(f"1 invalid file; {outcome}: deployments/a.yaml")
    (world.root / "controller.yaml").write_text("defaults: {timeout: soon}\n", encoding="utf-8")
    assert ready_message(world.put()).startswith("1 invalid file; nothing is applied: controller.yaml:1:21: ")
    world.is_atomic = True
    world.restart()
    (world.root / "controller.yaml").unlink()
    message = ready_message(world.put(d=hourly("d")))
    assert message.startswith("1 invalid file; nothing is applied: deployments/a.yaml")


def test_an_undeclared_environment_changes_nothing(world: World) -> None:
    world.environment = "prod"
    world.restart()
    world.put(a=hourly("a", environments="{prod: {timeout: 4h}}"))
    before = world.entries()["a"]
    assert before.document["timeout"] == "4h"
    assert {event.environment for event in world.events()} == {"prod"}
    result = world.put(a=hourly("a"), b=hourly("b"))
    assert [finding.code for finding in result.status.findings] == ["UnknownEnvironment"]
    assert world.entries()["a"].document == before.document
    assert set(world.entries()) == {"a"}


def test_a_revision_of_another_project_changes_nothing(world: World) -> None:
    world.project_name = "sales"
    world.restart()
    (world.root / "controller.yaml").write_text("project: sales\n", encoding="utf-8")
    assert world.put(a=hourly("a")).status.findings == ()
    (world.root / "controller.yaml").write_text("queues: {}\nproject: hr\n", encoding="utf-8")
    result = world.put(b=hourly("b"))
    [finding] = result.status.findings
    assert (finding.code, finding.file, finding.line) == ("OtherProject", "controller.yaml", 2)
    assert finding.message == "the project is hr, but the controller runs the project sales"
    assert set(world.entries()) == {"a"}
    assert result.status.project_name == "sales"
    (world.root / "controller.yaml").unlink()
    assert world.put().status.findings == ()
    assert set(world.entries()) == {"a", "b"}


def test_the_findings_of_a_revision_are_logged_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def logged() -> int:
        count = sum(record.message == "Manifest finding" for record in caplog.records)
        caplog.clear()
        return count

    world.put(a="name: a\ncommand: [x]\nschdule: {}\n")
    assert logged() == 1
    assert world.reconciler.run_pass(is_requested=True).status.findings
    assert logged() == 0
    world.put(b="name: b\ncommand: [x]\nschdule: {}\n")
    assert logged() == 2
