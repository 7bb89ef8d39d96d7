"""Gates: a due time waits until its upstream deployments have finished as required, and says for what it waits."""

import pytest

from controller.model.gates import GateState
from controller.model.runs import RunOutcome, RunState, Trigger
from controller.operations.cancel import cancel_run
from controller.operations.retry import retry_run
from controller.operations.trigger import trigger_run
from controller.store import (
    finished_upstreams,
    gates,
    queues,
    run_transitions,
)
from tests.conftest import NOW
from tests.unit.runs.conftest import World
from tests.unit.runs.upstreams import HOUR, deployment, due, finish, ledger, of, process, startable, waiting

pytestmark = pytest.mark.parametrize("start", ["cold"])


def test_a_due_time_waits_for_the_upstream_run_of_its_latest_due_time(world: World) -> None:
    world.declare(ingest=deployment("ingest"), report=deployment("report", "after: [ingest]\n"))
    world.clock.turn(HOUR)
    [report] = due(world, "report")
    assert waiting(world) == {"report": "for ingest (due 2026-06-01 13:00:00 UTC)"}
    assert startable(world) == []
    [ingest] = due(world, "ingest")
    assert startable(world) == ["ingest"]
    finish(world, ingest, result={"rows": 3})
    assert startable(world) == ["report"]
    [upstream] = world.find(report).upstream
    assert (upstream.deployment, upstream.run_id, upstream.due_time) == ("ingest", ingest.id, NOW + HOUR)
    assert (upstream.state, upstream.result) == (RunState.SUCCEEDED, {"rows": 3})
    assert world.find(report).trigger is Trigger.SCHEDULE


def test_a_gate_is_open_at_once_if_the_upstream_run_has_finished(world: World) -> None:
    world.declare(ingest=deployment("ingest"), report=deployment("report", "after: ingest\n"))
    world.clock.turn(HOUR)
    [ingest] = due(world, "ingest")
    finish(world, ingest)
    due(world, "report")
    assert startable(world) == ["report"]


def test_both_due_in_one_transaction_in_either_order(world: World) -> None:
    world.declare(ingest=deployment("ingest"), report=deployment("report", "after: ingest\n"))
    for order in (("ingest", "report"), ("report", "ingest")):
        world.clock.turn(HOUR)
        due(world, *order)
        assert startable(world) == ["ingest"]
        finish(world, of(world, "ingest")[-1])
        assert startable(world) == ["report"]
        finish(world, of(world, "report")[-1])


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (RunState.FAILED, "upstream: ingest failed"),
        (RunState.TIMED_OUT, "upstream: ingest timed out"),
        (RunState.CRASHED, "upstream: ingest crashed"),
        (RunState.CANCELLED, "upstream: ingest was cancelled"),
        (RunState.SKIPPED, "upstream: ingest was skipped"),
    ],
)
def test_an_upstream_run_that_ended_otherwise_skips_the_due_time(world: World, state: RunState, reason: str) -> None:
    world.declare(ingest=deployment("ingest"), report=deployment("report", "after: ingest\n"))
    world.clock.turn(HOUR)
    due(world, "ingest", "report")
    finish(world, of(world, "ingest")[0], state)
    [run] = of(world, "report")
    assert (run.state, run.reason) == (RunState.SKIPPED, reason)
    assert [row.reason for row in ledger(world, "report")] == [reason]


@pytest.mark.parametrize(
    ("condition", "state", "is_open"),
    [
        ("failed", RunState.FAILED, True),
        ("failed", RunState.TIMED_OUT, True),
        ("failed", RunState.SUCCEEDED, False),
        ("failed", RunState.CANCELLED, False),
        ("finished", RunState.FAILED, True),
        ("finished", RunState.SKIPPED, True),
        ("finished", RunState.CANCELLED, True),
    ],
)
def test_the_condition_decides_which_outcome_opens(
    world: World, condition: str, state: RunState, is_open: bool
) -> None:
    after = f"after: {{deployment: ingest, on: {condition}}}\n"
    world.declare(ingest=deployment("ingest"), report=deployment("report", after))
    world.clock.turn(HOUR)
    due(world, "ingest", "report")
    finish(world, of(world, "ingest")[0], state)
    assert startable(world) == (["report"] if is_open else [])


