"""Runs of an engine whose flows are jobs of a cluster, while the cluster and the controller fail."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.model.runs import Run, RunState
from controller.operations.cancel import cancel_run
from controller.runs.executors.remote.seat import Stage
from controller.store.runs import count_in_progress
from tests.conftest import PATIENCE_SECONDS, wait_until
from tests.process_engine import ProcessEngine
from tests.remote_parts import AdvancedClock, RemoteController, free_port, passing_time
from tests.unit.runs.conftest import GRACE, PATH, World, attempts
from tests.unit.runs.test_supervisor import is_gone

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("start", ["cold"])]

WAITS = "echo began >> starts; echo $$ > pid; while [ ! -e gate ]; do sleep 0.02; done"


@dataclass(slots=True)
class Cluster:
    """A cluster with a deployment `slow`, whose flow runs until `open_gate`. `start` and `stop` a controller."""

    world: World
    engine: ProcessEngine
    clock: AdvancedClock
    remote: RemoteController
    _stack: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        executor = self.remote.open()
        self.world.start(remote=executor)
        self._stack.enter_context(passing_time(executor, self.engine, self.clock))

    def stop(self) -> None:
        self._stack.close()
        self.world.stop()
        self.remote.close()

    def run(self) -> Run:
        """Trigger a run."""
        return self.world.trigger("slow")

    def begin(self) -> Run:
        """Trigger a run, and wait until its flow runs."""
        run = self.run()
        wait_until(lambda: self.flow_pid)
        return run

    def submit_while_full(self) -> Run:
        """Trigger a run, and wait until the full cluster has its job."""
        self.engine.set_full(True)
        run = self.run()
        wait_until(lambda: self.engine.jobs)
        return run

    def check_start_by_next_controller(self, run: Run) -> None:
        """Start another controller, give the waiting job its node, and check that the flow starts once."""
        self.stop()
        self.engine.set_full(False)
        self.start()
        wait_until(lambda: self.flow_pid)
        self.check_single_start(run)

    def check_single_start(self, run: Run) -> None:
        """Let the flow end, and check that it has succeeded and was started once."""
        self.open_gate()
        assert self.world.wait(run).state is RunState.SUCCEEDED
        assert self.starts == 1

    def open_gate(self) -> None:
        (self.home / "gate").touch()

    @property
    def home(self) -> Path:
        """The working directory of the flow."""
        return self.world.state / "home"

    @property
    def flow_pid(self) -> int:
        """The process of the flow; 0 if it was never started."""
        path = self.home / "pid"
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        return int(text) if text.endswith("\n") else 0

    @property
    def starts(self) -> int:
        path = self.home / "starts"
        return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


@pytest.fixture
def cluster(world: World) -> Iterator[Cluster]:
    clock = AdvancedClock()
    engine = ProcessEngine(world.state / "cluster", PATH)
    remote = RemoteController(world.state, world.store, clock, engine, free_port(), GRACE)
    made = Cluster(world, engine, clock, remote)
    made.home.mkdir()
    world.declare(slow=f"name: slow\ncommand: [sh, -c, 'cd {made.home}; {WAITS}']\n")
    made.start()
    yield made
    made.stop()
    engine.close()


def test_a_run_ends_and_its_job_is_removed_from_the_cluster(cluster: Cluster) -> None:
    run = cluster.begin()
    [job] = cluster.engine.jobs
    cluster.open_gate()
    assert cluster.world.wait(run).state is RunState.SUCCEEDED
    [attempt] = attempts(cluster.world, run)
    assert (attempt.job_id, attempt.executor) == (job, "process")
    assert None not in (attempt.instance, attempt.node, attempt.session, attempt.code, attempt.ticket)
    wait_until(lambda: not cluster.engine.jobs)


def test_a_job_that_the_cluster_starts_twice_starts_its_flow_once(cluster: Cluster) -> None:
    run = cluster.begin()
    [job] = cluster.engine.jobs
    cluster.engine.repeat(job)
    wait_until(lambda: len(cluster.engine.runners(job)) == 1)
    assert not is_gone(cluster.flow_pid)
    cluster.check_single_start(run)


def test_runners_that_ask_at_the_same_time_start_the_flow_once(cluster: Cluster) -> None:
    run = cluster.submit_while_full()
    [job] = cluster.engine.jobs
    for _ in range(3):
        cluster.engine.repeat(job)
    cluster.engine.set_full(False)
    wait_until(lambda: cluster.flow_pid and len(cluster.engine.runners(job)) == 1)
    cluster.check_single_start(run)


def test_a_run_whose_node_is_lost_has_crashed(cluster: Cluster) -> None:
    run = cluster.begin()
    [job] = cluster.engine.jobs
    cluster.engine.lose_job(job)
    ended = cluster.world.wait(run)
    assert (ended.state, ended.reason) == (
        RunState.CRASHED,
        "outcome unknown: its node was lost: process: its process has ended",
    )
    assert is_gone(cluster.flow_pid)
    wait_until(lambda: not cluster.engine.jobs)


def test_a_flow_goes_on_although_the_cluster_forgets_its_job(cluster: Cluster) -> None:
    run = cluster.begin()
    cluster.engine.change_session()
    cluster.clock.advance += 25  # a runner is silent after 30 seconds
    assert cluster.world.find(run).state is RunState.RUNNING
    cluster.check_single_start(run)


def test_a_job_that_is_forgotten_before_its_start_is_launched_again(cluster: Cluster) -> None:
    run = cluster.submit_while_full()
    [first] = cluster.engine.jobs
    cluster.engine.change_session()
    cluster.engine.set_full(False)
    wait_until(lambda: cluster.flow_pid)
    assert first not in cluster.engine.jobs
    cluster.check_single_start(run)


def test_a_run_waits_while_the_cluster_does_not_answer(cluster: Cluster) -> None:
    cluster.engine.set_reachable(False)
    run = cluster.run()
    wait_until(lambda: cluster.world.find(run).state is RunState.LAUNCHING)
    cluster.engine.set_reachable(True)
    wait_until(lambda: cluster.flow_pid)
    cluster.check_single_start(run)


def test_a_run_that_the_cluster_refuses_fails_with_the_words_of_the_cluster(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.engine.refuse("the quota is used up")
    with caplog.at_level("INFO"):
        run = cluster.world.wait(cluster.run())
    assert (run.state, run.reason) == (RunState.FAILED, "not launched: process: the quota is used up")
    again = [record for record in caplog.records if record.message == "Run was not started and is queued again"]
    assert {getattr(record, "reason", None) for record in again} == {"process: the quota is used up"}
    assert cluster.starts == 0


def test_a_launch_that_has_failed_is_repeated_after_a_pause_that_the_run_shows(cluster: Cluster) -> None:
    cluster.stop()
    cluster.remote.launch_pause = 0.5
    cluster.start()
    cluster.engine.refuse("the quota is used up")
    run = cluster.run()
    reason = r"waiting: launch 2 of 5 at 2026-06-01 12:00:00 UTC, because the last one failed: process: the quota is .*"
    wait_until(lambda: re.fullmatch(reason, cluster.world.find(run).reason or ""))
    cluster.engine.refuse(None)
    wait_until(lambda: cluster.flow_pid)
    cluster.check_single_start(run)


def test_a_run_outlives_its_controller_and_its_output_is_complete(cluster: Cluster) -> None:
    run = cluster.begin()
    cluster.stop()
    cluster.open_gate()
    wait_until(lambda: is_gone(cluster.flow_pid))
    cluster.start()
    assert cluster.world.wait(run).state is RunState.SUCCEEDED
    assert cluster.starts == 1


def test_a_job_that_was_submitted_by_an_earlier_controller_starts_once(cluster: Cluster) -> None:
    run = cluster.submit_while_full()
    cluster.check_start_by_next_controller(run)


def test_draining_does_not_wait_for_a_job_that_has_not_started(cluster: Cluster) -> None:
    run = cluster.submit_while_full()
    assert cluster.world.engine is not None
    assert cluster.world.engine.drain(PATIENCE_SECONDS)
    with cluster.world.store.read() as tx:
        assert count_in_progress(tx) == 0
    cluster.check_start_by_next_controller(run)


def test_a_job_that_gets_its_node_while_the_controller_drains_starts_with_the_next_controller(cluster: Cluster) -> None:
    first = cluster.begin()
    cluster.world.declare(later=f"name: later\ncommand: [touch, '{cluster.home}/later']\n")
    cluster.engine.set_full(True)
    later = cluster.world.trigger("later")
    wait_until(lambda: len(cluster.engine.jobs) == 2)
    assert cluster.world.engine is not None
    assert not cluster.world.engine.drain(0)
    cluster.engine.set_full(False)
    wait_until(lambda: any(seat.stage is Stage.ASKING for seat in cluster.remote.desk.seats()))
    cluster.open_gate()
    assert cluster.world.engine.drain(PATIENCE_SECONDS)
    assert cluster.world.find(first).state is RunState.SUCCEEDED
    assert not (cluster.home / "later").exists()
    cluster.stop()
    cluster.start()
    assert cluster.world.wait(later).state is RunState.SUCCEEDED
    [attempt] = attempts(cluster.world, later)
    assert attempt.number == 1


def test_a_run_that_is_cancelled_before_its_job_starts_never_starts(cluster: Cluster) -> None:
    run = cluster.submit_while_full()
    cancel_run(cluster.world.operations, run.id, "enough", author="somebody")
    assert cluster.world.wait(run).state is RunState.CANCELLED
    cluster.engine.set_full(False)
    wait_until(lambda: not cluster.engine.jobs)
    assert cluster.starts == 0
