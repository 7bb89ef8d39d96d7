"""The hosts of a state on a server, and the end of the runs of a lost one."""

from datetime import timedelta

import pytest

from controller.errors import ConflictError, NotFoundError
from controller.model.hosts import Host, HostState
from controller.model.runs import Attempt, Run, RunState
from controller.operations.hosts import declare_lost
from controller.queries.runs import run_detail
from controller.state_url import StateUrl
from controller.store import events, run_transitions, runs, uncertain_runs
from controller.store.databases.postgresql import connect
from controller.store.hosts import find_hosts
from tests.conftest import NOW
from tests.postgresql import BOTH_DATABASES
from tests.unit.runs.conftest import World

RETRIES = "retries: {limit: 1, delay: 1m, on: [failed, crashed]}\n"


def declare(world: World, extra: str = "") -> None:
    world.declare(a=f"name: a\ncommand: ['true']\n{extra}")


def running(world: World, place: str | None) -> Run:
    """A run that was started at this place."""
    with world.store.write() as tx:
        run = world.admission.create_run(tx, "a", {})
        nonce = f"{run.id[-12:]}"
        attempt = Attempt(run_id=run.id, number=1, nonce=nonce, boot_id="b", state=RunState.LAUNCHING, place=place)
        run_transitions.claim(tx, [attempt])
        run_transitions.start(tx, [attempt], NOW)
    return run


def found(world: World) -> list[Host]:
    with world.store.read() as tx:
        return find_hosts(tx)


def see(url: StateUrl, place: str, ago: timedelta) -> None:
    with connect(url) as connection:
        connection.execute("INSERT INTO hosts VALUES ('default', %s, 7, '1', clock_timestamp() - %s)", (place, ago))


@BOTH_DATABASES
def test_a_host_is_known_from_its_runs_and_its_loss_ends_only_those(world: World) -> None:
    declare(world)
    lost, other, own = (running(world, place) for place in ("b:/runs", "b2:/runs", None))
    assert found(world) == [
        Host(name="b", state=HostState.AWAY, seen_at=None, running=1, directories=("/runs",)),
        Host(name="b2", state=HostState.AWAY, seen_at=None, running=1, directories=("/runs",)),
    ]
    answer = declare_lost(world.operations, "b", author="me")
    assert (answer.host, answer.run_ids) == ("b", (lost.id,))
    ended = world.find(lost)
    assert (ended.state, ended.reason) == (RunState.CRASHED, "outcome unknown: host b was declared lost")
    assert {world.find(run).state for run in (other, own)} == {RunState.RUNNING}
    with world.store.read() as tx:
        messages = {event.reason: event.message for event in events.latest(tx, 10)}
    assert messages["HostLost"] == "me declared host b lost; 1 run ended as crashed"
    assert "RunCrashed" in messages
    with pytest.raises(NotFoundError) as refused:
        declare_lost(world.operations, "b", author="me")
    assert refused.value.hint == "Hosts of this state: b2."


def test_the_runs_of_a_lost_host_are_retried(world: World) -> None:
    declare(world, RETRIES)
    run = running(world, "b:/runs")
    declare_lost(world.operations, "b", author="me")
    with world.store.read() as tx:
        [attempt] = runs.attempts_of(tx, run.id)
    assert (world.find(run).state, attempt.state) == (RunState.RETRYING, RunState.CRASHED)


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
def test_a_host_with_a_controller_is_not_lost(world: World, postgresql_url: StateUrl) -> None:
    declare(world)
    run = running(world, "b:/runs")
    see(postgresql_url, "b:/other", timedelta(seconds=20))
    see(postgresql_url, "c:/runs", timedelta(seconds=40))
    states = {host.name: host.state for host in found(world)}
    assert states == {"b": HostState.STANDBY, "c": HostState.AWAY}
    with pytest.raises(ConflictError, match="seen in the last 30 seconds"):
        declare_lost(world.operations, "b", author="me")
    assert world.find(run).state is RunState.RUNNING
    with connect(postgresql_url) as connection:
        connection.execute("UPDATE hosts SET seen_at = seen_at - interval '20 s'")
    assert declare_lost(world.operations, "b", author="me").run_ids == (run.id,)


def test_the_end_of_a_run_removes_the_mark(world: World) -> None:
    declare(world)
    run = running(world, "b:/runs")
    with world.store.write() as tx:
        uncertain_runs.mark(tx, {run.id: "host b is away"}, NOW)
        uncertain_runs.mark(tx, {run.id: "host b is away!"}, NOW + timedelta(minutes=1))
    with world.store.read() as tx:
        shown = run_detail(tx, run.id, NOW)
    assert (shown.uncertain_since, shown.uncertain_reason) == (NOW, "host b is away!")
    declare_lost(world.operations, "b", author="me")
    ended = world.find(run)
    assert (ended.uncertain_since, ended.uncertain_reason) == (None, None)