def test_a_retry_that_succeeds_in_time_opens_the_due_time_again(world: World) -> None:
    world.declare(
        ingest=deployment("ingest"),
        report=deployment("report", "after: ingest\n"),
        mail=deployment("mail", "after: report\n"),
    )
    world.clock.turn(HOUR)
    due(world, "mail", "report", "ingest")
    failed = finish(world, of(world, "ingest")[0], RunState.FAILED)
    process(world)
    assert [run.state for run in of(world, "mail")] == [RunState.SKIPPED]
    retry = retry_run(world.operations, failed.id, author="me")
    process(world)
    finish(world, retry)
    [skipped, again] = of(world, "report")
    assert (skipped.state, again.state) == (RunState.SKIPPED, RunState.PENDING)
    assert (again.scheduled_for, again.trigger, again.upstream[0].run_id) == (NOW + HOUR, Trigger.SCHEDULE, retry.id)
    assert waiting(world) == {"report": None}
    finish(world, again)
    assert [row.state for row in ledger(world, "report")] == [RunState.SUCCEEDED]
    assert [run.state for run in of(world, "mail")] == [RunState.SKIPPED, RunState.PENDING]
    process(world, everything=True)
    assert len(of(world, "report")) == 2
    assert [event.reason for event in world.events() if event.reason == "DueTimeRepeated"] == ["DueTimeRepeated"] * 2


def test_a_due_time_that_was_run_by_hand_is_not_opened_again(world: World) -> None:
    world.declare(ingest=deployment("ingest"), report=deployment("report", "after: ingest\n"))
    world.clock.turn(HOUR)
    due(world, "report", "ingest")
    failed = finish(world, of(world, "ingest")[0], RunState.FAILED)
    trigger_run(world.operations, "report", {}, due_time=NOW + HOUR, author="me")
    finish(world, retry_run(world.operations, failed.id, author="me"))
    process(world, everything=True)
    assert len(of(world, "report")) == 2


def test_the_deadline_is_24_hours_unless_it_is_declared(world: World) -> None:
    world.declare(
        ingest=deployment("ingest", schedule=""),
        a=deployment("a", "after: ingest\noverlap: allow\n", schedule="schedule: {cron: '0 13 1 6 *'}\n"),
        b=deployment("b", "after: ingest\nstart_deadline: 2h\n", schedule="schedule: {cron: '0 13 1 6 *'}\n"),
    )
    world.clock.turn(HOUR)
    due(world, "a", "b")
    with world.store.read() as tx:
        assert queues.next_change(tx, world.clock.now()) == NOW + 3 * HOUR
    for passed, expected in ((2, ["pending", "skipped"]), (21, ["pending", "skipped"]), (1, ["skipped", "skipped"])):
        world.clock.turn(passed * HOUR)
        process(world)
        assert [of(world, name)[0].state for name in "ab"] == expected
    since = "run of ingest created after 2025-06-01 13:00:00 UTC"
    assert of(world, "a")[0].reason == f"upstream: no {since} finished before the deadline"


