"""The engine starts every run as soon as it can, without a tick, whatever other threads commit during its turns."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.errors import StateError
from controller.model.backfills import BackfillState
from controller.model.runs import ACTIVE, Run, RunId, RunState
from controller.model.status import Event, EventSeverity
from controller.operations.backfills import BackfillRequest, create_backfill
from controller.operations.cancel import cancel_run
from controller.operations.holds import hold_deployment
from controller.operations.trigger import trigger_run
from controller.runs.engine import TICK_SECONDS
from controller.store import backfills, events, runs
from controller.store.run_search import RunFilter, select_all
from tests.simulation.cluster import ClusterExecutor
from tests.simulation.conservation import check_conservation, sleeps_for
from tests.simulation.machine import SimulatedExecutor
from tests.simulation.world import MAX_RUNNING, World
from tests.thoroughness import THOROUGH, requested, scaled

SEED = requested("CONSERVE_SEED", 0)
STEP = timedelta(seconds=0.25)
MAX_STEPS = 2000
DOCUMENTS: dict[str, dict[str, Any]] = {
    "free": {"overlap": "allow"},
    "serial": {"overlap": "queue"},
    "retried": {"overlap": "allow", "retries": {"limit": 1, "delay": 2, "on": ["timed_out"]}},
    "again": {"overlap": "allow", "retries": {"limit": 1, "delay": 2}},
    "narrow": {"overlap": "allow", "queue": "narrow"},
    "after": {"after": "free"},
    "hourly": {"schedules": [{"cron": "0 * * * *"}]},
    "other": {"schedules": [{"cron": "0 * * * *"}]},
    "late": {"schedules": [{"cron": "0 * * * *"}], "start_deadline": "5s"},
    "gated": {"schedules": [{"cron": "0 * * * *"}], "start_deadline": "7s", "after": "hourly"},
}
ASKED = ["free", "retried", "again", "serial", "serial", "narrow", "narrow", "retried", "again"]


class Calm:
    """A world without faults, whose engine never gets a tick. `boundaries` counts the points where others may commit.

    `at` has what another thread does at some of these places, by number.
    """

    def __init__(self, path: Path, seed: int = 0, executor: str = SimulatedExecutor.name) -> None:
        self.world = World(seed, path)
        self.world.machine.is_calm = True
        self.world.source.documents = {
            name: {"name": name, "command": ["true"], **fields} for name, fields in DOCUMENTS.items()
        }
        self.world.source.limits = {"narrow": 1}
        self.world.executor = executor
        self.world.boot()
        assert self.world.reconciler.run_pass().status.findings == ()
        self.at: dict[int, Callable[[], None]] = {}
        self.boundaries = 0

    def ask(self, *names: str) -> list[RunId]:
        """Request runs, as a user does."""
        return [trigger_run(self.world.operations, name, {}, author="nobody").id for name in names]

    def _between(self) -> None:
        """Let another thread commit, if it is due to do so at this point."""
        self.world.between = lambda: None
        action = self.at.get(self.boundaries)
        self.boundaries += 1
        try:
            if action is not None:
                action()
        finally:
            self.world.between = self._between

    def turn(self) -> None:
        """Run one turn of the engine, during which others may commit."""
        self.world.between = self._between
        try:
            self.world.iterate(is_tick=False)
        finally:
            self.world.between = lambda: None

    def settle(self) -> None:
        """Let time pass, without a tick, until all runs have ended."""
        for _ in range(MAX_STEPS):
            if not self.unfinished():
                return
            if self.world.readable() or sleeps_for(self.world.engine) <= 0:
                self.turn()
                continue
            self.world.pass_time(STEP)
        pytest.fail(f"not ended without a tick: {[(run.deployment, run.state) for run in self.unfinished()]}")

    def unfinished(self) -> list[Run]:
        with self.world.real_store.read() as tx:
            return select_all(tx, RunFilter(states=ACTIVE))

    def write_event(self) -> None:
        """Commit something that concerns no run, as the reconciler or the notifier does. This wakes nothing."""
        now = self.world.clock.now()
        event = Event(time=now, severity=EventSeverity.INFO, reason="Else", message="else", about="source")
        with self.world.real_store.write() as tx:
            events.append(tx, [event])

    def cancel_first(self) -> None:
        """Cancel the oldest run that has not ended."""
        if unfinished := self.unfinished():
            cancel_run(self.world.operations, unfinished[-1].id, "enough", author="nobody")

    def cancel_last(self) -> None:
        """Cancel the newest run that has not ended."""
        if unfinished := self.unfinished():
            cancel_run(self.world.operations, unfinished[0].id, "enough", author="nobody")

    def ask_more(self) -> None:
        """Request another run of a deployment with a run in progress."""
        self.ask("serial")

    def wait(self) -> None:
        """Let time pass during the turn."""
        self.world.pass_time(timedelta(seconds=0.7))


ACTIONS = (Calm.write_event, Calm.cancel_first, Calm.cancel_last, Calm.ask_more, Calm.wait)


@pytest.fixture
def database(migrated_database: Path, tmp_path: Path) -> Callable[[], Path]:
    """Return a function that creates a new database."""
    count = 0
    content = migrated_database.read_bytes()

    def create() -> Path:
        nonlocal count
        count += 1
        directory = tmp_path / f"world{count}"
        directory.mkdir()
        (directory / "state.db").write_bytes(content)
        return directory / "state.db"

    return create


Create = Callable[[], Path]


def play(path: Path, seed: int, actions: dict[int, Callable[[Calm], None]]) -> int:
    """Let all runs end while others act at these points. Return the number of points."""
    calm = Calm(path, seed)
    try:
        calm.at = {number: lambda action=action: action(calm) for number, action in actions.items()}  # type: ignore[misc]
        calm.ask(*ASKED)
        calm.settle()
        check_conservation(calm.world.engine, calm.world.real_store)
    finally:
        calm.world.close()
    return calm.boundaries


@pytest.mark.parametrize("action", ACTIONS)
def test_a_commit_between_any_two_transactions_delays_no_run(database: Create, action: Callable[[Calm], None]) -> None:
    places = play(database(), SEED, {})
    for place in range(0, places, 5 if THOROUGH else 50):
        play(database(), SEED, dict.fromkeys(range(place, place + 5), action))


@settings(max_examples=scaled(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 99), actions=st.dictionaries(st.integers(0, 300), st.sampled_from(ACTIONS), max_size=30))
def test_many_commits_of_other_threads_delay_no_run(
    database: Create, seed: int, actions: dict[int, Callable[[Calm], None]]
) -> None:
    play(database(), seed, actions)


@pytest.fixture
def calm(database: Create) -> Iterator[Calm]:
    """A world without runs."""
    made = Calm(database())
    yield made
    made.world.close()


def test_a_run_that_ends_although_it_could_be_retried_frees_its_slot_at_once(calm: Calm) -> None:
    calm.ask(*["retried"] * (MAX_RUNNING + 1))
    calm.turn()
    for _ in range(MAX_RUNNING):
        calm.cancel_first()
    calm.settle()


def test_the_slot_of_a_run_that_cannot_be_launched_is_free_at_once(calm: Calm) -> None:
    calm.world.machine.broken = {"again"}
    calm.ask(*["again"] * MAX_RUNNING, "free")
    calm.settle()


def test_a_shortage_that_ends_during_a_turn_delays_no_run_until_the_tick(database: Create) -> None:
    place, is_inside = 0, True
    while is_inside:
        calm = Calm(database())
        calm.world.machine.is_short = True
        calm.ask("free")
        calm.turn()
        assert 0 < sleeps_for(calm.world.engine) <= 1.0
        calm.world.machine.is_short = False
        calm.world.pass_time(timedelta(seconds=0.9))
        calm.boundaries, calm.at = 0, {place: calm.wait}
        calm.turn()
        place, is_inside = place + 1, place < calm.boundaries
        calm.settle()
        calm.world.close()


def test_a_retry_that_becomes_due_during_a_turn_is_not_left_until_the_tick(database: Create) -> None:
    place, is_inside = 0, True
    while is_inside:
        calm = Calm(database())
        [run_id] = calm.ask("again")
        with calm.world.real_store.write() as tx:
            later = calm.world.clock.now() + timedelta(seconds=0.5)
            runs.move(tx, run_id, expect=RunState.PENDING, to=RunState.RETRYING, attempt=1, not_before=later)

        def wait(calm: Calm = calm) -> None:
            calm.wait()
            calm.write_event()

        calm.boundaries, calm.at = 0, {place: wait}
        calm.turn()
        place, is_inside = place + 1, place < calm.boundaries
        calm.settle()
        calm.world.close()


def test_deadlines_that_pass_while_all_slots_are_in_use_are_recorded_without_a_tick(calm: Calm) -> None:
    world = calm.world
    calm.ask(*["free"] * MAX_RUNNING)
    calm.turn()
    world.pass_time(timedelta(hours=1))
    due = world.clock.now()
    for name in ("late", "gated", "hourly"):
        world.engine.notify_due(name)
    while world.clock.now() < due + timedelta(seconds=TICK_SECONDS):
        world.pass_time(timedelta(seconds=min(sleeps_for(world.engine), 1.0)))
        if sleeps_for(world.engine) <= 0:
            world.engine._wakeups.clear()
            world.engine._turn([], is_tick=False)  # no attempt becomes ready or ends
        assert len(world.engine._monitor) == MAX_RUNNING
    with world.real_store.read() as tx:
        skipped = {run.deployment: run for run in select_all(tx, RunFilter(states=(RunState.SKIPPED,)))}
    assert {name: run.finished_at for name, run in skipped.items()} == {
        "late": due + timedelta(seconds=5),
        "gated": due + timedelta(seconds=7),
    }


def test_a_due_time_missed_during_a_hold_runs_at_the_end_of_the_hold_without_a_tick(calm: Calm) -> None:
    world = calm.world
    until = world.clock.now() + timedelta(minutes=90)
    hold_deployment(world.operations, "hourly", "repairs", until, author="nobody")
    world.pass_time(timedelta(hours=1))
    world.engine.notify_due("hourly")
    while (seconds := sleeps_for(world.engine)) < TICK_SECONDS:
        world.pass_time(timedelta(seconds=seconds))
        calm.turn()
    assert calm.unfinished() == []
    world.pass_time(until - world.clock.now() - timedelta(seconds=3))
    assert sleeps_for(world.engine) == 3.0
    world.pass_time(timedelta(seconds=3))
    calm.turn()
    calm.turn()
    assert [run.deployment for run in calm.unfinished()] == ["hourly"]


def test_a_hold_wakes_the_engine_so_that_it_knows_when_the_hold_ends(calm: Calm) -> None:
    while sleeps_for(calm.world.engine) <= 0:
        calm.turn()
    until = calm.world.clock.now() + timedelta(seconds=4)
    hold_deployment(calm.world.operations, "hourly", "repairs", until, author="nobody")
    assert sleeps_for(calm.world.engine) == 0
    calm.turn()
    assert sleeps_for(calm.world.engine) == 4.0


def test_a_run_waits_for_no_tick_once_a_job_has_got_its_node(database: Create) -> None:
    calm = Calm(database(), executor=ClusterExecutor.name)
    calm.world.machine.room = 1
    calm.ask(*["free"] * 4)
    calm.settle()
    calm.world.close()


def backfill(calm: Calm) -> str:
    now = calm.world.clock.now()
    request = BackfillRequest(deployment="hourly", since=now - timedelta(hours=6), until=now)
    backfilled = create_backfill(calm.world.operations, request, author="nobody")
    assert backfilled.backfill_id is not None
    return backfilled.backfill_id


def settle_backfill(calm: Calm, backfill_id: str) -> BackfillState:
    """Let the engine act until it sleeps without a run in progress; return the state of the backfill then."""
    calm.settle()
    while sleeps_for(calm.world.engine) <= 0:
        calm.turn()
    with calm.world.real_store.read() as tx:
        found = backfills.find(tx, backfill_id)
    assert found is not None
    return found.state


def test_a_backfill_whose_runs_cannot_be_launched_ends_without_a_tick(
    calm: Calm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.runs.backfill_runs.PAGE", 2)
    monkeypatch.setattr("controller.runs.backfill_runs.REFILL", 1)
    calm.world.machine.broken = {"hourly"}
    assert settle_backfill(calm, backfill(calm)) is BackfillState.FAILED


def test_a_backfill_ends_with_the_cancellation_of_its_last_waiting_run(calm: Calm) -> None:
    backfill_id = backfill(calm)
    while calm.unfinished():
        calm.cancel_first()
    assert settle_backfill(calm, backfill_id) is BackfillState.FAILED


def test_a_due_time_that_could_not_be_decided_alone_is_decided_in_the_next_turn(database: Create) -> None:
    place, is_inside = 0, True
    while is_inside:
        calm = Calm(database())
        calm.world.engine._stopping.set()  # so that no turn waits after an error
        calm.world.pass_time(timedelta(hours=1))
        for name in ("hourly", "other"):
            calm.world.engine.notify_due(name)
        calm.boundaries = 0
        calm.at = {place: partial(fail, ValueError("a bug")), place + 1: partial(fail, StateError("disk is full"))}
        with suppress(ValueError):  # elsewhere it ends the engine
            calm.turn()
            calm.at = {}
            calm.turn()
            assert [run.deployment for run in calm.unfinished()] == ["other", "hourly"]
        place, is_inside = place + 1, place < calm.boundaries
        calm.world.close()


def fail(error: Exception) -> None:
    raise error
