"""While nothing happens, the notifier opens no write transaction: it would wake the notifier and all live views."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from controller.model.commit_statuses import CommitStatusSettings, Provider
from controller.model.notifications import Channel, NotifySettings
from controller.model.policies import EnvSecret
from controller.model.runs import RunState
from controller.notify import notifier as module
from controller.notify.commit_statuses import CommitStatuses
from controller.notify.evaluation import Evaluator
from controller.notify.heartbeats import Heartbeats
from controller.notify.notifier import Notifier, Step
from controller.notify.retention import MessageRetention
from controller.store import Store, incidents, messages
from tests.conftest import ManualClock, wait_until
from tests.postgresql import BOTH_DATABASES
from tests.unit.notify.deadline_world import DeadlineWorld

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
TURNS = 30


@pytest.fixture
def world(tmp_path: Path, store: Store, clock: ManualClock) -> DeadlineWorld:
    """One deployment fails, one is late, and one has a run in progress, a heartbeat and a manual run."""
    world = DeadlineWorld(tmp_path / "repo", store, clock)
    hourly = [{"cron": "0 * * * *"}]
    world.declare("a", schedules=hourly, expect={"finish_within": "2h"}, heartbeat="https://hc.example/ping/1")
    world.declare("fails", expect={"success_every": "1d"})
    world.declare("late", schedules=hourly, expect={"start_within": "10m"})
    return world


@pytest.fixture
def evaluator(world: DeadlineWorld) -> Evaluator:
    token = EnvSecret(env="TOKEN")
    settings = NotifySettings(
        channels={"ops": Channel(name="ops", url="json://localhost")},
        commit_status=CommitStatusSettings(provider=Provider.GITHUB, token=token),
    )
    return Evaluator(
        world.store,
        world.deployments,
        settings=lambda: settings,
        new_id=world.ids.new,
        deadlines=world.monitor,
        collectors=[Heartbeats(world.deployments, world.ids.new), CommitStatuses(lambda: settings, world.ids.new)],
        notices=lambda: (),
    )


def fail(world: DeadlineWorld, evaluator: Evaluator) -> None:
    """Have everything happen that leaves something open."""
    evaluator.evaluate(world.clock.now())
    world.clock.turn(HOUR)
    for run in world.admit("a", "late"):
        if run.deployment == "late":
            world.skip(run, "deadline")
    world.start(name="a")
    world.trigger("a")
    world.end(world.start(world.trigger("fails")), RunState.FAILED, reason="exit code 1")
    world.clock.turn(11 * MINUTE)


def settle(world: DeadlineWorld, evaluate: Callable[[], object]) -> None:
    """Evaluate until that commits nothing."""
    for _ in range(5):
        before = world.store.commits
        evaluate()
        if world.store.commits == before:
            return
    raise AssertionError("an evaluation causes the next one again and again")


@BOTH_DATABASES
def test_evaluations_without_news_open_no_write_transaction(world: DeadlineWorld, evaluator: Evaluator) -> None:
    fail(world, evaluator)
    settle(world, lambda: evaluator.evaluate(world.clock.now()))
    with world.store.read() as tx:
        assert len(incidents.find_open(tx)) == 2
        assert len(messages.latest(tx, limit=10, with_heartbeats=True)) == 3  # about two incidents, and a heartbeat
    before = world.store.writes.count
    for _ in range(TURNS):
        evaluator.evaluate(world.clock.turn(SECOND))
    assert world.store.writes.count == before
    world.end(name="a")
    world.end(world.start(world.trigger("fails")))
    settle(world, lambda: evaluator.evaluate(world.clock.now()))
    with world.store.read() as tx:
        assert [incident.key.partition("/")[0] for incident in incidents.find_open(tx)] == ["late"]


@BOTH_DATABASES
def test_turns_of_the_notifier_without_news_open_no_write_transaction(
    world: DeadlineWorld, evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(world, evaluator)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    store, polls = world.store, []
    count = Notifier._count_commits

    def count_polls(notifier: Notifier) -> int | None:
        polls.append(store.writes.count)
        world.clock.turn(SECOND)
        return count(notifier)

    monkeypatch.setattr(Notifier, "_count_commits", count_polls)
    steps = [
        Step(name="evaluation", work=evaluator.evaluate),
        Step(name="retention", work=MessageRetention(store).sweep),
    ]
    notifier = Notifier(steps, database=store.place, clock=world.clock)
    notifier.start()
    try:
        wait_until(lambda: len(polls) > TURNS and polls[-TURNS] == polls[-1])
    finally:
        notifier.stop()
    with store.read() as tx:
        assert len(incidents.find_open(tx)) == 2