@pytest.mark.parametrize(
    ("is_any", "waits_for", "reason"),
    [
        (False, "{} and a{}", "{} did not finish and no{} finished before the deadline"),
        (True, "{} or a{}", "neither {} nor a{} finished before the deadline"),
    ],
)
def test_a_gate_says_what_it_waits_for(world: World, is_any: bool, waits_for: str, reason: str) -> None:
    world.declare(
        ingest=deployment("ingest"),
        manual=deployment("manual", schedule=""),
        report=deployment(
            "report",
            f"after: {{deployments: [ingest, manual], any: {str(is_any).lower()}}}\n",
            schedule="schedule: {cron: '0 13 1 6 *'}\n",
        ),
    )
    world.clock.turn(HOUR)
    due(world, "report")
    texts = ("ingest (due 2026-06-01 13:00:00 UTC)", " run of manual created after 2025-06-01 13:00:00 UTC")
    assert waiting(world) == {"report": f"for {waits_for.format(*texts)}"}
    world.clock.turn(24 * HOUR)
    process(world)
    assert of(world, "report")[0].reason == f"upstream: {reason.format(*texts)}"


def test_nothing_opens_a_due_time_after_its_deadline(world: World) -> None:
    world.declare(ingest=deployment("ingest"), report=deployment("report", "after: ingest\nstart_deadline: 2h\n"))
    world.clock.turn(HOUR)
    due(world, "report", "ingest")
    failed = finish(world, of(world, "ingest")[0], RunState.FAILED)
    world.clock.turn(2 * HOUR)
    process(world)
    finish(world, retry_run(world.operations, failed.id, author="me"))
    process(world, everything=True)
    assert [run.state for run in of(world, "report")] == [RunState.SKIPPED]


def test_an_upstream_due_time_that_is_skipped_skips_the_due_time_at_once(world: World) -> None:
    world.declare(ingest=deployment("ingest"), report=deployment("report", "after: ingest\noverlap: allow\n"))
    world.clock.turn(HOUR)
    due(world, "ingest")
    world.clock.turn(HOUR)
    due(world, "report", "ingest")
    assert of(world, "report")[0].reason == "upstream: ingest was skipped (overlap)"


def test_an_upstream_due_time_that_a_calendar_excludes_does_not_count(world: World) -> None:
    world.write("controller.yaml", "calendars: {closed: {dates: [2026-06-02/2026-06-03]}}\n")
    daily = "schedules: [{{cron: '0 13 * * *'{}}}]\n".format
    world.declare(
        ingest=deployment("ingest", schedule=daily(", except: closed")),
        report=deployment("report", "after: ingest\n", schedule=daily("")),
    )
    world.clock.turn(HOUR)
    due(world, "report", "ingest")
    finish(world, of(world, "ingest")[0])
    finish(world, of(world, "report")[0])
    for order in (("report", "ingest"), ("ingest", "report")):
        world.clock.turn(24 * HOUR)
        due(world, *order)
        assert startable(world) == ["report"]
        finish(world, of(world, "report")[-1])
    assert [row.reason for row in ledger(world, "ingest")] == [
        None,
        "calendar closed: 2026-06-02",
        "calendar closed: 2026-06-03",
    ]


@pytest.mark.parametrize("is_first", [True, False])
def test_more_than_a_hundred_excluded_due_times_do_not_hide_the_last_one(world: World, is_first: bool) -> None:
    windows = "windows: [{days: mon-fri, from: '08:00', to: '18:00'}], outside: skip"
    world.declare(
        ingest=deployment("ingest", schedule=f"schedules: [{{cron: '*/15 * * * *', {windows}}}]\n"),
        report=deployment("report", "after: ingest\n", schedule="schedules: [{cron: '30 7 * * mon'}]\n"),
    )
    world.clock.turn(4 * 24 * HOUR + 5.75 * HOUR)  # Friday, 17:45
    [ingest] = due(world, "ingest")
    finish(world, ingest)
    if not is_first:
        for _ in range(62):
            world.clock.turn(HOUR)
            due(world, "ingest")
    world.clock.turn(NOW + 7 * 24 * HOUR - 4.5 * HOUR - world.clock.now())  # Monday, 07:30
    due(world, "report")
    assert startable(world) == ["report"]
    assert of(world, "report")[0].upstream[0].run_id == ingest.id
    assert ingest.scheduled_for == NOW + 4 * 24 * HOUR + 5.75 * HOUR


