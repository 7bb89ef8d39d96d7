"""The number of SQL statements does not grow with the number of deployments that are due, or of runs that end."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from controller.model.runs import Attempt, Run, RunOutcome, RunState
from controller.runs.outcomes import record_outcomes
from controller.runs.upstreams import Upstreams
from controller.store import run_transitions
from tests.unit.runs.conftest import World
from tests.unit.runs.counting import counted, counted_lookups

HOUR = timedelta(hours=1)

pytestmark = pytest.mark.parametrize("start", ["cold"])


def hourly(name: str, extra: str = "") -> str:
    return f"name: {name}\ncommand: ['true']\nschedules: [{{cron: '0 * * * *'}}]\n{extra}"


@pytest.mark.parametrize(
    ("extra", "hours"), [("", 1), ("overlap: queue\n", 1), ("suspend: true\n", 1), ("", 3)], ids=str
)
def test_due_times_of_many_deployments_are_decided_with_as_many_statements_as_one(
    world: World, extra: str, hours: int
) -> None:
    names = [f"d{number:03}" for number in range(300)]
    world.declare(many="---\n".join(hourly(name, extra) for name in names))
    world.clock.turn(hours * HOUR)
    counts = []
    for due in (names[:1], names[1:]):
        with counted() as statements, world.store.write() as tx:
            created = world.admission.process_due(tx, due, world.clock.now())
        assert len(created) in (0, len(due))
        counts.append(len(statements))
    assert counts[0] == counts[1] <= 12


def state_changes(world: World, created: Sequence[Run]) -> list[int]:
    """Let these runs be claimed, start and succeed. Return the number of statements of each."""
    now = world.clock.now()
    attempts = [Attempt(run_id=run.id, number=1, nonce="n", boot_id="b", state=RunState.LAUNCHING) for run in created]
    running = [replace(run, state=RunState.RUNNING, attempt=1, started_at=now) for run in created]
    succeeded = RunOutcome(state=RunState.SUCCEEDED, exit_code=0, result={"rows": 1})
    counts = []
    with counted_lookups() as lookups:
        with counted() as claiming, world.store.write() as tx:
            claimed = run_transitions.claim(tx, attempts)
        with counted() as starting, world.store.write() as tx:
            started = run_transitions.start(tx, attempts, now)
        with counted() as ending, world.store.write() as tx:
            ended = record_outcomes(tx, [(run, succeeded) for run in running], now)
        counts = [len(statements) for statements in (claiming, starting, ending)]
    assert claimed == started == {run.id for run in ended} == {run.id for run in created}
    assert {world.find(run).result["rows"] for run in created[:3]} == {1}
    assert lookups == []
    return counts


def test_many_runs_start_and_end_with_as_many_statements_as_one_and_none_is_compiled_again(world: World) -> None:
    names = [f"d{number:03}" for number in range(300)]
    world.declare(many="---\n".join(hourly(name) for name in names))
    world.clock.turn(HOUR)
    with world.store.write() as tx:
        created = world.admission.process_due(tx, names, world.clock.now())
    assert len(created) == 300
    one, many = state_changes(world, created[:1]), state_changes(world, created[1:])
    assert one == many == [3, 3, 5]


def test_finished_upstream_runs_are_looked_for_only_after_commits_that_may_have_ended_a_run(world: World) -> None:
    world.declare(up=hourly("up"), down="name: down\ncommand: ['true']\nafter: up\n")
    world.clock.turn(HOUR)
    with world.store.write() as tx:
        [run] = world.admission.process_due(tx, ["up"], world.clock.now())
    upstreams = Upstreams(world.store, world.clock, world.admission)
    with counted() as first:
        upstreams.process(everything=False)
    with world.store.write() as tx:
        run_transitions.claim(tx, [Attempt(run_id=run.id, number=1, nonce="n", boot_id="b", state=RunState.LAUNCHING)])
    upstreams.confirm(tx.number)
    with counted() as confirmed:
        upstreams.process(everything=False)
    assert len(first) == 1
    assert confirmed == []
    launching = replace(run, state=RunState.LAUNCHING, attempt=1)
    with world.store.write() as tx:
        record_outcomes(tx, [(launching, RunOutcome(state=RunState.SUCCEEDED, exit_code=0))], world.clock.now())
    with world.store.write() as tx:
        pass
    upstreams.confirm(tx.number)
    assert upstreams.process(everything=False)
    assert [run.deployment for run in world.all_runs()] == ["up", "down"]
