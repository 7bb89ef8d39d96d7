"""The evaluation writes incidents and messages in one transaction with the cursor."""

import gc
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event as sqlalchemy_event

from controller.errors import StateError
from controller.manifests.active_deployments import ActiveDeployments
from controller.model.commits import DeploymentNames, RecordedCommit
from controller.model.findings import Finding
from controller.model.notifications import Channel, Message, NotifyRule, NotifySettings, Trouble
from controller.model.runs import Occurrence, Outcome, Run, RunId, RunState, Trigger
from controller.model.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    Event,
    EventSeverity,
    InventoryEntry,
    SourceStatus,
    Withheld,
)
from controller.notify.deadlines import DeadlineMonitor
from controller.notify.evaluation import Evaluator
from controller.notify.heartbeats import Heartbeats
from controller.runs.ids import RunIds
from controller.store import Store, commits, events, incidents, inventory, messages, occurrences, runs, source_status
from tests.conftest import NOW
from tests.unit.notify.kills import kill_between_statements

REVISION = "main@sha1:" + "a" * 40
LATER = "main@sha1:" + "b" * 40
REFUSED = "ConnectionError: warehouse:5432 refused the connection"
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
EVENTS = {RunState.FAILED: "RunFailed", RunState.TIMED_OUT: "RunTimedOut", RunState.CRASHED: "RunCrashed"}


class World:
    """A state with deployments whose runs end as a test says, and an evaluator of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = NOW
        self.settings = NotifySettings(channels={"ops": Channel(name="ops", url="json://localhost")})
        self.notices: tuple[Condition, ...] | None = None
        self.count = 0
        self.ids: RunIds | None = None
        self.evaluator = self.restart()

    def restart(self) -> Evaluator:
        deployments = ActiveDeployments()
        self.evaluator = Evaluator(
            self.store,
            deployments,
            settings=lambda: self.settings,
            new_id=self.new_id,
            public_url="https://controller.example.com/",
            deadlines=DeadlineMonitor(deployments),
            collectors=[Heartbeats(deployments, self.new_id)],
            notices=None if self.notices is None else lambda: self.notices or (),
        )
        return self.evaluator

    def new_id(self, _: datetime) -> str:
        self.count += 1
        return f"message-{self.count:06}"

    def declare(self, *names: str, **document: object) -> None:
        with self.store.write() as tx:
            inventory.save(tx, [_entry(name, document) for name in names])

    def end(self, name: str, state: RunState, reason: str | None = None, revision: str = REVISION) -> str:
        """End a run that took a minute."""
        return self.end_all([name], state, reason, revision)[0]

    def end_all(
        self,
        names: list[str],
        state: RunState,
        reason: str | None = None,
        revision: str = REVISION,
        due: datetime | None = None,
    ) -> list[str]:
        """End a run of each of these deployments."""
        ended = [self._run(name, state, reason, revision) for name in names]
        ended = ended if due is None else [replace(run, scheduled_for=due) for run in ended]
        with self.store.write() as tx:
            runs.insert_all(tx, ended)
            if due is not None:
                occurrences.append(tx, [_occurrence(run, due) for run in ended])
            if state in EVENTS:
                texts = [(run, f"Run {run.id} {state}: {reason}") for run in ended]
                new = [_event(run.deployment, EVENTS[state], text, self.now, run.id) for run, text in texts]
                events.append(tx, new)
        return [run.id for run in ended]

    def _run(self, name: str, state: RunState, reason: str | None, revision: str) -> Run:
        self.count += 1
        return Run(
            id=RunId(f"run-{self.count:06}") if self.ids is None else self.ids.new(self.now),
            deployment=name,
            state=state,
            reason=reason,
            trigger=Trigger.SCHEDULE,
            created_at=self.now - MINUTE,
            started_at=self.now - MINUTE,
            finished_at=self.now,
            scheduled_for=self.now - MINUTE,
            attempt=1,
            revision=revision,
            file="deployments/a.yaml",
            spec_digest="sha256:1",
        )

    def fail(self, name: str, reason: str = REFUSED, state: RunState = RunState.FAILED) -> str:
        return self.end(name, state, reason)

    def succeed(self, name: str) -> str:
        return self.end(name, RunState.SUCCEEDED)

    def record(self, name: str, reason: str) -> None:
        with self.store.write() as tx:
            events.append(tx, [_event(name, reason, "It happened.", self.now)])

    def pass_time(self, by: timedelta) -> None:
        """Time passes; the evaluator is called whenever it wants to be."""
        until = self.now + by
        while (due := self.evaluate()) is not None and self.now < due <= until:
            self.now = due
        self.now = until
        self.evaluate()

    def evaluate(self) -> datetime | None:
        return self.evaluator.evaluate(self.now)

    def source(self, **values: object) -> None:
        status = SourceStatus(
            repo="/r", ref="main", revision=REVISION, last_attempted_revision=REVISION, last_applied_revision=REVISION
        )
        with self.store.write() as tx:
            source_status.save(tx, replace(status, **values))  # type: ignore[arg-type]
            events.append(tx, [_event(None, "Applied", "A pass has ended.", self.now)])

    def condition(self, kind: ConditionType, reason: str, *, status: bool = False) -> Condition:
        return Condition(
            type=kind,
            status=ConditionStatus.TRUE if status else ConditionStatus.FALSE,
            reason=reason,
            message="The server can't be reached.",
            last_transition_time=self.now,
        )

    def messages(self, channel: str = "ops") -> list[Message]:
        with self.store.read() as tx:
            return [each for each in reversed(messages.latest(tx, 10_000)) if each.channel == channel]

    def titles(self, channel: str = "ops") -> list[str]:
        return [message.title for message in self.messages(channel)]


def _occurrence(run: Run, due: datetime) -> Occurrence:
    return Occurrence(
        deployment=run.deployment, scheduled_for=due, schedule="0", outcome=Outcome.RUN, run_id=run.id, state=run.state
    )


def _entry(name: str, document: dict[str, object]) -> InventoryEntry:
    return InventoryEntry(
        name=name,
        file="deployments/a.yaml",
        line=1,
        document={"name": name, "command": ["true"], **document},
        spec_digest=f"sha256:{name}",
        revision=REVISION,
        cursor=NOW,
    )


def _event(name: str | None, reason: str, message: str, now: datetime, run_id: str | None = None) -> Event:
    severity = EventSeverity.ERROR
    about = name or "source"
    return Event(
        time=now, severity=severity, reason=reason, message=message, about=about, deployment=name, run_id=run_id
    )


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty state database of each kind."""
    opened: Store = request.getfixturevalue(f"{request.param}_store")
    return opened