def test_a_suspended_upstream_skips_the_due_time(world: World) -> None:
    world.declare(ingest=deployment("ingest", "suspend: true\n"), report=deployment("report", "after: ingest\n"))
    world.clock.turn(HOUR)
    due(world, "report")
    assert of(world, "report")[0].reason == "upstream: ingest is suspended"


def test_an_upstream_without_schedule_needs_a_run_since_the_previous_due_time(world: World) -> None:
    world.declare(ingest=deployment("ingest", schedule=""), report=deployment("report", "after: ingest\n"))
    world.clock.turn(HOUR / 2)
    finish(world, trigger_run(world.operations, "ingest", {}, author="me"))
    world.clock.turn(HOUR / 2)
    due(world, "report")
    assert startable(world) == ["report"]  # its previous fire time was 12:00
    finish(world, of(world, "report")[0])
    world.clock.turn(HOUR)
    due(world, "report")
    assert waiting(world) == {"report": "for a run of ingest created after 2026-06-01 13:00:00 UTC"}
    finish(world, trigger_run(world.operations, "ingest", {}, author="me"))
    assert startable(world) == ["report"]


def test_all_upstreams_have_to_finish_or_any(world: World) -> None:
    world.declare(
        a=deployment("a"),
        b=deployment("b"),
        every=deployment("every", "after: [a, b]\n"),
        one=deployment("one", "after: {deployments: [a, b], any: true}\n"),
    )
    world.clock.turn(HOUR)
    due(world, "every", "one", "a", "b")
    finish(world, of(world, "b")[0], RunState.FAILED)
    assert [of(world, name)[0].state for name in ("every", "one")] == ["skipped", "pending"]
    finish(world, of(world, "a")[0])
    assert startable(world) == ["one"]
    assert [upstream.deployment for upstream in of(world, "one")[0].upstream] == ["a"]
    process(world, everything=True)
    assert len(of(world, "one")) == 1


@pytest.mark.parametrize("on_redo", ["ignore", "run"])
def test_a_redo_of_the_upstream_run_repeats_the_due_time_only_if_asked(world: World, on_redo: str) -> None:
    after = "after: {{deployment: {}, on_redo: {}}}\n".format
    world.declare(
        ingest=deployment("ingest"),
        clean=deployment("clean", after("ingest", on_redo)),
        report=deployment("report", after("clean", on_redo)),
    )
    world.clock.turn(HOUR)
    due(world, "report", "clean", "ingest")
    for name in ("ingest", "clean", "report"):
        finish(world, of(world, name)[0])
    redo = trigger_run(world.operations, "ingest", {}, due_time=NOW + HOUR, author="me")
    finish(world, redo)
    process(world, everything=True)
    if on_redo == "ignore":
        assert [len(of(world, name)) for name in ("clean", "report")] == [1, 1]
        return
    [_, clean] = of(world, "clean")
    assert (clean.trigger, clean.scheduled_for, clean.upstream[0].run_id) == (Trigger.UPSTREAM, NOW + HOUR, redo.id)
    finish(world, clean)
    [_, report] = of(world, "report")
    assert report.upstream[0].run_id == clean.id
    finish(world, report)
    process(world, everything=True)
    assert [len(of(world, name)) for name in ("ingest", "clean", "report")] == [2, 2, 2]


def test_a_redo_waits_for_an_unfinished_run_of_the_due_time(world: World) -> None:
    after = "after: {deployment: ingest, on_redo: run}\n"
    world.declare(ingest=deployment("ingest"), report=deployment("report", after))
    world.clock.turn(HOUR)
    due(world, "report", "ingest")
    finish(world, of(world, "ingest")[0])
    for _ in range(2):
        finish(world, trigger_run(world.operations, "ingest", {}, due_time=NOW + HOUR, author="me"))
    assert len(of(world, "report")) == 1
    finish(world, of(world, "report")[0])
    process(world, everything=True)
    [_, again] = of(world, "report")
    assert again.upstream[0].run_id == of(world, "ingest")[-1].id
    finish(world, again)
    process(world, everything=True)
    assert len(of(world, "report")) == 2


