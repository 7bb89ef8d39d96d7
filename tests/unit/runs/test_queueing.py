"""Waiting runs, in a real store and without processes: their order, their timers, and their log lines."""

from datetime import timedelta

import pytest

from controller.model.runs import Attempt, Outcome, Run, RunState
from controller.model.status import Hold
from controller.queries.runs import list_runs
from controller.runs.outcomes import cancel
from controller.runs.queue import Queue
from controller.store import holds, inventory, occurrences, run_transitions, runs
from controller.store.run_search import RunFilter
from tests.postgresql import BOTH_DATABASES
from tests.unit.runs.conftest import World

pytestmark = BOTH_DATABASES

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def start() -> str:
    """No test of this module starts a supervisor, so one way to start them is enough."""
    return "cold"


def hourly(name: str = "a", extra: str = "") -> str:
    return f"name: {name}\ncommand: ['true']\nschedules: [{{cron: '0 * * * *'}}]\n{extra}"


def account(world: World, *names: str) -> list[Run]:
    with world.store.write() as tx:
        return world.admission.process_due(tx, names, world.clock.now())


def ask(world: World, name: str = "a") -> Run:
    with world.store.write() as tx:
        return world.admission.create_run(tx, name, {})


def queue(world: World, places: int = 4) -> Queue:
    made = Queue(world.store, world.clock, places)
    made.record_limit()
    return made


def begin(world: World, taken: list[Run]) -> list[str]:
    """Let these run; returns their deployments."""
    with world.store.write() as tx:
        claims = [
            Attempt(run_id=run.id, number=1, nonce=run.id, boot_id="b", state=RunState.LAUNCHING) for run in taken
        ]
        assert run_transitions.claim(tx, claims) == {run.id for run in taken}
        run_transitions.start(tx, claims, world.clock.now())
    return [run.deployment for run in taken]


def end(world: World, run: Run) -> None:
    with world.store.write() as tx:
        assert runs.move(tx, run.id, expect=RunState.RUNNING, to=RunState.SUCCEEDED)


def ledger(world: World, name: str = "a") -> list[tuple[str, str | None]]:
    with world.store.read() as tx:
        return [(found.outcome.value, found.reason) for found in occurrences.find_newest(tx, name, 1000)[::-1]]


def waits(world: World) -> list[str | None]:
    """Return what the runs wait for, oldest first."""
    with world.store.read() as tx:
        return [view.waiting for view in list_runs(tx, RunFilter(), world.clock.now())][::-1]


def test_a_queue_limit_applies_and_follows_the_project_file(world: World) -> None:
    world.write("controller.yaml", "queues: {etl: {limit: 1}}\n")
    world.declare(**{name: hourly(name, "queue: etl\n") for name in "abc"})
    for name in "abc":
        ask(world, name)
    line = queue(world)
    assert begin(world, line.take_ready(9)) == ["a"]
    assert waits(world) == [None, "queue etl is full (1 of 1)", "queue etl is full (1 of 1)"]
    assert line.take_ready(9) == []
    world.write("controller.yaml", "queues: {etl: {limit: 2}}\n")
    world.declare()
    assert begin(world, line.take_ready(9)) == ["b"]


def test_many_waiting_runs_each_run_once(world: World) -> None:
    names = [f"d{number:04}" for number in range(200)]
    world.declare(many="---\n".join(hourly(name) for name in names))
    world.clock.turn(HOUR)
    account(world, *names)
    line = queue(world, places=60)
    served: list[str] = []
    while taken := line.take_ready(1000):
        assert len(taken) <= 60
        served += begin(world, taken)
        for run in taken:
            end(world, run)
    assert served == names


def test_a_run_that_could_not_start_yet_keeps_its_turn(world: World) -> None:
    world.declare(a=hourly(), b=hourly("b"))
    ask(world, "a")
    line = queue(world, places=1)
    [run] = line.take_ready(1)
    line.return_turn(run)  # its code is being exported
    ask(world, "b")
    assert begin(world, line.take_ready(1)) == ["a"]


