"""Gates and events against a small model: random ends of runs, retries, delays and kills, in any order.

Every upstream run that finishes as required releases exactly once, and every due time is released, skipped with a
reason, or says for what it waits.
"""

import shutil
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.errors import ControllerError
from controller.model.gates import UPSTREAM
from controller.model.runs import Run, RunState, Trigger
from controller.operations.retry import retry_run
from controller.operations.trigger import trigger_run
from controller.runs.upstreams import Upstreams
from controller.sources.directory.source import DirectorySource
from controller.store import Store, finished_upstreams
from tests.conftest import ManualClock
from tests.simulation.world import FragileStore, Killed
from tests.thoroughness import scaled
from tests.unit.runs.conftest import World
from tests.unit.runs.upstreams import HOUR, deployment, due, end, ledger, of, waiting

DOCUMENTS = {
    "a": deployment("a"),
    "b": deployment("b", schedule=""),
    "gate": deployment("gate", "after: [a, b]\noverlap: allow\n"),
    "all": deployment("all", "after: [a, b]\n", schedule=""),
    "any": deployment("any", "after: {deployments: [a, b], any: true}\n", schedule=""),
}
END = [RunState.SUCCEEDED, RunState.SUCCEEDED, RunState.FAILED, RunState.SKIPPED]
STEPS = st.one_of(
    st.tuples(st.just("hour"), st.permutations(["a", "gate"])),
    st.tuples(st.just("trigger"), st.just("b")),
    st.tuples(st.just("end"), st.sampled_from("ab"), st.integers(0, 3), st.sampled_from(END)),
    st.tuples(st.just("retry"), st.sampled_from("ab"), st.integers(0, 3)),
    st.tuples(st.just("evaluate"), st.booleans(), st.integers(0, 4)),
)


@dataclass
class Model:
    """The upstream runs that have to release runs of the deployments without schedules, from the order of the ends."""

    counted: set[str] = field(default_factory=set)
    pending: dict[str, str] = field(default_factory=dict)
    any: list[set[str]] = field(default_factory=list)
    all: list[set[str]] = field(default_factory=list)

    def finish(self, run: Run, chain: str) -> None:
        """Count a run that has succeeded."""
        if chain in self.counted:
            return
        self.counted.add(chain)
        self.any.append({run.id})
        self.pending[run.deployment] = run.id
        if len(self.pending) == 2:
            self.all.append(set(self.pending.values()))
            self.pending = {}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, migrated_database: Path) -> Path:
    """A folder with the documents and a database in which they are active."""
    root = tmp_path_factory.mktemp("template")
    shutil.copy(migrated_database, root / "state.db")
    (root / "deployments").mkdir()
    world = open_world(root, root / "state.db")
    world.declare(**DOCUMENTS)
    world.store.close()
    return root


def open_world(root: Path, database: Path) -> World:
    source = DirectorySource(root, path="deployments")
    return World(root, root, Store.open(database), ManualClock(), source)


@given(st.lists(STEPS, max_size=25))
@settings(max_examples=scaled(150), deadline=None)
def test_gates_and_events_follow_the_model(template: Path, steps: list[tuple[object, ...]]) -> None:
    database = Path(shutil.copy(template / "state.db", template / "copy.db"))
    world, model = open_world(template, database), Model()
    try:
        for step in steps:
            take_step(world, model, step)
            check_waiting(world)
        evaluate(world, everything=True, kill_at=0)
        check_waiting(world)
        check_events(world, model)
        check_gates(world)
    finally:
        world.store.close()


def take_step(world: World, model: Model, step: tuple[object, ...]) -> None:
    match step:
        case ("hour", [*names]):
            world.clock.turn(HOUR)
            due(world, *map(str, names))
        case ("trigger", str(name)):
            world.clock.turn(timedelta(seconds=1))
            trigger_run(world.operations, name, {}, author="me")
        case ("end", str(name), int(position), RunState() as state):
            unfinished = [run for run in of(world, name) if not run.state.is_terminal]
            if position < len(unfinished):
                run = end(world, unfinished[position], state)
                if state is RunState.SUCCEEDED:
                    model.finish(run, chain(world, run))
        case ("retry", str(name), int(position)):
            finished = [run for run in of(world, name) if run.state.is_terminal]
            if position < len(finished):
                try:
                    retry_run(world.operations, finished[position].id, author="me")
                except ControllerError:  # another retry is unfinished
                    return
        case ("evaluate", bool(everything), int(kill_at)):
            evaluate(world, everything=everything, kill_at=kill_at)


def evaluate(world: World, *, everything: bool, kill_at: int) -> None:
    """Evaluate what has finished; the controller is killed before or after its `kill_at`th commit, if that is not 0."""
    countdown = kill_at

    def fault() -> None:
        nonlocal countdown
        countdown -= 1
        if countdown == 0:
            raise Killed

    store = cast("Store", FragileStore(world.store, fault))
    try:
        Upstreams(store, world.clock, world.admission).process(everything=everything)
    except Killed:
        return


def chain(world: World, run: Run) -> str:
    """Return the due time of a run, or the first run of its chain of retries."""
    if run.scheduled_for is not None:
        return f"{run.deployment} {run.scheduled_for}"
    while run.retry_of is not None:
        run = next(other for other in world.all_runs() if other.id == run.retry_of)
    return run.id


def check_waiting(world: World) -> None:
    """Check that no run waits without saying for what."""
    reasons = waiting(world)
    for run in of(world, "gate"):
        if run.state is RunState.SKIPPED:
            assert run.reason is not None
            assert run.reason.startswith(UPSTREAM)
        elif not run.upstream:
            assert reasons["gate"] is not None
            assert reasons["gate"].startswith("for ")


def check_events(world: World, model: Model) -> None:
    for name, expected in (("any", model.any), ("all", model.all)):
        assert [{upstream.run_id for upstream in run.upstream} for run in of(world, name)] == expected
    with world.store.read() as tx:
        assert finished_upstreams.find(tx, 1) == {}


def check_gates(world: World) -> None:
    """Check the last run of each due time of `gate` against what is recorded about its upstream deployments."""
    states = {row.scheduled_for: row.state for row in ledger(world, "a")}
    previous = {row.scheduled_for: row.scheduled_for - HOUR for row in ledger(world, "gate")}
    for due_time, since in previous.items():
        runs_of_time = [run for run in of(world, "gate") if run.scheduled_for == due_time]
        assert [run.state for run in runs_of_time[:-1]] == [RunState.SKIPPED] * (len(runs_of_time) - 1)
        last = runs_of_time[-1]
        assert last.trigger is Trigger.SCHEDULE
        if last.upstream:
            assert {upstream.deployment for upstream in last.upstream} == {"a", "b"}
        elif last.created_at + timedelta(hours=23) > world.clock.now():
            since_then = [run.state for run in of(world, "b") if run.created_at > since]
            is_a_open = states[due_time] is RunState.SUCCEEDED
            assert not (is_a_open and RunState.SUCCEEDED in since_then)
