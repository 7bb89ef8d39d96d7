"""A silent supervisor is abandoned only after time in which the engine listened; stalls of the engine do not count."""

import logging
import os
import selectors
import signal
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from controller.model.runs import RunState
from controller.runs.executors.executor import Handle, Launchable
from controller.runs.executors.executor_set import ExecutorSet
from controller.runs.executors.local import launcher
from controller.runs.executors.local.executor import READY_SECONDS, LocalExecutor
from controller.runs.executors.local.handle import LocalHandle
from controller.runs.executors.local.launcher import Launch, Launcher
from controller.runs.failed_launches import MAX_LAUNCHES
from controller.runs.monitor import RunMonitor
from controller.runs.pinned_deployments import PinnedDeployments
from tests.conftest import PATIENCE_SECONDS, wait_until
from tests.unit.runs.conftest import GRACE, PATH, World, command
from tests.unit.runs.test_queueing import account, hourly

pytestmark = [pytest.mark.integration, pytest.mark.parametrize("start", ["cold"])]


class Claimed:
    """One claimed run with a real supervisor, and the monitor that waits for its READY."""

    def __init__(self, world: World) -> None:
        world.declare(a=command("a", "exit 0"))
        made = Launcher(directory=world.runs_directory, environment={"PATH": PATH}, grace=GRACE)
        self.world = world
        self.monitor = RunMonitor(world.store, world.clock, ExecutorSet([LocalExecutor(made)]))
        self.selector = selectors.DefaultSelector()
        self.monitor.attach(self.selector)
        with world.store.write() as tx:
            self.run = world.admission.create_run(tx, "a", {})

    def claim(self) -> None:
        found = self.world.find(self.run)
        deployment = PinnedDeployments(self.world.source, self.world.store).resolve(found, self.world.clock.now())
        one = Launchable(run=found, deployment=deployment, root=self.world.root, pycache=None)
        self.take_turn([], [one], everything=False)

    def take_turn(self, ready: list[Handle], batch: list[Launchable], *, everything: bool) -> None:
        self.monitor.commit(self.monitor.find_ended(ready, everything=everything), batch)

    def turn(self, *, everything: bool, seconds: float = PATIENCE_SECONDS) -> None:
        ready = self.selector.select(seconds)
        self.take_turn([key.data for key, _ in ready], [], everything=everything)

    @property
    def launch(self) -> Launch:
        [handle] = self.monitor._active.values()
        assert isinstance(handle, LocalHandle)
        assert handle.launch is not None
        return handle.launch


@pytest.fixture
def claimed(world: World) -> Iterator[Claimed]:
    found = Claimed(world)
    yield found
    found.monitor.release()
    found.selector.close()


def stand_in(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on supervisors are this instead: processes that never say READY."""
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))


def test_an_unread_ready_message_is_read_before_a_launch_is_abandoned(claimed: Claimed) -> None:
    claimed.claim()
    assert claimed.selector.select(PATIENCE_SECONDS)
    for _ in range(100):
        claimed.monitor.count_listening(READY_SECONDS)
    claimed.take_turn([], [], everything=True)
    assert claimed.world.find(claimed.run).state is RunState.RUNNING


def test_a_stalled_engine_counts_at_most_one_second_of_listening(claimed: Claimed) -> None:
    claimed.claim()
    os.kill(claimed.launch.process.pid, signal.SIGSTOP)  # type: ignore[union-attr]
    claimed.monitor.count_listening(3600.0)
    claimed.take_turn([], [], everything=True)
    os.kill(claimed.launch.process.pid, signal.SIGCONT)  # type: ignore[union-attr]
    claimed.turn(everything=False)
    assert claimed.world.find(claimed.run).state is RunState.RUNNING


def test_an_abandoned_supervisor_does_not_count_as_a_failed_launch(
    claimed: Claimed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "END_SECONDS", 0.05)
    stand_in("exec sleep 900", tmp_path, monkeypatch)
    for _ in range(MAX_LAUNCHES + 2):
        claimed.claim()
        for _ in range(20):
            claimed.monitor.count_listening(1.0)
        claimed.take_turn([], [], everything=True)
        claimed.take_turn([], [], everything=True)
        found = claimed.world.find(claimed.run)
        assert (found.state, found.reason) == (RunState.PENDING, None)
    monkeypatch.undo()
    claimed.claim()
    claimed.turn(everything=False)
    assert claimed.world.find(claimed.run).state is RunState.RUNNING


def test_a_run_fails_after_its_supervisor_exited_five_times(
    claimed: Claimed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("exit 1", tmp_path, monkeypatch)
    for _ in range(MAX_LAUNCHES):
        assert claimed.world.find(claimed.run).state is RunState.PENDING
        claimed.claim()
        while len(claimed.monitor):
            claimed.turn(everything=False)
    found = claimed.world.find(claimed.run)
    assert (found.state, found.reason) == (
        RunState.FAILED,
        "not launched: its supervisor exited 5 times without starting the flow",
    )


def test_skips_are_logged_once_and_after_their_commit(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "controller")
    world.declare(a=hourly(extra="suspend: true\n"))
    with world.store.write() as tx:
        tx.connection.exec_driver_sql(
            "CREATE TRIGGER refuse BEFORE INSERT ON occurrences "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    engine = world.start()
    world.clock.turn(timedelta(hours=1))
    engine.notify_due("a")
    wait_until(lambda: "Run engine paused by an error; retrying" in caplog.messages)
    assert "Due times skipped" not in caplog.messages
    with world.store.write() as tx:
        tx.connection.exec_driver_sql("DROP TRIGGER refuse")
    wait_until(lambda: "Due times skipped" in caplog.messages)
    account(world, "a")
    assert caplog.messages.count("Due times skipped") == 1