@pytest.fixture
def world(store: Store) -> World:
    world = World(store)
    world.declare("etl", "load", "report")
    world.evaluate()
    return world


def test_a_failed_run_and_its_recovery_are_reported_once(world: World) -> None:
    run_id = world.fail("etl")
    world.pass_time(MINUTE)
    world.fail("etl")
    world.pass_time(HOUR)
    assert world.titles() == ["etl failed"]
    world.succeed("etl")
    world.pass_time(HOUR)
    assert world.titles() == ["etl failed", "etl recovered"]
    first, second = world.messages()
    assert (first.state, first.deployment, first.run_id, first.reason) == ("failed", "etl", run_id, REFUSED)
    assert (second.state, second.payload["failures"]) == ("recovered", 2)
    assert second.incident_id == first.incident_id


def test_what_failed_before_the_first_evaluation_is_reported_when_it_fails_again(store: Store) -> None:
    world = World(store)
    world.declare("etl")
    world.fail("etl")
    world.pass_time(HOUR)
    assert world.titles() == []
    world.fail("etl")
    world.pass_time(HOUR)
    assert world.titles() == ["etl failed 2 times in a row"]


def test_deployments_that_fail_for_one_cause_are_one_message(world: World) -> None:
    for name in ("etl", "load", "report"):
        world.fail(name)
        world.now += SECOND
    world.pass_time(MINUTE)
    assert world.titles() == ["3 deployments failed"]
    for name in ("etl", "load", "report"):
        world.pass_time(MINUTE)
        world.succeed(name)
    world.pass_time(MINUTE)
    assert world.titles() == ["3 deployments failed", "3 deployments recovered"]


def test_different_errors_are_different_messages(world: World) -> None:
    world.fail("etl")
    world.fail("load", "exit code 1")
    world.fail("report", "exit code 1")
    world.pass_time(MINUTE)
    assert sorted(world.titles()) == ["etl failed", "load failed", "report failed"]