def test_a_commit_of_another_thread_takes_no_slot_of_a_run_that_has_ended(world: World) -> None:
    world.declare(a=hourly(), b=hourly("b"))
    ask(world, "a")
    ask(world, "b")
    line = queue(world, places=1)
    [run] = line.take_ready(1)
    begin(world, [run])
    line.refresh()
    line.release(run)
    ask(world, "b")
    line.forget()  # the queue reads the store again, where the run has not ended yet
    [following] = line.take_ready(1)
    assert following.deployment == "b"
    with world.store.write() as tx:
        assert runs.move(tx, run.id, expect=RunState.RUNNING, to=RunState.SUCCEEDED)
    line.confirm(tx.number)
    assert line.take_ready(1) == []
    begin(world, [following])
    assert line.take_ready(1) == []


def test_a_hundred_runs_of_one_deployment_do_not_delay_others(world: World) -> None:
    world.declare(a=hourly(), b=hourly("b"))
    for _ in range(100):
        ask(world, "a")
    ask(world, "b")
    line = queue(world, places=1)
    served = []
    for _ in range(3):
        [run] = line.take_ready(1)
        served += begin(world, [run])
        end(world, run)
    assert served == ["a", "b", "a"]


def test_queued_runs_of_a_deployment_run_in_order_of_due_time(world: World) -> None:
    world.declare(a=hourly(extra="overlap: queue\n"))
    for _ in range(3):
        world.clock.turn(HOUR)
        account(world, "a")
    line = queue(world)
    order = []
    while taken := line.take_ready(4):
        begin(world, taken)
        assert line.take_ready(4) == []
        [run] = taken
        order.append(run.scheduled_for)
        end(world, run)
    assert len(order) == 3
    assert order == sorted(order, key=str)
    assert ledger(world) == [("run", None)] * 3


def test_with_overlap_replace_a_later_run_replaces_an_earlier_one(world: World) -> None:
    world.declare(a=hourly(extra="overlap: replace\n"))
    line = queue(world)
    world.clock.turn(HOUR)
    account(world, "a")
    [running] = line.take_ready(4)
    begin(world, [running])
    world.clock.turn(HOUR)
    [second] = account(world, "a")
    assert world.find(running).cancel_reason == "replaced by a later run"
    assert line.take_ready(4) == []
    world.clock.turn(HOUR)
    [third] = account(world, "a")
    assert (world.find(second).state, world.find(second).reason) == (RunState.SKIPPED, "overlap")
    assert ledger(world) == [("run", None), ("skipped", "overlap"), ("run", None)]
    end(world, running)
    assert [run.id for run in line.take_ready(4)] == [third.id]


def test_with_overlap_allow_runs_overlap(world: World) -> None:
    world.declare(a=hourly(extra="overlap: allow\n"))
    for _ in range(3):
        world.clock.turn(HOUR)
        account(world, "a")
    assert len(queue(world).take_ready(4)) == 3


def test_a_run_past_its_start_deadline_is_skipped_in_the_ledger(world: World) -> None:
    world.declare(a=hourly(extra="start_deadline: 10m\n"))
    world.clock.turn(HOUR)
    [run] = account(world, "a")
    line = queue(world)
    assert run.start_by == run.scheduled_for + 10 * MINUTE if run.scheduled_for else False
    world.clock.turn(10 * MINUTE - timedelta(microseconds=1))
    line.process_timers()
    assert line.next_change == run.start_by
    assert world.find(run).state is RunState.PENDING
    world.clock.turn(timedelta(microseconds=1))
    line.process_timers()
    ended = world.find(run)
    assert (ended.state, ended.reason, ended.finished_at) == (RunState.SKIPPED, "deadline", world.clock.now())
    with world.store.read() as tx:
        [row] = occurrences.find_newest(tx, "a", 9)
    assert (row.outcome, row.run_id, row.reason) == (Outcome.SKIPPED, run.id, "deadline")
    assert world.events()[-1].reason == "RunSkipped"


def test_a_run_past_its_start_deadline_never_starts_however_many_there_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.runs.queue.MAX_LATE", 2)
    world.declare(a=hourly(extra="start_deadline: 10m\noverlap: allow\ncatchup: {policy: all}\n"))
    for _ in range(5):
        world.clock.turn(HOUR)
        assert len(account(world, "a")) == 1
    with world.store.write() as tx:
        for run in world.all_runs():
            runs.move(tx, run.id, expect=RunState.PENDING, to=RunState.PENDING, start_by=world.clock.now() + MINUTE)
    world.clock.turn(MINUTE)
    line = queue(world)
    for left in (3, 1, 0):
        line.process_timers()
        assert [run.state for run in world.all_runs()].count(RunState.PENDING) == left
        assert line.take_ready(4) == []
        assert line.has_due_changes == (left > 0)


