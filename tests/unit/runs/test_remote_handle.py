"""The handles of remote attempts, from the launch to the outcome, with a cluster in memory."""

import errno
import select
import selectors
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from controller.model.policies import EnvSecret
from controller.model.runs import RunOutcome, RunState
from controller.runs.executors.executor import Alive, NotStarted, Phase, Uncertain
from controller.runs.executors.executor_set import ExecutorSet
from controller.runs.executors.remote.handle import RemoteHandle
from controller.runs.executors.remote.job_engine import JobList, JobPhase
from controller.runs.executors.remote.order import read_order
from controller.runs.monitor import RunMonitor
from controller.store import Store, runs
from tests.conftest import wait_until
from tests.unit.runs.environments import deployment_of
from tests.unit.runs.remote_world import ONE, MemoryCluster, RemoteWorld

ALIVE = Alive(started=False)


@pytest.fixture
def world(tmp_path: Path, store: Store) -> Iterator[RemoteWorld]:
    made = RemoteWorld(store, tmp_path)
    yield made
    made.cluster.held.set()
    made.release()


def be_silent(world: RemoteWorld, seconds: float = 31) -> None:
    """Let time pass without a request of any runner, then ask the cluster."""
    world.clock.pass_seconds(seconds)
    world.look()


def is_readable(handle: RemoteHandle) -> bool:
    descriptor = handle.fileno()
    return descriptor is not None and bool(select.select([descriptor], [], [], 0)[0])


def test_a_job_has_what_its_runner_needs(world: RemoteWorld) -> None:
    handle = world.launch()
    job = world.cluster.jobs[handle.tracked.job_id]
    assert job.job_id == f"c-{handle.run.id}-1-{handle.attempt.nonce[:12]}" == handle.attempt.job_id
    assert job.argv[0] == "python3"
    assert job.variables.keys() == {
        "CONTROLLER_NODE_URL",
        "CONTROLLER_JOB",
        "CONTROLLER_TICKET",
        "CONTROLLER_RUNNER",
    }
    assert job.labels == {"deployment": "a", "run": handle.run.id}
    assert handle.attempt.ticket is not None
    assert job.variables["CONTROLLER_TICKET"] not in repr(handle.attempt)
    assert all(job.variables["CONTROLLER_TICKET"].encode() not in path.read_bytes() for path in world_files(world))


def world_files(world: RemoteWorld) -> list[Path]:
    return [path for path in world.directory.rglob("*") if path.is_file()]


def test_a_launch_does_not_wait_for_the_cluster(world: RemoteWorld) -> None:
    world.cluster.held.clear()
    handle = world.launch_only()
    assert handle.phase is Phase.STARTING
    assert handle.read_status() == ALIVE
    world.cluster.held.set()
    wait_until(lambda: handle.tracked.submitted_at is not None)


def test_the_cluster_is_asked_once_about_all_jobs(world: RemoteWorld) -> None:
    for _ in range(5):
        world.launch()
    before = world.cluster.listings
    world.look()
    assert world.cluster.listings == before + 1


def test_a_cluster_without_jobs_is_asked_only_at_the_start(world: RemoteWorld) -> None:
    world.look()
    world.executor.maintain()
    world.executor.maintain()
    world.executor.close()
    assert world.cluster.listings == 1


@pytest.mark.parametrize("phase", [JobPhase.WAITING, JobPhase.RUNNING])
def test_a_job_may_wait_for_hours(world: RemoteWorld, phase: JobPhase) -> None:
    handle = world.launch()
    world.cluster.say(handle.tracked.job_id, phase)
    be_silent(world, 5 * 3600)
    assert handle.receive()
    assert (handle.phase, handle.read_status()) == (Phase.STARTING, ALIVE)


@pytest.mark.parametrize("is_adopted", [False, True])
@pytest.mark.parametrize("fate", ["over", "forgotten"])
def test_a_job_that_ends_before_the_start_has_not_started(world: RemoteWorld, fate: str, is_adopted: bool) -> None:
    handle = world.launch()
    if is_adopted:
        world.restart()
        handle = world.adopt(handle)
    if fate == "over":
        world.cluster.say(handle.tracked.job_id, JobPhase.OVER, "no space")
    else:
        world.cluster.lose_all()
    assert handle.receive()
    be_silent(world)
    assert is_readable(handle)
    assert not handle.receive()
    assert handle.lacking is None
    assert handle.launch_failure == ("ray: no space" if fate == "over" else "ray has lost its job")
    handle.abandon()
    assert handle.read_status() == NotStarted()
    assert handle.why_uncertain() is None