def test_a_rule_can_wait_for_failures_in_a_row(world: World) -> None:
    world.settings = replace(world.settings, rules=(NotifyRule(to=("ops",), failures=3),))
    for _ in range(2):
        world.fail("etl")
        world.pass_time(MINUTE)
    world.succeed("etl")
    world.pass_time(MINUTE)
    for _ in range(3):
        assert world.titles() == []
        world.fail("etl")
        world.pass_time(MINUTE)
    assert world.titles() == ["etl failed 3 times in a row"]


def test_a_rule_can_wait_for_some_time(world: World) -> None:
    world.settings = replace(world.settings, rules=(NotifyRule(to=("ops",), wait=10 * MINUTE),))
    world.fail("etl")
    world.pass_time(9 * MINUTE)
    world.succeed("etl")
    world.pass_time(HOUR)
    assert world.titles() == []
    world.fail("etl")
    world.pass_time(11 * MINUTE)
    assert world.titles() == ["etl failed"]


def test_the_messages_do_not_depend_on_when_the_controller_evaluates(world: World) -> None:
    for _ in range(2):
        world.fail("etl")
        world.now += HOUR
    world.succeed("etl")
    world.now += HOUR
    world.evaluate()
    assert world.titles() == ["etl failed", "etl recovered"]


def test_rules_of_a_deployment_name_their_channel(world: World) -> None:
    channels = {name: Channel(name=name, url="json://localhost") for name in ("ops", "team")}
    operators = NotifyRule(to=("ops",), on=(Trouble.SOURCE,))
    world.settings = NotifySettings(channels=channels, rules=(operators,))
    world.declare("etl", notify={"to": "team", "on": ["timed_out"]})
    world.fail("etl")
    world.pass_time(MINUTE)
    assert world.titles("team") == []
    world.fail("etl", state=RunState.TIMED_OUT, reason="ran longer than 1h")
    world.pass_time(MINUTE)
    assert world.titles("team") == ["etl timed out 2 times in a row"]
    world.succeed("etl")
    world.pass_time(MINUTE)
    assert world.titles("team") == ["etl timed out 2 times in a row"]  # `recovered` is not reported
    assert world.titles() == []


def test_a_deleted_deployment_no_longer_fails(world: World) -> None:
    world.fail("etl")
    world.pass_time(MINUTE)
    with world.store.write() as tx:
        inventory.remove(tx, ["etl"], world.now)
    world.record("etl", "Pruned")
    world.pass_time(MINUTE)
    assert world.titles() == ["etl failed", "etl was deleted"]


def test_a_renamed_deployment_recovers_under_its_new_name(world: World) -> None:
    world.fail("etl")
    world.pass_time(MINUTE)
    with world.store.write() as tx:
        inventory.rename(tx, "etl", "extract")
    world.succeed("extract")
    world.pass_time(MINUTE)
    assert world.titles() == ["etl failed", "extract recovered"]


def test_a_source_that_can_not_be_read_is_one_incident(world: World) -> None:
    world.source(conditions=(world.condition(ConditionType.READY, "Unreachable"),))
    world.pass_time(MINUTE)
    world.source(conditions=(world.condition(ConditionType.READY, "Timeout"),))
    world.pass_time(MINUTE)
    world.source(conditions=(world.condition(ConditionType.READY, "Applied", status=True),))
    world.pass_time(MINUTE)
    assert world.titles() == ["The source can't be read", "The source can be read again"]


def test_invalid_manifests_and_withheld_deletions_are_reported(world: World) -> None:
    finding = Finding(code="Unknown", message="unknown key `x`", file="deployments/a.yaml", line=3, column=1)
    withheld = Withheld(
        reason="all 2 deployments would be deleted", digest="1f", deployments=("load",), plan_digest="1f"
    )
    invalid = (world.condition(ConditionType.READY, "InvalidManifest"),)
    world.source(findings=(finding, replace(finding, deployment="etl")), conditions=invalid, withheld=withheld)
    world.pass_time(MINUTE)
    assert sorted(world.titles()) == ["2 deployments are invalid", "The deletion of load waits for approval"]
    world.source(conditions=(world.condition(ConditionType.READY, "Applied", status=True),))
    world.pass_time(MINUTE)
    assert len(world.titles()) == 4