def test_a_manual_run_has_no_start_deadline(world: World) -> None:
    world.declare(a=hourly(extra="start_deadline: 10m\n"))
    run = ask(world)
    world.clock.turn(HOUR)
    line = queue(world)
    line.process_timers()
    assert [found.id for found in line.take_ready(4)] == [run.id]


@pytest.mark.parametrize(("change", "reason"), [("suspend: true\n", "suspended"), (None, "pruned")])
def test_waiting_runs_of_a_suspended_or_deleted_deployment_do_not_start(
    world: World, change: str | None, reason: str
) -> None:
    world.declare(a=hourly(), other=hourly("other"))
    world.clock.turn(HOUR)
    [run] = account(world, "a")
    if change is None:
        with world.store.write() as tx:
            world.admission.settle_before_change(tx, ["a"], world.clock.now(), pruned=True)
            inventory.remove(tx, ["a"], world.clock.now())
    else:
        world.declare(a=hourly(extra=change))
    assert queue(world).take_ready(4) == []
    assert (world.find(run).state, world.find(run).reason) == (RunState.SKIPPED, reason)
    assert ledger(world) == [("skipped", reason)]


def test_a_hold_keeps_queued_runs_waiting(world: World) -> None:
    world.declare(a=hourly())
    world.clock.turn(HOUR)
    account(world, "a")
    said = Hold(deployment="a", reason="broken upstream", author="me", since=world.clock.now())
    with world.store.write() as tx:
        holds.save(tx, said)
    line = queue(world)
    assert line.take_ready(4) == []
    assert waits(world) == ["held: broken upstream"]
    manual = ask(world)
    assert [run.id for run in line.take_ready(4)] == [manual.id]
    with world.store.write() as tx:
        holds.remove(tx, "a")
    assert len(line.take_ready(4)) == 2


def test_cancelling_a_waiting_run_ends_it_at_once_and_finally(world: World) -> None:
    world.declare(a=hourly())
    run = ask(world)
    with world.store.write() as tx:
        ended = cancel(tx, run, "cancelled by ada", world.clock.now())
    assert ended is not None
    found = world.find(run)
    assert (found.state, found.reason, found.attempt) == (RunState.CANCELLED, "cancelled by ada", 0)
    with world.store.write() as tx:
        assert cancel(tx, found, "again", world.clock.now()) is None
    assert world.find(run) == found


def test_an_expired_hold_is_noticed_without_a_fire_time(world: World) -> None:
    world.declare(a=hourly())
    said = Hold(
        deployment="a", reason="no", author="me", since=world.clock.now(), until=world.clock.now() + 90 * MINUTE
    )
    with world.store.write() as tx:
        holds.save(tx, said)
    for minutes, released in ((89, []), (1, ["a"])):
        world.clock.turn(minutes * MINUTE)
        account(world, "a") if not released else None
        with world.store.read() as tx:
            assert inventory.with_expired_hold(tx, world.clock.now()) == released
    assert len(account(world, "a")) == 1
    with world.store.read() as tx:
        assert inventory.with_expired_hold(tx, world.clock.now()) == []


def test_all_waiting_runs_of_a_suspended_deployment_are_skipped_in_one_turn(world: World) -> None:
    every_minute = "name: a\ncommand: ['true']\npriority: 10\noverlap: queue\nschedules: [{cron: '* * * * *'}]\n"
    world.declare(a=every_minute, b=hourly("b"))
    for _ in range(18):
        world.clock.turn(MINUTE)
        account(world, "a")
    world.declare(a=every_minute + "suspend: true\n")
    asked = ask(world, "b")
    line = queue(world, places=2)
    assert [run.id for run in line.take_ready(2)] == [asked.id]
    assert {(run.state, run.reason) for run in world.all_runs() if run.deployment == "a"} == {
        (RunState.SKIPPED, "suspended")
    }
    assert ledger(world) == [("skipped", "suspended")] * 18
