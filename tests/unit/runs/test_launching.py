"""Runs start and end normally in a process that has many open files, and beside runs that can't start."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.model.queues import missing_resource
from controller.model.runs import RunState
from controller.runs.executors.local.supervisor.poll import ready
from tests.conftest import wait_until
from tests.unit.runs.conftest import World, command, one_start
from tests.unit.runs.remote_world import RemoteWorld

pytestmark = pytest.mark.integration

MANY = 1100
"""More descriptors than select(2) supports."""


@pytest.fixture
def crowd() -> Iterator[None]:
    """All low numbers of descriptors are taken."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(MANY)]
    yield
    for descriptor in taken:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.usefixtures("crowd")
def test_a_flow_is_launched_with_many_open_files(world: World) -> None:
    world.write("flows/sums.py", "def add(nums):\n    return sum(nums)\n")
    world.declare(a="name: a\nflow: flows/sums.py:add\nparameters: {nums: [1, 2]}\n")
    world.start()
    run = world.run("a")
    assert (run.state, run.result) == (RunState.SUCCEEDED, 3)


@pytest.mark.usefixtures("crowd")
def test_poll_reports_only_readable_descriptors() -> None:
    read, write = os.pipe()
    assert read > MANY
    assert ready([read], 0) == []
    os.write(write, b"x")
    assert ready([read, write], 0) == [read]
    os.read(read, 1)
    os.close(write)
    assert ready([read], None) == [read]
    os.close(read)
    with pytest.raises(OSError, match="Bad file descriptor"):
        ready([read], 0)


@pytest.mark.usefixtures("crowd")
def test_a_flow_gets_the_original_soft_limit_of_open_files(world: World) -> None:
    world.declare(a=command("a", "ulimit -n"))
    world.start(open_files=512)
    assert world.log(world.run("a")) == "512\n"


@one_start
def test_runs_that_wait_for_an_executor_keep_no_other_run_waiting(world: World) -> None:
    remote = {name: command(name, "true", "executor: ray\n") for name in ("a", "b", "c")}
    world.declare(**remote, local=command("local", "true"))
    with world.store.write() as tx:
        for name in remote:
            world.admission.create_run(tx, name, {})
        run = world.admission.create_run(tx, "local", {})
    world.start(max_running=2)
    assert world.wait(run).state is RunState.SUCCEEDED


@one_start
def test_jobs_that_wait_for_nodes_leave_slots_for_other_runs(world: World, tmp_path: Path) -> None:
    (tmp_path / "remote").mkdir()
    remote = RemoteWorld(world.store, tmp_path / "remote", max_waiting=1)
    world.declare(
        local=command("local", "true", "executor: local\n"), **{name: command(name, "true") for name in "abc"}
    )
    world.start(max_running=2, remote=remote.executor)
    jobs = [world.trigger(name) for name in "abc"]
    wait_until(lambda: [missing_resource(world.find(run)) for run in jobs].count("free nodes of ray") == 2)
    assert world.run("local").state is RunState.SUCCEEDED
    assert len(remote.cluster.jobs) == 1
    world.stop()
    remote.release()