def test_deployments_that_miss_their_start_are_one_incident(world: World) -> None:
    schedule = {"cron": "0 13 * * *", "timezone": "Europe/Berlin"}
    names = ["morning", "evening"]
    world.declare(*names, schedules=[schedule], expect={"start_within": "10m"})
    world.restart()
    world.pass_time(DAY)
    (message,) = world.messages()
    assert (message.title, message.state) == ("2 deployments are late", "late")
    world.end_all(names, RunState.SUCCEEDED, due=NOW - HOUR + DAY)
    world.pass_time(MINUTE)
    assert world.titles() == ["2 deployments are late", "2 deployments are no longer late"]


def test_the_times_in_a_message_are_in_the_zone_of_the_schedule_and_those_in_json_in_utc(world: World) -> None:
    schedule = {"cron": "0 13 * * *", "timezone": "Europe/Berlin"}
    world.declare("morning", schedules=[schedule], expect={"start_within": "10m"})
    world.restart()
    world.pass_time(DAY)
    (message,) = world.messages()
    assert message.reason.startswith("The run due at 2026-06-02 11:00:00 UTC did not start by 2026-06-02 11:10:00 UTC")
    assert "The run due at 2026-06-02 13:00:00+02:00 did not start by 2026-06-02 13:10:00+02:00" in message.body
    assert "UTC" not in message.body


def test_a_run_that_neither_starts_nor_finishes_in_time_is_one_message_and_one_recovery(world: World) -> None:
    schedule = {"cron": "0 13 * * *", "timezone": "Europe/Berlin"}
    names = ["morning", "evening"]
    late_only = NotifyRule(to=("team",), on=(Trouble.LATE, Trouble.RECOVERED))
    overdue_only = NotifyRule(to=("late",), on=(Trouble.OVERDUE, Trouble.RECOVERED))
    channels = {name: Channel(name=name, url="json://localhost") for name in ("ops", "team", "late")}
    everything = NotifyRule(to=("ops",))
    world.settings = NotifySettings(channels=channels, rules=(everything, late_only, overdue_only))
    world.ids = RunIds()
    world.declare(*names, schedules=[schedule], expect={"start_within": "10m", "finish_within": "2h"})
    world.restart()
    world.pass_time(DAY + 2 * HOUR)
    assert world.titles() == world.titles("team") == ["2 deployments are late"]
    assert world.titles("late") == ["2 deployments are overdue"]
    world.end_all(names, RunState.SUCCEEDED, due=NOW - HOUR + DAY)
    world.pass_time(MINUTE)
    assert [len(world.titles(channel)) for channel in channels] == [2, 2, 2]
    assert {world.messages(channel)[1].state for channel in channels} == {"recovered"}


def test_a_full_disk_is_reported(world: World) -> None:
    world.notices = (world.condition(ConditionType.STORAGE_FULL, "StorageFull", status=True),)
    world.restart()
    world.pass_time(MINUTE)
    world.notices = ()
    world.pass_time(MINUTE)
    assert world.titles() == ["The disk of the controller is full", "The disk of the controller has free space again"]


def test_a_message_tells_who_changed_what_since_the_last_success(world: World) -> None:
    def commit(sha: str, subject: str, **changes: DeploymentNames) -> RecordedCommit:
        return RecordedCommit(sha=sha * 40, author="Ada", author_date=NOW, subject=subject, **changes)

    etl = DeploymentNames(count=1, names=("etl",))
    with world.store.write() as tx:
        commits.save(tx, [commit("a", "Add it"), commit("c", "Load twice", changed=etl), commit("b", "Fix a typo")])
    world.end("etl", RunState.SUCCEEDED)
    world.now += HOUR
    run_id = world.end("etl", RunState.FAILED, "load-2: ValueError: no row → merge-1 not run", LATER)
    world.pass_time(MINUTE)
    (message,) = world.messages()
    assert message.body.splitlines() == [
        "load-2: ValueError: no row",
        "Since 2026-06-01 13:00:00 UTC.",
        "Last success: 2026-06-01 12:00:00 UTC.",
        "Changed since by Ada: Load twice [ccccccc] (and 1 other commit)",
        f"https://controller.example.com/runs/{run_id}",
        f"controller runs show {run_id}",
    ]