class StrangeCluster(MemoryCluster):
    """A cluster whose list can't be read."""

    def list_jobs(self) -> JobList:
        super().list_jobs()
        raise KeyError("status")


def test_a_list_that_cannot_be_read_is_no_answer(tmp_path: Path, store: Store) -> None:
    world = RemoteWorld(store, tmp_path, cluster=StrangeCluster())
    handle = world.start()
    be_silent(world)
    status = handle.read_status()
    assert isinstance(status, Uncertain)
    assert "KeyError" in status.reason
    world.release()


def test_a_job_whose_resources_are_not_free_in_time_is_submitted_again(world: RemoteWorld) -> None:
    handle = world.launch()
    job_id = handle.tracked.job_id
    for count in (2, 3):
        world.cluster.say(job_id, JobPhase.OVER, "it waited for 15 minutes", has_expired=True)
        be_silent(world)
        assert world.cluster.calls.count(("submit", job_id)) == count
        assert world.cluster.calls[-2:] == [("forget", job_id), ("submit", job_id)]
    be_silent(world)
    assert handle.receive()
    assert handle.read_status() == ALIVE


def test_a_job_that_was_listed_before_its_submission_is_not_missing(world: RemoteWorld) -> None:
    world.cluster.held.clear()
    handle = world.launch_only()
    world.clock.pass_seconds(100)
    world.executor.maintain()
    wait_until(lambda: world.cluster.listings)
    assert handle.receive()
    assert handle.read_status() == ALIVE


def test_a_submission_is_repeated_until_the_cluster_answers(world: RemoteWorld) -> None:
    world.cluster.is_reachable = False
    handle = world.launch_only()
    wait_until(lambda: handle.tracked.sighting is not None)
    be_silent(world)
    be_silent(world)
    wait_until(lambda: isinstance(handle.read_status(), Uncertain))
    assert handle.read_status() == Uncertain(reason="ray does not answer: connection refused")
    assert handle.receive()
    world.cluster.is_reachable = True
    world.look()
    wait_until(lambda: handle.tracked.submitted_at is not None)
    assert world.cluster.calls == [("submit", handle.tracked.job_id)]
    assert handle.read_status() == ALIVE


def test_a_job_that_the_cluster_refuses_has_not_started(world: RemoteWorld) -> None:
    world.cluster.refusal = "it has no GPU"
    handle = world.launch_only()
    wait_until(lambda: is_readable(handle))
    assert not handle.receive()
    assert handle.launch_failure == "ray: it has no GPU"
    handle.abandon()
    assert handle.read_status() == NotStarted()


def test_code_that_cannot_be_packed_is_a_failed_launch(world: RemoteWorld) -> None:
    (world.directory / "tree" / "\udcff").touch()
    handle = world.launch_only()
    wait_until(lambda: is_readable(handle))
    assert not handle.receive()
    assert handle.launch_failure == r"\xff: the name is not UTF-8, so the code can't be sent to a node."
    assert world.cluster.calls == []


def test_a_cancelled_attempt_that_has_not_started_is_over_at_once(world: RemoteWorld) -> None:
    world.launch()
    handle = world.launch()
    world.cluster.is_reachable = False
    handle.request_stop()
    assert is_readable(handle)
    assert handle.phase is Phase.AWAITING_END
    assert handle.read_status() == NotStarted()
    handle.request_stop()


def test_the_job_of_a_cancelled_attempt_is_stopped_and_removed(world: RemoteWorld) -> None:
    handle = world.launch()
    job_id = handle.tracked.job_id
    handle.request_stop()
    wait_until(lambda: ("stop", job_id) in world.cluster.calls)
    world.finish_without_start(handle)
    world.look()
    assert job_id in world.cluster.statuses
    world.cluster.say(job_id, JobPhase.OVER)
    world.look()
    assert job_id not in world.cluster.statuses


def test_a_submission_of_an_abandoned_attempt_is_undone(world: RemoteWorld) -> None:
    world.cluster.held.clear()
    handle = world.launch_only()
    wait_until(lambda: handle.tracked.job is not None)
    handle.abandon()
    world.cluster.held.set()
    wait_until(lambda: ("stop", handle.tracked.job_id) in world.cluster.calls or not world.cluster.calls)
    assert handle.read_status() == NotStarted()


def test_a_job_that_was_submitted_after_its_attempt_was_released_is_removed(world: RemoteWorld) -> None:
    world.look()  # only the first question finds the jobs that an earlier controller has left behind
    world.cluster.held.clear()
    handle = world.launch_only()
    job_id = handle.tracked.job_id
    wait_until(lambda: handle.tracked.job is not None)
    handle.abandon()
    world.finish_without_start(handle)
    world.cluster.held.set()
    wait_until(lambda: ("stop", job_id) in world.cluster.calls)
    world.cluster.say(job_id, JobPhase.OVER)
    world.look()
    assert job_id not in world.cluster.statuses


