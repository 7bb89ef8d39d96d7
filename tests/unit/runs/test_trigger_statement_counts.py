"""The number of SQL statements does not grow with the number of deployments that wait for upstream deployments.

Only events are recorded in groups, to need little memory. One deployment has one group of events, many have several.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from controller.model.runs import Run, RunState
from controller.operations.retry import retry_run
from controller.operations.trigger import trigger_run
from controller.runs.queue import MAX_LATE
from controller.runs.upstreams import BATCH
from controller.store.batches import SIZE, groups
from tests.thoroughness import scaled
from tests.unit.runs.conftest import World
from tests.unit.runs.counting import counted
from tests.unit.runs.upstreams import HOUR, HOURLY, deployment, end_all, process

pytestmark = pytest.mark.parametrize("start", ["cold"])

MANY = scaled(3_000)
"""In a short test still more names than one list of a statement should contain."""
MANY_UPSTREAMS = scaled(500)
"""Fewer than `MANY`, because each of their runs is requested with a transaction of its own."""
MORE_EVENTS = 2 * (-(-MANY // SIZE) - 1)
"""The statements that record one event for each of `MANY` deployments, beyond those for one deployment.

Each group of events needs two: one reads the tags of the deployments, and one writes the events.
"""


@dataclass
class Group:
    """Upstream deployments, and the deployments that wait for them."""

    world: World
    upstreams: list[str]
    dependants: list[str]

    def due(self) -> None:
        """Decide the due times of the group."""
        with self.world.store.write() as tx:
            self.world.admission.process_due(tx, [*self.upstreams, *self.dependants], self.world.clock.now())

    def runs_of(self, names: list[str]) -> list[Run]:
        return [run for run in self.world.all_runs() if run.deployment in set(names)]

    def end_upstreams(self, state: RunState = RunState.SUCCEEDED) -> None:
        """Let all waiting runs of the upstream deployments end. Nobody evaluates that yet."""
        self.end(self.upstreams, state)

    def end(self, names: list[str], state: RunState = RunState.SUCCEEDED) -> None:
        end_all(self.world, [run for run in self.runs_of(names) if run.state is RunState.PENDING], state)

    def states(self) -> set[tuple[RunState, int]]:
        """Return the state of the runs of the dependants, and how many upstream runs they have."""
        return {(run.state, len(run.upstream)) for run in self.runs_of(self.dependants)}


def declare(world: World, upstream: str, dependant: str, *, each: bool = False) -> list[Group]:
    """Declare a group with one dependant and one with many. Each dependant has an upstream of its own with `each`.

    `UP` in a document is the name of the upstream deployment.
    """
    declared = []
    documents = []
    for letter, size in (("a", 1), ("b", MANY_UPSTREAMS if each else MANY)):
        upstreams = [f"up-{letter}{number}" for number in range(size if each else 1)]
        dependants = [f"d-{letter}{number}" for number in range(size)]
        documents += [deployment(name, upstream, schedule="") for name in upstreams]
        documents += [
            deployment(name, dependant.replace("UP", upstreams[number % len(upstreams)]), schedule="")
            for number, name in enumerate(dependants)
        ]
        declared.append(Group(world, upstreams, dependants))
    files = groups(documents)  # one file with all of them would have too many values
    world.declare(**{f"file-{number}": "---\n".join(file) for number, file in enumerate(files)})
    world.clock.turn(HOUR)
    return declared


def count(act: Callable[[], object]) -> int:
    with counted() as statements:
        act()
    return len(statements)


def trigger_upstreams(group: Group) -> None:
    for name in group.upstreams:
        trigger_run(group.world.operations, name, {}, author="me")


def retry_upstreams(group: Group) -> None:
    for run in group.runs_of(group.upstreams):
        retry_run(group.world.operations, run.id, author="me")


GATES = [(HOURLY, False), (HOURLY, True), ("", False), ("", True)]
"""Whether the upstream deployments have schedules, and whether each dependant has one of its own."""


@pytest.mark.parametrize(("schedule", "each"), GATES)
def test_due_times_that_wait_are_created_with_as_many_statements_as_one(
    world: World, schedule: str, *, each: bool
) -> None:
    counts = [count(group.due) for group in declare(world, schedule, f"after: UP\n{HOURLY}", each=each)]
    assert counts[0] == counts[1]


@pytest.mark.parametrize(("schedule", "each"), GATES)
def test_waiting_due_times_are_released_with_as_many_statements_as_one(
    world: World, schedule: str, *, each: bool
) -> None:
    counts = []
    for group in declare(world, schedule, f"after: UP\n{HOURLY}", each=each):
        group.due()
        waiting = count(lambda: process(world, everything=True))
        if not schedule:
            trigger_upstreams(group)
        group.end_upstreams()
        counts.append((waiting, count(lambda: process(world))))
        assert group.states() == {(RunState.PENDING, 1)}
    batches = -(-MANY_UPSTREAMS // BATCH) if each else 1
    assert counts[1][0] <= counts[0][0]
    assert counts[1][1] <= batches * counts[0][1]


@pytest.mark.parametrize(("schedule", "each"), GATES)
def test_due_times_are_skipped_and_opened_again_with_as_many_statements_as_one(
    world: World, schedule: str, *, each: bool
) -> None:
    counts = []
    for group in declare(world, schedule, f"after: UP\n{HOURLY}", each=each):
        group.due()
        if not schedule:
            trigger_upstreams(group)
        group.end_upstreams(RunState.FAILED)
        skipping = count(lambda: process(world))
        assert group.states() == {(RunState.SKIPPED, 0)}
        waiting = count(lambda: process(world, everything=True))
        retry_upstreams(group)
        group.end_upstreams()
        opening = count(lambda: process(world))
        assert group.states() == {(RunState.SKIPPED, 0), (RunState.PENDING, 1)}
        counts.append((waiting, skipping, opening))
    batches = -(-MANY_UPSTREAMS // BATCH) if each else 1
    more = 0 if each else MORE_EVENTS
    assert counts[1][0] <= counts[0][0]
    assert counts[1][1] <= batches * counts[0][1] + more
    assert counts[1][2] <= batches * counts[0][2] + more


@pytest.mark.parametrize(("schedule", "each"), GATES)
def test_due_times_are_repeated_with_as_many_statements_as_one(world: World, schedule: str, *, each: bool) -> None:
    counts = []
    for group in declare(world, schedule, f"after: {{deployment: UP, on_redo: run}}\n{HOURLY}", each=each):
        group.due()
        if not schedule:
            trigger_upstreams(group)
        group.end_upstreams()
        process(world)
        retry_upstreams(group)
        group.end_upstreams()
        marking = count(lambda: process(world))
        waiting = count(lambda: process(world, everything=True))
        assert len(group.runs_of(group.dependants)) == len(group.dependants)
        group.end(group.dependants)
        repeating = count(lambda: process(world, everything=True))
        assert group.states() == {(RunState.SUCCEEDED, 1), (RunState.PENDING, 1)}
        counts.append((waiting, repeating, marking))
    batches = -(-MANY_UPSTREAMS // BATCH) if each else 1
    assert counts[1][0] <= counts[0][0]
    assert counts[1][1] <= counts[0][1] + (0 if each else MORE_EVENTS)
    assert counts[1][2] <= batches * counts[0][2]


@pytest.mark.parametrize(("overlap", "each"), [("skip", False), ("replace", False), ("replace", True)])
def test_dependants_are_started_with_as_many_statements_as_one(world: World, overlap: str, *, each: bool) -> None:
    counts = []
    for group in declare(world, "", f"after: UP\noverlap: {overlap}\n", each=each):
        of_group = []
        for _ in range(2):  # the second run of each replaces the first one
            trigger_upstreams(group)
            group.end_upstreams()
            of_group.append(count(lambda: process(world)))
        counts.append(of_group)
        assert len(group.runs_of(group.dependants)) == 2 * len(group.dependants)
    batches = -(-MANY_UPSTREAMS // BATCH) if each else 1
    more = MORE_EVENTS if overlap == "replace" and not each else 0  # the replaced runs have events
    assert counts[1][0] <= batches * counts[0][0]
    assert counts[1][1] <= batches * counts[0][1] + more


def test_due_times_that_did_not_start_in_time_are_skipped_with_as_many_statements_as_one(world: World) -> None:
    counts = []
    for group in declare(world, HOURLY, f"after: UP\nstart_deadline: 10m\n{HOURLY}"):
        group.due()
        group.end_upstreams()
        process(world)
        assert group.states() == {(RunState.PENDING, 1)}
        world.clock.turn(HOUR / 2)
        counts.append(count(lambda: process(world)))
        for _ in range(MANY // MAX_LATE):
            process(world)
        assert group.states() == {(RunState.SKIPPED, 1)}
        world.clock.turn(HOUR / 2)
    assert counts[0] == counts[1]


def test_waiting_due_times_of_pruned_deployments_are_skipped_with_as_many_statements_as_one(world: World) -> None:
    counts = []
    for group in declare(world, HOURLY, f"after: UP\n{HOURLY}"):
        group.due()
        now = world.clock.now()
        with counted() as statements, world.store.write() as tx:
            world.admission.settle_before_change(tx, group.dependants, now, pruned=True)
        assert group.states() == {(RunState.SKIPPED, 0)}
        counts.append(len(statements))
    assert counts[1] == counts[0] + MORE_EVENTS


def test_late_due_times_are_skipped_with_as_many_statements_as_one(world: World) -> None:
    counts = []
    for group in declare(world, HOURLY, f"after: UP\nstart_deadline: 10m\n{HOURLY}"):
        group.due()
        world.clock.turn(HOUR / 2)
        counts.append(count(lambda: process(world)))
        for _ in range(MANY // MAX_LATE):
            process(world)
        assert group.states() == {(RunState.SKIPPED, 0)}
        world.clock.turn(HOUR / 2)
    assert counts[0] == counts[1]
