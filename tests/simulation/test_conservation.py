"""The engine starts every run as soon as it can, without a tick, whatever other threads commit during its turns."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.model.runs import ACTIVE, Run, RunId, RunState
from controller.model.status import Event, EventSeverity
from controller.operations.cancel import cancel_run
from controller.operations.trigger import trigger_run
from controller.store import events
from controller.store.run_search import RunFilter, select_all
from tests.simulation.conservation import check_conservation, sleeps_for
from tests.simulation.machine import SimulatedExecutor
from tests.simulation.world import World

STEP = timedelta(seconds=0.25)
MAX_STEPS = 2000
DOCUMENTS: dict[str, dict[str, Any]] = {
    "free": {"overlap": "allow"},
    "serial": {"overlap": "queue"},
    "retried": {"overlap": "allow", "retries": {"limit": 1, "delay": 2, "on": ["timed_out"]}},
    "narrow": {"overlap": "allow", "queue": "narrow"},
    "after": {"after": "free"},
}
ASKED = ["free", "free", "retried", "serial", "serial", "narrow", "narrow", "free", "retried", "retried"]


class Calm:
    """A world without faults, whose engine never gets a tick. `boundaries` counts the places where others may commit.

    `at` has what another thread does at some of these places, by number.
    """

    def __init__(self, path: Path, seed: int = 0) -> None:
        self.world = World(seed, path)
        self.world.machine.is_calm = True
        self.world.source.documents = {
            name: {"name": name, "command": ["true"], **fields} for name, fields in DOCUMENTS.items()
        }
        self.world.source.limits = {"narrow": 1}
        self.world.executor = SimulatedExecutor.name
        self.world.boot()
        assert self.world.reconciler.run_pass().status.findings == ()
        self.at: dict[int, Callable[[], None]] = {}
        self.boundaries = 0

    def ask(self, *names: str) -> list[RunId]:
        """Request runs, as a user does."""
        return [trigger_run(self.world.operations, name, {}, author="nobody").id for name in names]

    def _between(self) -> None:
        """Let another thread commit, if it does so here."""
        self.world.between = lambda: None
        action = self.at.get(self.boundaries)
        if action is not None:
            action()
        self.boundaries += 1
        self.world.between = self._between

    def turn(self) -> None:
        """Run one turn of the engine, during which others may commit."""
        self.world.between = self._between
        try:
            self.world.iterate(is_tick=False)
        finally:
            self.world.between = lambda: None

    def settle(self) -> None:
        """Let time pass until all runs have ended. No tick helps."""
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
        """Commit something that concerns no run, as the reconciler or the notifier does. Nobody is woken."""
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
def database(migrated_database: Path, tmp_path: Path) -> Iterator[Callable[[], Path]]:
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

    yield create


Create = Callable[[], Path]


def play(path: Path, seed: int, actions: dict[int, Callable[[Calm], None]]) -> int:
    """Let all runs end while others act at these places. Return how many places there were."""
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
def test_a_commit_between_any_two_transactions_delays_no_run(
    database: Create, action: Callable[[Calm], None]
) -> None:
    places = play(database(), 0, {})
    for place in range(0, places, 3):
        play(database(), 0, {place: action, place + 1: action})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 99), actions=st.dictionaries(st.integers(0, 300), st.sampled_from(ACTIONS), max_size=30))
def test_many_commits_of_other_threads_delay_no_run(
    database: Create, seed: int, actions: dict[int, Callable[[Calm], None]]
) -> None:
    play(database(), seed, actions)
