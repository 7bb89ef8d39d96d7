"""A new engine takes over the runs of an old one: running, finished, lost or never started."""

import os
import shutil
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from controller.model.runs import Attempt, Run, RunState
from controller.runs.executors.local.cgroup_parent import own_group
from controller.settings import boot_id
from controller.store import occurrences, run_transitions, runs
from tests.conftest import wait_until
from tests.unit.runs.conftest import World, attempts, command, gated, one_start, reap
from tests.unit.runs.test_supervisor import is_gone

pytestmark = pytest.mark.integration


def test_a_flow_survives_its_engine_and_is_adopted_by_the_next(world: World) -> None:
    gate = gated(world)
    world.start()
    run = world.trigger("slow")
    world.wait(run, RunState.RUNNING)
    pid = world.supervisor_pid(run)
    world.stop()
    assert world.find(run).state is RunState.RUNNING
    assert not is_gone(pid)
    world.start()
    assert world.find(run).state is RunState.RUNNING
    gate.touch()
    ended = world.wait(run)
    reap(pid)
    assert (ended.state, ended.attempt) == (RunState.SUCCEEDED, 1)
    assert world.log(run) == "begin\nend\n"
    assert [attempt.executor for attempt in attempts(world, run)] == ["local"]


@one_start
def test_an_adopted_run_uses_a_slot_and_counts_as_overlap(world: World) -> None:
    gate = gated(world, "schedules: [{cron: '0 * * * *'}]\n")
    world.start()
    run = world.trigger("slow")
    world.wait(run, RunState.RUNNING)
    pid = world.supervisor_pid(run)
    world.stop()
    engine = world.start(max_running=1)
    world.clock.turn(timedelta(hours=1))
    engine.notify_due("slow")

    def skipped() -> list[str | None]:
        with world.store.read() as tx:
            return [found.reason for found in occurrences.find_newest(tx, "slow", 5)]

    wait_until(skipped)
    assert skipped() == ["overlap"]
    second = world.trigger("slow")
    gate.touch()
    assert world.wait(second).state is RunState.SUCCEEDED
    first, last = world.find(run), world.find(second)
    reap(pid)
    assert first.finished_at is not None
    assert last.finished_at is not None
    assert first.finished_at <= last.finished_at


def test_a_flow_that_ended_without_a_controller_has_its_outcome(world: World) -> None:
    gate = gated(world)
    world.start()
    run = world.trigger("slow")
    world.wait(run, RunState.RUNNING)
    pid = world.supervisor_pid(run)
    world.stop()
    gate.touch()
    reap(pid)
    assert world.find(run).state is RunState.RUNNING
    world.start()
    assert world.wait(run).state is RunState.SUCCEEDED


def test_killing_a_supervisor_crashes_its_run_and_kills_the_flow(world: World) -> None:
    gated(world)
    world.start()
    run = world.trigger("slow")
    world.wait(run, RunState.RUNNING)
    wait_until(lambda: world.log(run))
    flow = [pid for pid in pids_of(run) if pid != world.supervisor_pid(run)]
    assert flow
    os.kill(world.supervisor_pid(run), signal.SIGKILL)
    ended = world.wait(run)
    assert (ended.state, ended.exit_code) == (RunState.CRASHED, None)
    assert ended.reason == "outcome unknown: the supervisor was killed while the flow was running"
    wait_until(lambda: all(is_gone(pid) for pid in flow))
    assert world.log(run) == "begin\n"
    assert world.events()[-1].reason == "RunCrashed"


def test_the_control_group_of_a_lost_run_is_killed_and_removed(world: World) -> None:
    group = own_group()
    if group is None:
        pytest.skip("NOT TESTED: no control group of version 2 can be written to here")
    # Its remaining processes have no mark of the run: only the control group identifies them.
    script = "env -i setsid sleep 900 & echo $!; wait"
    world.declare(a=command("a", script))
    world.start(group=group)
    run = world.trigger("a")
    wait_until(lambda: world.log(run))
    [attempt] = attempts(world, run)
    assert [path.is_dir() for path in group.glob(f"controller-{attempt.nonce}-*")] == [True]
    os.kill(world.supervisor_pid(run), signal.SIGKILL)
    assert world.wait(run).state is RunState.CRASHED
    assert is_gone(int(world.log(run)))
    assert not list(group.glob(f"controller-{attempt.nonce}-*"))


