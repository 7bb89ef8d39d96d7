"""Each start and end of a run is signalled to the monitor outside exactly once, and the controller's own work too."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from controller.model.notifications import Message
from controller.model.policies import EnvSecret
from controller.model.runs import RunState
from controller.notify.heartbeats import ControllerHeartbeat, Heartbeats
from controller.store import Store, heartbeats
from controller.store.notification_tables import heartbeats as heartbeats_table
from tests.conftest import NOW, ManualClock
from tests.unit.notify.deadline_world import DeadlineWorld

MINUTE = timedelta(minutes=1)
URL = "https://hc.example/ping/1"


@pytest.fixture
def world(tmp_path: Path, store: Store, clock: ManualClock) -> DeadlineWorld:
    world = DeadlineWorld(tmp_path / "repo", store, clock)
    world.declare(heartbeat=URL)
    world.declare("other")
    return world


@pytest.fixture
def sender(world: DeadlineWorld) -> Heartbeats:
    sender = Heartbeats(world.deployments, world.ids.new)
    assert collect(world, sender) == []
    return sender


def collect(world: DeadlineWorld, sender: Heartbeats) -> list[Message]:
    with world.store.write() as tx:
        return sender.collect(tx, world.clock.now())


def suffixes(world: DeadlineWorld, sender: Heartbeats) -> list[str]:
    messages = collect(world, sender)
    assert collect(world, sender) == []
    assert collect(world, Heartbeats(world.deployments, world.ids.new)) == []  # nothing is repeated after a restart
    return [message.payload["suffix"] for message in messages]


def test_the_start_and_the_end_of_a_run_are_signalled(world: DeadlineWorld, sender: Heartbeats) -> None:
    run = world.trigger()
    assert suffixes(world, sender) == []
    world.start(run)
    [message] = collect(world, sender)
    assert (message.state, message.channel, message.deployment, message.run_id) == (
        "heartbeat",
        "heartbeat/a",
        "a",
        run.id,
    )
    assert message.payload == {"suffix": "/start"}
    world.end(run)
    [message] = collect(world, sender)
    assert message.payload == {"suffix": ""}
    with world.store.read() as tx:
        assert sender.find_url(tx, message) == URL
    assert suffixes(world, sender) == []


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED])
def test_a_failure_is_signalled_with_its_reason(world: DeadlineWorld, sender: Heartbeats, state: RunState) -> None:
    run = world.start(world.trigger())
    world.end(run, state, reason="exit code 3")
    start, failure = collect(world, sender)
    assert (start.payload["suffix"], failure.payload["suffix"]) == ("/start", "/fail")
    assert start.body == f"Run {run.id} started"
    assert failure.body == f"Run {run.id} {state.value.replace('_', ' ')}: exit code 3"
    assert failure.reason == "exit code 3"


def test_every_run_is_signalled_however_they_overlap(world: DeadlineWorld, sender: Heartbeats) -> None:
    first, second, third = (world.trigger() for _ in range(3))
    world.start(second)
    assert suffixes(world, sender) == ["/start"]
    world.start(first)
    world.end(second)
    world.start(third)
    world.end(third, RunState.FAILED)
    assert suffixes(world, sender) == ["/start", "", "/start", "/fail"]
    world.clock.turn(100 * MINUTE)
    world.trigger("other")
    assert suffixes(world, sender) == []
    world.end(first)
    assert suffixes(world, sender) == [""]


def test_a_retry_is_signalled_with_its_run(world: DeadlineWorld, sender: Heartbeats) -> None:
    world.declare(heartbeat=URL, retries={"limit": 1, "delay": "1m"})
    run = world.start(world.trigger())
    world.end(run, RunState.FAILED)
    assert suffixes(world, sender) == ["/start"]
    world.start()
    assert suffixes(world, sender) == []
    world.end()
    assert suffixes(world, sender) == [""]


def test_cancelled_and_skipped_runs_have_no_end(world: DeadlineWorld, sender: Heartbeats) -> None:
    waiting, skipped = world.trigger(), world.trigger()
    world.cancel(waiting)
    world.skip(skipped, "overlap")
    assert suffixes(world, sender) == []


def test_earlier_runs_and_those_of_other_deployments_are_not_signalled(world: DeadlineWorld) -> None:
    world.start(world.trigger())
    sender = Heartbeats(world.deployments, world.ids.new)
    assert suffixes(world, sender) == []
    world.clock.turn(MINUTE)
    world.start(world.trigger("other"))
    assert suffixes(world, sender) == []


def test_a_heartbeat_that_was_removed_is_not_signalled_and_leaves_no_records(
    world: DeadlineWorld, sender: Heartbeats
) -> None:
    world.start(world.trigger())
    [message] = collect(world, sender)
    world.declare()
    assert suffixes(world, sender) == []
    with world.store.read() as tx:
        assert sender.find_url(tx, message) is None
        assert heartbeats.newest_id(tx) is None
    world.end(world.start(world.trigger()))
    world.clock.turn(MINUTE)
    world.declare(heartbeat={"env": "PING_URL"})
    assert suffixes(world, sender) == []
    with world.store.read() as tx:
        assert sender.find_url(tx, message) == EnvSecret(env="PING_URL")


def test_the_records_stay_few(world: DeadlineWorld, sender: Heartbeats) -> None:
    for _ in range(20):
        world.clock.turn(MINUTE)
        world.trigger("other")
        world.end(world.start(world.trigger()))
        assert suffixes(world, sender) == ["/start", ""]
    with world.store.read() as tx:
        rows = tx.connection.execute(select(func.count()).select_from(heartbeats_table)).scalar()
        assert rows is not None
        assert 0 < rows <= 3


class Ticks(ManualClock):
    """A clock whose monotonic time a test sets."""

    def monotonic(self) -> float:
        return self.elapsed()


def test_the_controller_has_a_heartbeat_each_minute_while_all_threads_progress() -> None:
    clock = Ticks(NOW)
    stamps = [0.0, 0.0]
    heartbeat = ControllerHeartbeat(clock, lambda: stamps)
    assert heartbeat.is_due()
    assert not heartbeat.is_due()
    clock.turn(MINUTE)
    assert heartbeat.is_due()
    clock.turn(5 * MINUTE)
    stamps[0] = clock.monotonic()
    assert not heartbeat.is_due()  # the second thread has stalled
    stamps[1] = clock.monotonic()
    assert heartbeat.is_due()