def test_an_ended_job_is_removed_from_the_cluster(world: RemoteWorld) -> None:
    handle = world.start()
    job_id = handle.tracked.job_id
    world.desk.end(world.ask(handle), world.ending_of(handle))
    world.finish(handle)
    world.look()
    assert ("forget", job_id) not in world.cluster.calls
    world.cluster.say(job_id, JobPhase.OVER)
    world.look()
    assert world.cluster.calls[-1] == ("forget", job_id)
    assert ("stop", job_id) not in world.cluster.calls


def test_jobs_that_ended_without_a_controller_are_removed_later(world: RemoteWorld) -> None:
    handle = world.start()
    job_id = handle.tracked.job_id
    world.desk.end(world.ask(handle), world.ending_of(handle))
    world.finish(handle)
    world.cluster.say(job_id, JobPhase.OVER)
    world.cluster.say("c-of-another-project", JobPhase.OVER)
    world.restart()
    world.look()
    assert list(world.cluster.statuses) == ["c-of-another-project"]


def test_an_attempt_is_alive_while_its_runner_is_heard_whatever_the_cluster_says(world: RemoteWorld) -> None:
    handle = world.start()
    world.cluster.say(handle.tracked.job_id, JobPhase.OVER, "failed")
    for _ in range(20):
        world.clock.pass_seconds(10)
        world.desk.beat(world.ask(handle))
        world.look()
        assert handle.read_status() == ALIVE


def test_output_counts_as_a_beat(world: RemoteWorld) -> None:
    handle = world.start()
    world.cluster.say(handle.tracked.job_id, JobPhase.OVER)
    for number in range(10):
        world.clock.pass_seconds(20)
        world.desk.append(world.ask(handle), "log", number, b".")
        world.look()
        assert handle.read_status() == ALIVE


def test_a_silent_runner_whose_job_runs_is_uncertain_until_it_is_heard(world: RemoteWorld) -> None:
    handle = world.start()
    be_silent(world)
    assert handle.read_status() == Uncertain(reason="its runner is silent. ray: its job is running")
    world.desk.beat(world.ask(handle))
    assert handle.read_status() == ALIVE


@pytest.mark.parametrize("is_adopted", [False, True])
@pytest.mark.parametrize(
    ("fate", "seconds", "reason"),
    [
        ("over", 30, "its node was lost: ray: node died"),
        ("forgotten", 60, "ray has lost its job"),
        ("unreachable", 3600, "ray does not answer: connection refused"),
    ],
)
def test_a_lost_attempt_has_crashed(
    world: RemoteWorld, fate: str, seconds: float, reason: str, is_adopted: bool
) -> None:
    handle = world.start()
    if is_adopted:
        world.restart()
        handle = world.adopt(handle)
        world.clock.pass_seconds(50)  # an earlier controller may have asked for beats only every minute
    if fate == "over":
        world.cluster.say(handle.tracked.job_id, JobPhase.OVER, "node died")
    elif fate == "forgotten":
        world.cluster.lose_all()
    else:
        world.cluster.is_reachable = False
    be_silent(world)
    assert isinstance(handle.read_status(), Uncertain)
    be_silent(world, seconds - 2)
    assert isinstance(handle.read_status(), Uncertain)
    be_silent(world, 3)
    assert handle.read_status() == RunOutcome(state=RunState.CRASHED, reason=f"outcome unknown: {reason}")


def test_a_late_end_before_the_verdict_counts(world: RemoteWorld) -> None:
    handle = world.start()
    world.cluster.say(handle.tracked.job_id, JobPhase.OVER)
    be_silent(world)
    world.desk.end(world.ask(handle), world.ending_of(handle))
    be_silent(world, 3600)
    found = handle.read_status()
    assert isinstance(found, RunOutcome)
    assert found.state is RunState.SUCCEEDED


def test_a_job_of_the_same_name_in_another_session_is_another_job(world: RemoteWorld) -> None:
    handle = world.start()
    world.cluster.session = "session-2"
    be_silent(world)
    be_silent(world, 60)
    found = handle.read_status()
    assert isinstance(found, RunOutcome)
    assert found.reason == "outcome unknown: ray has lost its job"


def test_the_job_of_a_lost_attempt_is_stopped(world: RemoteWorld) -> None:
    handle = world.start()
    world.cluster.lose_all()
    be_silent(world)
    be_silent(world, 60)
    world.finish(handle)
    wait_until(lambda: ("stop", handle.tracked.job_id) in world.cluster.calls)