def test_a_cancelled_run_is_not_released(world: World) -> None:
    world.declare(ingest=deployment("ingest"), report=deployment("report", "after: ingest\n"))
    world.clock.turn(HOUR)
    due(world, "report", "ingest")
    cancel_run(world.operations, of(world, "report")[0].id, "no", author="me")
    finish(world, of(world, "ingest")[0])
    process(world, everything=True)
    assert [run.state for run in of(world, "report")] == [RunState.CANCELLED]
    world.clock.turn(24 * HOUR)
    process(world)
    with world.store.read() as tx:
        states = [gate.state for run in of(world, "report") for gate in gates.find_of_run(tx, run.id)]
    assert states == [GateState.EXPIRED]


def test_a_gate_is_decided_with_the_tick_although_the_dependency_is_gone(world: World) -> None:
    world.declare(ingest=deployment("ingest"), report=deployment("report", "after: ingest\n"))
    world.clock.turn(HOUR)
    due(world, "report", "ingest")
    world.declare(report=deployment("report"))
    finish(world, of(world, "ingest")[0])
    assert startable(world) == []
    process(world, everything=True)
    assert startable(world) == ["report"]


def test_only_runs_of_upstream_deployments_are_recorded_and_evaluated_once(world: World) -> None:
    world.declare(ingest=deployment("ingest"), report=deployment("report", "after: ingest\n"))
    world.clock.turn(HOUR)
    due(world, "report", "ingest")
    with world.store.write() as tx:
        for run in world.all_runs():
            run_transitions.end(tx, [(run, RunOutcome(state=RunState.SUCCEEDED))])
        assert list(finished_upstreams.find(tx, 10).values()) == [of(world, "ingest")[0].id]
    process(world)
    with world.store.read() as tx:
        assert finished_upstreams.find(tx, 10) == {}


PARAMETERS = "after: ingest\nparameters: {path: {from: ingest.result.path}, day: {from: due_time, format: date}}\n"


def test_parameters_take_values_of_the_result(world: World) -> None:
    world.declare(ingest=deployment("ingest"), report=deployment("report", PARAMETERS))
    world.clock.turn(HOUR)
    due(world, "report", "ingest")
    finish(world, of(world, "ingest")[0], result={"path": "/data/a"})
    assert of(world, "report")[0].parameters == {"path": "/data/a", "day": "2026-06-01"}


def test_the_name_of_a_run_has_the_values_of_the_result(world: World) -> None:
    name = "run_name: '{{load}} {path} {due_time:%H}'\n"
    world.declare(
        ingest=deployment("ingest"),
        report=deployment("report", PARAMETERS + name),
        event=deployment("event", PARAMETERS + name, schedule=""),
    )
    world.clock.turn(HOUR)
    due(world, "report", "ingest")
    assert of(world, "report")[0].name == "{load} {path} 13"
    finish(world, of(world, "ingest")[0], result={"path": "{day}"})
    assert [of(world, each)[0].name for each in ("report", "event")] == ["{load} {day} 13"] * 2
    assert trigger_run(world.operations, "event", {}, author="me").name == "{load} {day} 13"


def test_a_missing_value_is_a_failed_run(world: World) -> None:
    world.declare(ingest=deployment("ingest"), report=deployment("report", PARAMETERS))
    world.clock.turn(HOUR)
    due(world, "report", "ingest")
    finish(world, of(world, "ingest")[0], result={"file": "/data/a"})
    [run] = of(world, "report")
    assert run.state is RunState.FAILED
    assert run.reason is not None
    assert run.reason.startswith("not launched: parameter path: 'ingest.result.path': the result of ingest has no key")
    assert run.upstream[0].result == {"file": "/data/a"}
