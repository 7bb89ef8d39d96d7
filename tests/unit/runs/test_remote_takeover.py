"""A controller takes over attempts whose files are on the host of the controller that led before."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.app.standby import has_files
from controller.errors import ConflictError
from controller.model.runs import RunOutcome, RunState
from controller.runs.executors.executor import Alive, NotStarted
from controller.store import Store, events
from tests.unit.runs.remote_world import RemoteWorld


class TwoHosts(RemoteWorld):
    """A state that two hosts share. Each host has its own files of runs."""

    @property
    def first_runs(self) -> Path:
        """The files of runs on the first host."""
        return self.directory / "first runs"

    def fail_over(self) -> None:
        """Let a controller on the other host lead."""
        self.release()
        (self.directory / "runs").rename(self.first_runs)
        (self.directory / "runs").mkdir()
        self.restart()


@pytest.fixture
def world(tmp_path: Path, store: Store) -> Iterator[TwoHosts]:
    made = TwoHosts(store, tmp_path)
    yield made
    made.release()


def test_a_flow_that_runs_sends_everything_again_and_ends(world: TwoHosts) -> None:
    first = world.start()
    request = world.ask(first)
    world.desk.append(request, "log", 0, b"hello\n")
    world.fail_over()
    handle = world.adopt(first)
    assert world.desk.append(request, "log", 6, b"bye\n") == 0
    assert world.desk.append(request, "log", 0, b"hello\nbye\n") == 10
    assert world.desk.append(request, "events.jsonl", 0, b"{}\n") == 3
    assert world.desk.beat(request)["cancel"] is False
    answer = world.desk.end(request, world.ending_of(handle))
    found = handle.read_status()
    assert isinstance(found, RunOutcome)
    assert found.state is RunState.SUCCEEDED
    assert {path.name for path in handle.directory.iterdir()} == {"log", "log.times", "events.jsonl", "exit"}
    world.finish(handle)
    assert answer.done()


def test_an_end_is_accepted_although_nothing_else_was_received(world: TwoHosts) -> None:
    first = world.start()
    world.fail_over()
    handle = world.adopt(first)
    world.desk.end(world.ask(first), world.ending_of(handle))
    assert isinstance(handle.read_status(), RunOutcome)


def test_an_attempt_that_was_not_started_is_launched_again(world: TwoHosts) -> None:
    first = world.launch()
    world.fail_over()
    handle = world.adopt(first)
    assert handle.read_status() == NotStarted()
    with pytest.raises(ConflictError):
        world.desk.start(world.ask(first), node=None, proof=None)
    world.finish_without_start(handle)


def test_an_attempt_whose_runner_has_not_heard_its_leave_has_crashed(world: TwoHosts) -> None:
    first = world.start()
    world.fail_over()
    handle = world.adopt(first)
    assert handle.read_status() == Alive(started=False)
    with pytest.raises(ConflictError):
        world.desk.start(world.ask(first), node=None, proof=None)
    assert handle.read_status() == RunOutcome(
        state=RunState.CRASHED,
        reason="outcome unknown: the controller that led before has allowed its start, "
        "and its parameters are not on this host",
    )
    world.finish(handle)
    with pytest.raises(ConflictError):
        world.desk.start(world.ask(first), node=None, proof=None)


def test_a_delayed_request_to_start_does_not_end_a_flow_that_runs(world: TwoHosts) -> None:
    first = world.start()
    world.fail_over()
    handle = world.adopt(first)
    world.desk.beat(world.ask(first))
    with pytest.raises(ConflictError):
        world.desk.start(world.ask(first), node=None, proof=None)
    assert handle.read_status() == Alive(started=False)


@pytest.mark.parametrize("outcome", ["succeeded", "crashed"])
def test_an_end_that_the_other_host_has_recorded_is_not_late(world: TwoHosts, outcome: str) -> None:
    handle = world.start()
    request, ending = world.ask(handle), world.ending_of(handle, outcome=outcome)
    world.desk.end(request, ending)
    world.finish(handle)
    world.fail_over()
    assert world.desk.end(request, ending).done()
    with world.store.read() as tx:
        assert [event.reason for event in events.latest(tx, 10)] == []


def test_the_host_that_received_the_end_has_the_whole_log(world: TwoHosts) -> None:
    first = world.start()
    request = world.ask(first)
    world.desk.append(request, "log", 0, b"hello\n")
    world.fail_over()
    handle = world.adopt(first)
    world.desk.append(request, "log", 0, b"hello\nbye\n")
    world.desk.end(request, world.ending_of(handle))
    run_id, second_runs = handle.run.id, world.directory / "runs"
    with world.store.read() as tx:
        assert not has_files(tx, second_runs, run_id)
    world.finish(handle)
    with world.store.read() as tx:
        assert has_files(tx, second_runs, run_id)
        assert not has_files(tx, world.first_runs, run_id)
