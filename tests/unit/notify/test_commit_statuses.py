"""Which commit statuses are written to the outbox: one for each commit and result, with the evaluation of events."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event

from controller.errors import NotFoundError
from controller.manifests.active_deployments import ActiveDeployments
from controller.model.commit_statuses import CommitStatusSettings, Provider
from controller.model.findings import Finding, Severity
from controller.model.notifications import Message, MessageState, NotifySettings
from controller.model.policies import EnvSecret
from controller.model.python_environments import PythonEnvironment, PythonState
from controller.model.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    Event,
    EventSeverity,
    InventoryEntry,
    SourceStatus,
)
from controller.notify.commit_statuses import MAX_DESCRIPTION, CommitStatuses
from controller.notify.evaluation import Evaluator
from controller.notify.retention import MessageRetention
from controller.runs.ids import RunIds
from controller.store import Store, events, inventory, messages, python_environments, source_status
from tests.conftest import NOW
from tests.unit.notify.kills import kill_between_statements

FIRST, SECOND, THIRD = ("a" * 40, "b" * 40, "c" * 40)
DECLARED = CommitStatusSettings(provider=Provider.GITHUB, token=EnvSecret(env="TOKEN"))
APPLIED = ("True", "Applied", "Applied it.")
ERRORS = "1 invalid file; everything else is applied: deployments/a.yaml:3:1: unknown key `x`"
INVALID = ("False", "InvalidManifest", ERRORS)


class Desk:
    """A state, the passes that a test records in it, and the evaluation of them."""

    def __init__(self, directory: Path) -> None:
        self.store = Store.open(directory / "state.db")
        self.settings = NotifySettings(commit_status=DECLARED)
        self.now = NOW
        self.ids = RunIds()
        self.restart()

    def restart(self, public_url: str | None = None) -> None:
        """Start another controller with this state."""
        self.statuses = CommitStatuses(
            lambda: self.settings, self.ids.new, repository="https://github.com/acme/flows", public_url=public_url
        )
        self.evaluator = Evaluator(
            self.store,
            ActiveDeployments(),
            settings=lambda: self.settings,
            new_id=self.ids.new,
            collectors=[self.statuses],
        )

    def record_pass(
        self,
        commit: str,
        ready: tuple[str, str, str] = APPLIED,
        *,
        attempted: str | None = None,
        prefix: str = "main@sha1:",
        **more: Any,
    ) -> None:
        """Record the status of the source after a pass, as the reconciler does."""
        status, reason, text = ready
        condition = Condition(
            type=ConditionType.READY,
            status=ConditionStatus(status),
            reason=reason,
            message=text,
            last_transition_time=self.now,
        )
        source = SourceStatus(
            repo="/srv/flows",
            ref="main",
            revision=f"{prefix}{commit}",
            last_attempted_revision=f"{prefix}{attempted or commit}",
            last_applied_revision=f"{prefix}{commit}",
            conditions=(condition,),
        )
        with self.store.write() as tx:
            source_status.save(tx, replace(source, **more))

    def record_event(self) -> None:
        """Record an event, as every change of the conditions does."""
        event = Event(time=self.now, severity=EventSeverity.INFO, reason="Applied", message="It.", about="source")
        with self.store.write() as tx:
            events.append(tx, [event])

    def record_python(self, state: PythonState, message: str = "") -> None:
        """Record the state of the Python environment of a deployment, with its event."""
        with self.store.write() as tx:
            entry = InventoryEntry(
                name="report",
                file="deployments/a.yaml",
                line=1,
                document={"name": "report"},
                spec_digest="x",
                revision=f"main@sha1:{FIRST}",
                cursor=self.now,
                python="request",
            )
            inventory.save(tx, [entry])
            if python_environments.find(tx, "request") is None:
                environment = PythonEnvironment(
                    request="request",
                    declared_at="requirements.txt",
                    state=state,
                    reason="Building",
                    message=message,
                    created_at=self.now,
                )
                python_environments.insert_new(tx, environment)
            python_environments.change(tx, "request", state=state.value, message=message)
        self.record_event()

    def evaluate(self) -> list[tuple[str, str]]:
        """Evaluate, and return the commit and the result of each status in the outbox, oldest first."""
        self.now += timedelta(seconds=1)
        self.evaluator.evaluate(self.now)
        return [(str(each.payload["commit"]), str(each.payload["state"])) for each in self.outbox()]

    def outbox(self) -> list[Message]:
        with self.store.read() as tx:
            return messages.latest(tx, 100)[::-1]

    @property
    def last(self) -> Message:
        return self.outbox()[-1]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()


def error_at(line: int) -> Finding:
    return Finding(code="UnknownKey", message="unknown key `x`", file="deployments/a.yaml", line=line, column=1)


def test_an_applied_commit_is_a_success(desk: Desk) -> None:
    desk.record_pass(FIRST)
    assert desk.evaluate() == [(FIRST, "success")]
    message = desk.last
    assert (message.channel, message.state) == ("commit-status", "commit_status")
    assert message.delivery is MessageState.WAITING
    assert (message.title, message.body) == ("Commit aaaaaaaaaaaa: success", "Applied")
    assert message.payload == {
        "commit": FIRST,
        "state": "success",
        "context": "controller",
        "ref": "main",
        "target_url": None,
        "repository": "https://github.com/acme/flows",
    }


def test_a_commit_with_errors_is_a_failure_with_their_number_and_a_link(desk: Desk) -> None:
    desk.restart("https://flows.example.org/")
    warning = replace(error_at(9), severity=Severity.WARNING)
    desk.record_pass(FIRST, INVALID, findings=(error_at(3), warning, error_at(7)))
    assert desk.evaluate() == [(FIRST, "failure")]
    assert desk.last.body == f"2 errors: {ERRORS}"
    assert desk.last.payload["target_url"] == "https://flows.example.org/source"


def test_a_description_fits_every_server(desk: Desk) -> None:
    desk.record_pass(FIRST, ("False", "InvalidManifest", "ü" * 500), findings=(error_at(1),))
    desk.evaluate()
    assert len(desk.last.body) == MAX_DESCRIPTION
    assert desk.last.body.startswith("1 error: üü")


def test_a_commit_whose_deletions_wait_for_approval_is_a_failure(desk: Desk) -> None:
    desk.record_pass(FIRST, ("False", "PruneWithheld", "Applied it, except for its deletions."))
    assert desk.evaluate() == [(FIRST, "failure")]
    assert desk.last.body == "Applied, except for its deletions, which wait for approval"


def test_a_commit_that_cannot_be_read_is_an_error(desk: Desk) -> None:
    desk.record_pass(FIRST)
    desk.evaluate()
    desk.record_pass(FIRST, ("False", "SourceUnavailable", "git could not read it."), attempted=SECOND)
    assert desk.evaluate() == [(FIRST, "success"), (SECOND, "error")]
    assert desk.last.body == "The commit can't be read: git could not read it."


def test_a_server_that_is_unreachable_changes_no_status(desk: Desk) -> None:
    desk.record_pass(FIRST)
    desk.evaluate()
    desk.record_pass(FIRST, ("False", "Unreachable", "The server could not be reached."))
    desk.record_event()
    assert desk.evaluate() == [(FIRST, "success")]


def test_a_commit_is_pending_until_its_python_environments_are_built(desk: Desk) -> None:
    desk.record_pass(FIRST)
    desk.record_python(PythonState.BUILDING)
    assert desk.evaluate() == [(FIRST, "pending")]
    assert desk.last.body == "The Python environment of 1 deployment is being built"
    desk.record_python(PythonState.FAILED, "numpy 9 does not exist.")
    assert desk.evaluate()[1:] == [(FIRST, "failure")]
    assert desk.last.body == "The Python environment of 1 deployment can't be built: numpy 9 does not exist."
    desk.record_python(PythonState.READY)
    assert desk.evaluate()[2:] == [(FIRST, "success")]


@pytest.mark.parametrize("restarts", [False, True])
def test_each_result_of_a_commit_is_written_once(desk: Desk, restarts: bool) -> None:
    desk.record_pass(FIRST)
    desk.evaluate()
    for _ in range(3):
        desk.record_pass(FIRST)
        desk.record_event()
        if restarts:
            desk.restart()
        assert desk.evaluate() == [(FIRST, "success")]


def test_a_newer_status_supersedes_one_that_waits_and_is_not_sent_before_it_would_have_been(desk: Desk) -> None:
    desk.record_pass(FIRST)
    desk.evaluate()
    later = desk.now + timedelta(minutes=10)
    with desk.store.write() as tx:
        messages.update_delivery(tx, replace(desk.last, not_before=later, attempts=3, error="503"))
    desk.record_pass(SECOND)
    desk.evaluate()
    assert [each.delivery for each in desk.outbox()] == [MessageState.SUPERSEDED, MessageState.WAITING]
    assert desk.last.not_before == later


def test_a_status_that_was_sent_is_not_superseded(desk: Desk) -> None:
    desk.record_pass(FIRST)
    desk.evaluate()
    with desk.store.write() as tx:
        messages.update_delivery(tx, replace(desk.last, delivery=MessageState.SENT))
    desk.record_pass(SECOND)
    desk.evaluate()
    assert [each.delivery for each in desk.outbox()] == [MessageState.SENT, MessageState.WAITING]


def test_a_commit_that_was_replaced_before_the_evaluation_has_no_status(desk: Desk) -> None:
    desk.record_pass(FIRST)
    desk.record_pass(SECOND)
    assert desk.evaluate() == [(SECOND, "success")]


def test_a_commit_that_is_active_again_gets_its_status_again(desk: Desk) -> None:
    for commit in (FIRST, SECOND, FIRST):
        desk.record_pass(commit)
        desk.evaluate()
    assert desk.evaluate() == [(FIRST, "success"), (SECOND, "success"), (FIRST, "success")]


def test_a_kill_between_any_two_statements_loses_no_status_and_writes_none_twice(desk: Desk) -> None:
    desk.record_pass(FIRST)
    desk.evaluate()
    desk.record_pass(SECOND)

    def check() -> None:
        assert [each.delivery for each in desk.outbox()] == [MessageState.WAITING]

    assert kill_between_statements(desk.store, desk.evaluate, check) > 5
    assert desk.evaluate() == [(FIRST, "success"), (SECOND, "success")]
    assert [each.delivery for each in desk.outbox()] == [MessageState.SUPERSEDED, MessageState.WAITING]


def test_an_evaluation_without_news_reads_little_and_writes_nothing(desk: Desk) -> None:
    desk.record_pass(FIRST)
    desk.evaluate()
    desk.evaluate()
    statements: list[str] = []
    sqlalchemy_event.listen(desk.store._writer, "before_cursor_execute", lambda *args: statements.append(args[2]))
    with desk.store.write() as tx:
        assert desk.statuses.collect(tx, desk.now) == []
    assert [each.split()[0] for each in statements] == ["SELECT", "SELECT"]


def test_nothing_is_written_for_a_directory_a_first_pass_or_without_the_section(desk: Desk) -> None:
    assert desk.evaluate() == []
    desk.record_pass("d" * 64, prefix="dir@sha256:")
    assert desk.evaluate() == []
    desk.settings = NotifySettings()
    desk.record_pass(FIRST)
    assert desk.evaluate() == []


def test_the_section_is_used_as_soon_as_it_is_declared_and_when_it_changes(desk: Desk) -> None:
    desk.settings = NotifySettings()
    desk.record_pass(FIRST)
    desk.evaluate()
    desk.settings = NotifySettings(commit_status=DECLARED)
    desk.evaluate()
    desk.settings = NotifySettings(commit_status=replace(DECLARED, context="gitops"))
    desk.evaluate()
    assert [each.payload["context"] for each in desk.outbox()] == ["controller", "gitops"]
    desk.settings = NotifySettings(commit_status=replace(DECLARED, context="gitops", url="https://github.com/b/c"))
    desk.evaluate()
    assert desk.last.payload["repository"] == "https://github.com/b/c"


def test_the_default_context_names_the_environment(desk: Desk) -> None:
    desk.record_pass(FIRST, environment="prod")
    desk.evaluate()
    assert desk.last.payload["context"] == "controller/prod"


def test_a_commit_that_is_followed_by_its_id_has_no_ref(desk: Desk) -> None:
    desk.record_pass(FIRST, prefix="sha1:")
    assert desk.evaluate() == [(FIRST, "success")]
    assert desk.last.payload["ref"] is None


def test_the_last_status_outlives_retention_so_it_is_not_sent_again(desk: Desk) -> None:
    for commit in (FIRST, SECOND):
        desk.record_pass(commit)
        desk.evaluate()
        with desk.store.write() as tx:
            messages.update_delivery(tx, replace(desk.last, delivery=MessageState.SENT))
    desk.now += timedelta(days=40)
    MessageRetention(desk.store).sweep(desk.now)
    desk.restart()
    assert desk.evaluate() == [(SECOND, "success")]


def test_a_test_sends_the_current_status_and_does_not_count_as_a_status(desk: Desk) -> None:
    with desk.store.read() as tx, pytest.raises(NotFoundError, match="No commit has a status"):
        desk.statuses.test_message(tx, "test", desk.now)
    desk.record_pass(FIRST)
    with desk.store.read() as tx:
        message = desk.statuses.test_message(tx, "test", desk.now)
    assert (message.state, message.payload["commit"]) == ("test", FIRST)
    with desk.store.write() as tx:
        messages.add(tx, [replace(message, delivery=MessageState.SENT)])
    assert desk.evaluate() == [(FIRST, "success"), (FIRST, "success")]