def pids_of(run: Run) -> list[int]:
    """The processes that have the run's id in their environment."""
    cookie = f"CONTROLLER_RUN_ID={run.id}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and cookie in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_a_supervisor_killed_without_a_controller_is_a_crash(world: World) -> None:
    gated(world)
    world.start()
    run = world.trigger("slow")
    world.wait(run, RunState.RUNNING)
    wait_until(lambda: world.log(run))
    pid = world.supervisor_pid(run)
    world.stop()
    os.kill(pid, signal.SIGKILL)
    reap(pid)
    world.start()
    assert world.wait(run).state is RunState.CRASHED
    assert not pids_of(run)


@one_start
def test_a_flow_that_removes_its_own_record_is_not_started_again(world: World) -> None:
    marks = world.state / "marks"
    script = f"echo once >> {marks}; rm -rf {world.runs_directory}/$CONTROLLER_RUN_ID/1-*"
    world.declare(a=f"name: a\ncommand: [sh, -c, '{script}']\n")
    world.start()
    ended = world.run("a")
    assert (ended.state, ended.reason) == (RunState.CRASHED, "outcome unknown: the run directory is missing")
    assert marks.read_text(encoding="utf-8") == "once\n"


@one_start
def test_a_run_record_deleted_during_its_run_does_not_block_other_runs(world: World) -> None:
    gate = gated(world, "---\n" + command("other", "exit 0"))
    engine = world.start()
    run = world.trigger("slow")
    wait_until(lambda: world.log(run))
    shutil.rmtree(world.runs_directory / run.id)
    engine.notify_due("slow")
    assert world.run("other").state is RunState.SUCCEEDED
    assert world.find(run).state is RunState.RUNNING
    gate.touch()
    assert world.wait(run).state is RunState.CRASHED


def claim(world: World, *, state: RunState, boot: str | None = None, marks: dict[str, str] | None = None) -> Run:
    """A run as a controller leaves it that was killed after claiming it; `marks` None: before its directory."""
    with world.store.write() as tx:
        run = world.admission.create_run(tx, "a", {})
        attempt = Attempt(run_id=run.id, number=1, nonce="aa", boot_id=boot or boot_id(), state=state)
        run_transitions.claim(tx, [attempt])
        runs.move(tx, run.id, expect=RunState.LAUNCHING, to=state)
    if marks is not None:
        directory = world.runs_directory / run.id / "1-aa"
        directory.mkdir(parents=True)
        for name, content in marks.items():
            (directory / name).write_text(content, encoding="utf-8")
    return run


@one_start
@pytest.mark.parametrize(
    ("state", "marks"),
    [
        (RunState.LAUNCHING, None),
        (RunState.LAUNCHING, {}),
        (RunState.LAUNCHING, {"run.json": "{", "started": "torn"}),
        (RunState.RUNNING, {"run.json": "{}"}),
        (RunState.RUNNING, {"run.json": "{}", "started": '{"nonce": "other"}'}),
    ],
)
def test_a_claimed_run_that_never_started_is_started(
    world: World, state: RunState, marks: dict[str, str] | None
) -> None:
    world.declare(a=command("a", "echo once"))
    run = claim(world, state=state, marks=marks)
    world.start()
    ended = world.wait(run)
    assert (ended.state, ended.attempt) == (RunState.SUCCEEDED, 1)
    assert world.log(run) == "once\n"
    assert [attempt.nonce for attempt in attempts(world, run)] != ["aa"]


@one_start
@pytest.mark.parametrize(
    ("boot", "marks", "reason"),
    [
        (None, None, "outcome unknown: the run directory is missing"),
        (None, {}, "outcome unknown: the run directory is missing"),
        (None, {"started": '{"nonce": "aa"}'}, "outcome unknown: the supervisor was killed while the flow was running"),
        (
            "other",
            {"started": '{"nonce": "aa"}'},
            "outcome unknown: the machine was restarted while the flow was running",
        ),
    ],
)
def test_a_run_that_may_have_started_is_never_started_again(
    world: World, boot: str | None, marks: dict[str, str] | None, reason: str
) -> None:
    world.declare(a=command("a", "echo twice"))
    run = claim(world, state=RunState.RUNNING, boot=boot, marks=marks)
    world.start()
    ended = world.wait(run)
    assert (ended.state, ended.reason) == (RunState.CRASHED, reason)
    assert world.log(run) == ""


@one_start
def test_stopping_between_claim_and_go_runs_nothing_twice(world: World) -> None:
    world.declare(a=command("a", "echo x >> $OUT", f"env: {{OUT: '{world.state}/out'}}\n"))
    wanted = []
    for _ in range(4):
        world.start()
        wanted.append(world.trigger("a"))
        world.stop()
    world.start()
    assert {world.wait(run).state for run in wanted} == {RunState.SUCCEEDED}
    assert (world.state / "out").read_text(encoding="utf-8") == "x\n" * 4
