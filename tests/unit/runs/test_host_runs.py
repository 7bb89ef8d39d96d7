"""A standby reports how the flows of its host end, and the leader on another host records it."""

import os
import signal
from collections.abc import Iterator

import pytest

from controller.app.host_runs import HostRuns
from controller.model.runs import Run, RunOutcome, RunState
from controller.operations.cancel import cancel_run
from controller.runs.executors.executor_set import ExecutorSet
from controller.runs.executors.local.executor import LocalExecutor
from controller.runs.executors.local.launcher import Launcher
from controller.runs.monitor import RunMonitor
from controller.state_url import StateUrl
from controller.store.databases.postgresql import connect
from controller.store.leadership import Leadership
from tests.conftest import wait_until
from tests.unit.runs.conftest import GRACE, World, gated, one_start, reap
from tests.unit.runs.test_supervisor import is_gone

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("store", ["postgresql"], indirect=True), one_start]


class Standby:
    """The part of a standby that checks the runs of its host, `here`. Another host leads."""

    def __init__(self, world: World, url: StateUrl) -> None:
        self.place = f"here:{world.runs_directory}"
        self._url = url
        self._leadership = Leadership(url, "default")
        assert not self._leadership.try_lock()
        self._host_runs = HostRuns(url, self.place, GRACE)

    def check(self) -> int:
        """Check once, and return the number of reports."""
        self._leadership.record_place(self.place)
        self._host_runs.check(self._leadership.report)
        with connect(self._url) as connection:
            [(count,)] = connection.execute("SELECT count(*) FROM attempt_reports").fetchall()
        return int(count)

    def close(self) -> None:
        self._host_runs.close()
        self._leadership.release()


@pytest.fixture
def standby(world: World, postgresql_url: StateUrl) -> Iterator[Standby]:
    opened = Standby(world, postgresql_url)
    yield opened
    opened.close()


def leave_running(world: World, standby: Standby) -> tuple[Run, int]:
    """Start a flow at the place of the standby, and let another host lead."""
    world.start(place=standby.place)
    run = world.trigger("slow")
    world.wait(run, RunState.RUNNING)
    pid = world.supervisor_pid(run)
    world.stop()
    assert standby.check() == 0
    world.start(place=f"elsewhere:{world.state}/elsewhere")
    assert world.find(run).uncertain_reason is None
    return run, pid


def wait_for_end(pid: int) -> None:
    reap(pid)
    wait_until(lambda: is_gone(pid))


def recheck(world: World) -> None:
    world.stop()
    world.start(place=f"elsewhere:{world.state}/elsewhere")


def test_the_end_of_a_flow_reaches_the_leader(world: World, standby: Standby) -> None:
    gate = gated(world)
    run, pid = leave_running(world, standby)
    assert standby.check() == 0
    gate.touch()
    wait_for_end(pid)
    assert standby.check() == 1
    assert standby.check() == 1
    recheck(world)
    ended = world.wait(run)
    assert (ended.state, ended.exit_code, ended.attempt) == (RunState.SUCCEEDED, 0, 1)
    recheck(world)
    assert standby.check() == 0


def test_a_report_stays_until_its_outcome_is_recorded(world: World, standby: Standby) -> None:
    gate = gated(world)
    run, pid = leave_running(world, standby)
    world.stop()
    gate.touch()
    wait_for_end(pid)
    assert standby.check() == 1
    place = f"elsewhere:{world.state}/elsewhere"
    launcher = Launcher(directory=world.state / "elsewhere", environment={}, grace=GRACE, place=place)
    monitor = RunMonitor(world.store, world.clock, ExecutorSet([LocalExecutor(launcher)]))
    for _ in range(2):  # the turns failed before the commit
        [(_, status)] = monitor.find_ended([], everything=True)
        assert isinstance(status, RunOutcome)
    assert standby.check() == 1
    world.start(place=place)
    assert world.wait(run).state is RunState.SUCCEEDED


def test_a_flow_that_is_cancelled_is_stopped_on_its_host(world: World, standby: Standby) -> None:
    gated(world)
    run, pid = leave_running(world, standby)
    cancel_run(world.operations, run.id, "enough", author="me")
    assert standby.check() == 0
    wait_for_end(pid)
    assert standby.check() == 1
    recheck(world)
    ended = world.wait(run)
    assert (ended.state, ended.reason) == (RunState.CANCELLED, "enough")


def test_a_supervisor_that_is_lost_is_reported_as_crashed(world: World, standby: Standby) -> None:
    gated(world)
    run, pid = leave_running(world, standby)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    assert standby.check() == 1
    recheck(world)
    assert world.wait(run).state is RunState.CRASHED


def test_a_standby_on_the_host_of_the_leader_reports_nothing(
    world: World, standby: Standby, postgresql_url: StateUrl
) -> None:
    gate = gated(world)
    run, pid = leave_running(world, standby)
    with connect(postgresql_url) as connection:
        connection.execute("UPDATE leadership SET host = 'here'")
    gate.touch()
    wait_for_end(pid)
    assert standby.check() == 0
    world.stop()
    world.start(place=standby.place)
    assert world.wait(run).state is RunState.SUCCEEDED