def test_a_message_about_an_invalid_manifest_names_the_commit(world: World) -> None:
    with world.store.write() as tx:
        commits.save(tx, [RecordedCommit(sha="a" * 40, author="Ada", author_date=NOW, subject="Add a key")])
    finding = Finding(code="Unknown", message="unknown key `x`", file="deployments/a.yaml", line=3, column=1)
    world.source(
        findings=(replace(finding, deployment="etl"),),
        conditions=(world.condition(ConditionType.READY, "InvalidManifest"),),
    )
    world.pass_time(MINUTE)
    (message,) = world.messages()
    assert message.body.splitlines() == [
        "deployments/a.yaml:3: unknown key `x`",
        "Since 2026-06-01 12:00:00 UTC.",
        "Last commit by Ada: Add a key [aaaaaaa]",
        "https://controller.example.com/deployments/etl",
        "controller status",
    ]


def test_a_thousand_failures_of_one_cause_are_one_message_and_one_recovery(world: World) -> None:
    names = [f"etl-{number:03}" for number in range(250)]
    world.declare(*names)
    for _ in range(4):
        world.end_all(names, RunState.FAILED, REFUSED)
        world.pass_time(MINUTE)
    world.end_all(names, RunState.SUCCEEDED)
    world.pass_time(10 * HOUR)
    assert world.titles() == ["250 deployments failed", "250 deployments recovered"]
    assert "1000 times in total" in world.messages()[1].body
    with world.store.read() as tx:
        assert incidents.find_open(tx) == []


def test_deployments_that_fail_later_for_the_same_cause_are_reported_together_an_hour_later(world: World) -> None:
    world.fail("etl")
    world.pass_time(MINUTE)
    for name in ("load", "report"):
        world.fail(name)
        world.pass_time(MINUTE)
    assert world.titles() == ["etl failed"]
    world.succeed("etl")
    world.pass_time(HOUR)
    assert world.titles() == ["etl failed", "2 more deployments failed"]
    for name in ("load", "report"):
        world.succeed(name)
    world.pass_time(MINUTE)
    assert world.titles()[2:] == ["3 deployments recovered"]


def test_a_flapping_deployment_is_reported_once_until_it_is_stable(world: World) -> None:
    for _ in range(6):
        world.fail("etl", "exit code 1")
        world.pass_time(5 * MINUTE)
        world.succeed("etl")
        world.pass_time(5 * MINUTE)
    expected = ["etl failed", "etl recovered", "etl failed", "etl recovered", "etl is flapping"]
    assert world.titles() == expected
    world.pass_time(2 * HOUR)
    assert world.titles() == [*expected, "etl recovered"]


def test_nothing_is_written_when_nothing_has_happened(world: World) -> None:
    statements: list[str] = []
    sqlalchemy_event.listen(world.store._writer, "before_cursor_execute", lambda *args: statements.append(args[2]))
    counts = []
    for number in range(3):
        world.end_all([f"etl-{number}-{each}" for each in range(number * 20 + 1)], RunState.FAILED, "exit code 1")
        world.pass_time(HOUR)
        statements.clear()
        world.evaluate()
        counts.append(len(statements))
        assert not [each for each in statements if each.split()[0] in ("INSERT", "UPDATE", "DELETE")]
    assert counts[0] <= 12
    assert len(set(counts)) == 1


def test_a_failure_between_any_two_statements_loses_and_doubles_nothing(world: World) -> None:
    world.fail("etl")
    world.fail("load")
    world.now += MINUTE

    def check() -> None:
        assert world.titles() == []

    assert kill_between_statements(world.store, lambda: world.restart().evaluate(world.now), check) > 10
    assert world.titles() == ["2 deployments failed"]
    world.restart().evaluate(world.now)
    assert world.titles() == ["2 deployments failed"]


def test_a_store_that_can_not_be_written_raises(world: World) -> None:
    world.fail("etl")
    reader = Store.open_read_only(world.store.place)
    evaluator = Evaluator(reader, ActiveDeployments(), settings=lambda: world.settings, new_id=world.new_id)
    with pytest.raises(StateError):
        evaluator.evaluate(world.now)
    reader.close()


def test_no_event_stays_in_memory_after_it_was_evaluated(world: World) -> None:
    for name in ("etl", "load"):
        world.fail(name)
    gc.collect()
    gc.disable()  # only reference cycles need a collection
    try:
        world.evaluate()
        assert [each for each in gc.get_objects() if type(each) is Event] == []
    finally:
        gc.enable()