def test_a_silent_runner_is_stopped_by_the_cluster_after_the_grace_period(world: RemoteWorld) -> None:
    handle = world.start()
    stop = ("stop", handle.tracked.job_id)
    handle.request_stop()
    world.clock.pass_seconds(19)
    handle.request_stop()
    world.desk.beat(world.ask(handle))
    world.clock.pass_seconds(19)
    handle.request_stop()
    world.look()
    assert stop not in world.cluster.calls
    world.clock.pass_seconds(1)
    handle.request_stop()
    wait_until(lambda: stop in world.cluster.calls)


def test_the_stop_of_a_silent_runner_is_repeated_once_in_a_while(world: RemoteWorld) -> None:
    handle = world.start()
    stop = ("stop", handle.tracked.job_id)
    handle.request_stop()
    world.clock.pass_seconds(21)
    for _ in range(100):  # the engine repeats the request in each turn
        handle.request_stop()
    handle.parts.tracker.run(world.cluster.calls.append, ("last", ""))
    wait_until(lambda: ("last", "") in world.cluster.calls)
    world.look()
    assert world.cluster.calls.count(stop) == 1
    world.clock.pass_seconds(10)
    handle.request_stop()
    wait_until(lambda: world.cluster.calls.count(stop) == 2)


def test_an_attempt_that_is_starting_is_adopted_and_started_by_the_next_controller(world: RemoteWorld) -> None:
    first = world.launch(deployment_of(["true"], secrets={"TOKEN": EnvSecret(env="KEY")}))
    order = world.desk.fetch(world.ask(first))
    world.restart()
    handle = world.adopt(first)
    assert handle.phase is Phase.STARTING
    assert world.desk.fetch(world.ask(handle)) == order
    future = world.desk.start(world.ask(handle), node="n", proof=None)
    assert is_readable(handle)
    assert handle.receive()
    world.allow(handle)
    assert future.done()
    assert handle.attempt.instance == ONE


def test_an_adopted_attempt_without_an_order_never_starts(world: RemoteWorld) -> None:
    first = world.launch()
    (first.directory / "order.json").write_bytes(b'{"order": ')
    assert read_order(first.directory) is None
    world.restart()
    handle = world.adopt(first)
    assert handle.phase is Phase.AWAITING_END
    assert handle.read_status() == NotStarted()


def test_a_running_attempt_without_an_order_still_ends(world: RemoteWorld) -> None:
    first = world.start()
    (first.directory / "order.json").unlink()
    world.restart()
    handle = world.adopt(first)
    world.desk.end(world.ask(handle), world.ending_of(handle))
    found = handle.read_status()
    assert isinstance(found, RunOutcome)
    assert found.state is RunState.SUCCEEDED


def test_leave_to_start_is_never_taken_back(world: RemoteWorld) -> None:
    handle = world.start()
    assert handle.why_uncertain() == "its runner was allowed to start the flow"


def test_the_time_of_the_start_is_in_the_directory(world: RemoteWorld) -> None:
    handle = world.start()
    assert {"order.json", "started"} <= {path.name for path in handle.directory.iterdir()}


class FullSelector(selectors.SelectSelector):
    """A selector that accepts no descriptor."""

    def register(self, *_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_launch_that_cannot_be_waited_for_leaves_no_descriptor(world: RemoteWorld) -> None:
    monitor = RunMonitor(world.store, world.clock, ExecutorSet([world.executor]))
    item, attempt = world.claim()
    with world.store.write() as tx:
        runs.move(tx, attempt.run_id, expect=RunState.LAUNCHING, to=RunState.PENDING)
    monitor.attach(FullSelector())
    before = eventfds()
    monitor.commit([], [replace(item, run=replace(item.run, state=RunState.PENDING))])
    assert monitor.take_shortage()
    assert (world.desk.seats(), eventfds()) == ([], before)


def eventfds() -> int:
    """Return how many eventfds this process has."""
    names = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            names.append(path.readlink().name)
    return names.count("anon_inode:[eventfd]")


def test_signals_after_the_release_reach_no_other_descriptor(world: RemoteWorld) -> None:
    handle = world.launch()
    handle.release()
    world.handles.remove(handle)
    handle.seat.signal.set()
    assert handle.fileno() is None


def test_without_a_limit_a_cluster_may_be_away_for_days(tmp_path: Path, store: Store) -> None:
    world = RemoteWorld(store, tmp_path, lost_after=None)
    handle = world.start()
    world.cluster.is_reachable = False
    be_silent(world)
    be_silent(world, timedelta(days=30).total_seconds())
    assert isinstance(handle.read_status(), Uncertain)
    world.cluster.is_reachable = True
    world.release()
