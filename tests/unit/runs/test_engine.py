"""The engine with real processes, from the due time to the outcome."""

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from controller.model.runs import Run, RunState
from controller.runs import outcomes
from controller.schedules import jitter_offset
from controller.settings import boot_id
from controller.sources.git import GitSource
from controller.store import inventory, runs
from tests.conftest import GitRepository, wait_until
from tests.unit.runs.conftest import World, attempts, command, gated, one_start, reap

pytestmark = pytest.mark.integration


def test_a_run_keeps_its_result_and_log(world: World) -> None:
    world.write("flows/sums.py", "def add(nums):\n    print('adding', nums)\n    return sum(nums)\n")
    world.declare(a="name: a\nflow: flows/sums.py:add\nparameters: {nums: [1, 2, 3, 4]}\n")
    world.start()
    run = world.run("a")
    assert (run.state, run.result, run.exit_code, run.attempt) == (RunState.SUCCEEDED, 10, 0, 1)
    assert run.started_at is not None
    assert run.finished_at is not None
    assert world.log(run) == "adding [1, 2, 3, 4]\n"
    [attempt] = attempts(world, run)
    assert (attempt.state, attempt.exit_code, attempt.boot_id) == (RunState.SUCCEEDED, 0, boot_id())
    other = world.run("a", nums=[5])
    assert other.result == 5


@one_start
def test_a_due_time_runs_once(world: World) -> None:
    world.declare(a=command("a", "echo $CONTROLLER_SCHEDULED_FOR", "schedules: [{cron: '0 * * * *'}]\n"))
    engine = world.start()
    world.clock.turn(timedelta(hours=1))
    for _ in range(5):
        engine.notify_due("a")
    wait_until(world.all_runs)
    [run] = world.all_runs()
    assert world.wait(run).state is RunState.SUCCEEDED
    engine.notify_due("a")
    assert world.run("a").state is RunState.SUCCEEDED
    assert len(world.all_runs()) == 2
    assert world.log(run) == "2026-06-01T13:00:00Z\n"


LATER = "schedules: [{id: x, cron: '0 * * * *', jitter: 30m}]\n"


def waits(world: World) -> Run:
    """A run of `a` that was due an hour from now, on the hour, and may start up to half an hour later."""
    world.declare(a=command("a", "echo $CONTROLLER_SCHEDULED_FOR", LATER), b=command("b", "exit 0"))
    engine = world.start()
    world.clock.turn(timedelta(hours=1))
    engine.notify_due("a")
    wait_until(world.all_runs)
    [run] = world.all_runs()
    assert run.not_before == world.clock.now() + jitter_offset("a", "x", timedelta(minutes=30))
    return run


@one_start
def test_a_run_with_jitter_starts_later_and_gets_its_due_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controller.runs.engine.TICK_SECONDS", 3600.0)
    run = waits(world)
    assert run.not_before is not None
    world.clock.turn(run.not_before - world.clock.now() - timedelta(seconds=0.1))
    assert world.run("b").state is RunState.SUCCEEDED  # nobody else waits for it
    assert world.find(run) == run
    world.clock.turn(timedelta(seconds=0.1))  # and nobody wakes the engine
    ended = world.wait(run)
    assert (ended.state, world.log(run)) == (RunState.SUCCEEDED, "2026-06-01T13:00:00Z\n")


@one_start
def test_a_run_waits_for_its_start_time_after_a_restart(world: World) -> None:
    run = waits(world)
    world.stop()
    engine = world.start()
    assert world.run("b").state is RunState.SUCCEEDED
    assert world.find(run) == run
    world.clock.turn(timedelta(minutes=30))
    engine.wake()
    assert world.wait(run).state is RunState.SUCCEEDED


@one_start
def test_a_start_time_does_not_wake_the_engine_while_all_slots_are_used(world: World) -> None:
    run = waits(world)
    world.stop()
    gate = gated(world)
    world.start(max_running=1)
    slow = world.trigger("slow")
    world.wait(slow, RunState.RUNNING)
    world.clock.turn(timedelta(minutes=30))
    assert world.find(run) == run
    gate.touch()
    assert world.wait(run).state is RunState.SUCCEEDED


def test_a_flow_gets_the_facts_about_its_run(world: World) -> None:
    names = ["RUN_ID", "DEPLOYMENT", "ATTEMPT", "SCHEDULED_FOR", "REVISION"]
    script = "; ".join(f'echo "$CONTROLLER_{name}"' for name in names) + '; echo "$X"; pwd; ls -d "$TMPDIR"'
    world.declare(a=f"name: a\ncommand: [sh, -c, '{script}']\nenv: {{X: declared}}\n")
    world.start()
    run = world.run("a")
    lines = world.log(run).splitlines()
    assert lines[:7] == [run.id, "a", "1", "", run.revision, "declared", str(world.root)]
    assert not Path(lines[7]).exists()
    assert Path(lines[7]).parent == Path("/tmp")


@pytest.mark.parametrize(
    ("script", "state", "reason"),
    [
        ("exit 3", RunState.FAILED, "exit code 3"),
        ("kill -9 $$", RunState.FAILED, "ended by SIGKILL (signal 9)"),
    ],
)
def test_a_failure_is_final_and_recorded_as_an_event(world: World, script: str, state: RunState, reason: str) -> None:
    world.declare(a=command("a", script))
    world.start()
    run = world.run("a")
    assert (run.state, run.reason) == (state, reason)
    event = world.events()[-1]
    assert (event.about, event.reason, event.message) == ("a", "RunFailed", f"Run {run.id} failed: {reason}")


def test_a_run_that_exceeds_its_timeout_is_killed(world: World) -> None:
    world.declare(a=command("a", "sleep 600", "timeout: 1s\n"))
    world.start()
    run = world.run("a")
    assert (run.state, run.reason, run.signal) == (RunState.TIMED_OUT, "it ran longer than its timeout", 15)


HOSTILE = {
    "surrogate-error": "raise ValueError('\\ud800')",
    "surrogate-result": "return {'a': ['\\ud800']}",
    "nul-error": "raise ValueError('a\\0b')",
    "deep-result": "x = []\n    for _ in range(988): x = [x]\n    return x",
    "raw-depth": "import os\n    os.write(4, b'{\"result\": ' + b'[' * 960 + b']' * 960 + b'}\\n')\n"
    "    raise SystemExit(1)",
    "huge-number": "return 10 ** 4000",
    "closed-report": "import os\n    os.close(4)",
    "fork": "import os\n    if os.fork() == 0:\n        os.close(1)\n    return 1",
}


@one_start
@pytest.mark.parametrize("name", HOSTILE)
def test_no_result_of_a_flow_stops_the_engine(world: World, name: str) -> None:
    world.write("flows/bad.py", f"def f():\n    {HOSTILE[name]}\n")
    world.declare(bad="name: bad\nflow: flows/bad.py:f\n", good=command("good", "exit 0"))
    engine = world.start()
    assert world.run("bad").state in (RunState.FAILED, RunState.SUCCEEDED)
    assert world.run("good").state is RunState.SUCCEEDED
    assert engine.failure is None


def test_a_missing_program_fails_only_its_own_run(world: World) -> None:
    world.write("flows/none.py", "def f(): ...\n")
    world.declare(a="name: a\ncommand: [no-such-program]\n", b="name: b\nflow: flows/none.py:f\n")
    (world.root / "flows/none.py").unlink()
    world.start()
    assert world.run("a").reason == "could not be started: No such file or directory: no-such-program"
    assert world.run("b").reason == "flows/none.py does not exist in this revision."


@one_start
def test_at_most_max_running_runs_at_once_and_all_get_their_turn(world: World) -> None:
    script = 'echo $CONTROLLER_RUN_ID >> "$OUT"; sleep 0.05; echo - >> "$OUT"'
    world.declare(a=f"name: a\ncommand: [sh, -c, '{script}']\nenv: {{OUT: '{world.state}/out'}}\n")
    world.start(max_running=1)
    wanted = [world.trigger("a") for _ in range(5)]
    assert {world.wait(run).state for run in wanted} == {RunState.SUCCEEDED}
    written = (world.state / "out").read_text(encoding="utf-8").split()
    assert written == [word for run in wanted for word in (run.id, "-")]


@one_start
def test_requests_with_the_same_idempotency_key_run_once(world: World) -> None:
    world.declare(a=command("a", "exit 0"))
    world.start()
    first, second = world.trigger("a", key="k"), world.trigger("a", key="k")
    assert first.id == second.id
    world.wait(first)
    assert world.trigger("a", key="k").state is RunState.SUCCEEDED
    assert len(world.all_runs()) == 1


@one_start
def test_in_a_directory_a_run_fails_if_its_deployment_has_changed(world: World) -> None:
    world.declare(a=command("a", "echo old"))
    with world.store.write() as tx:
        run = world.admission.create_run(tx, "a", {})
    world.declare(a=command("a", "echo new"))
    world.start()
    ended = world.wait(run)
    assert ended.state is RunState.FAILED
    assert ended.reason is not None
    assert ended.reason.startswith("not launched: a has changed")
    assert world.log(run) == ""


def follow_git(world: World, repository: GitRepository) -> None:
    world.source = GitSource(repository.path, ref=None, path="deployments", exports=world.state / "exports")


@one_start
def test_a_run_executes_the_commit_and_not_the_working_tree(world: World, repository: GitRepository) -> None:
    good = "def f():\n    return 'committed'\n"
    repository.commit({"flows/a.py": good, "deployments/a.yaml": "name: a\nflow: flows/a.py:f\n"})
    follow_git(world, repository)
    world.declare()
    repository.write("flows/a.py", "def f():\n    return 'on disk'\n")
    world.start()
    run = world.run("a")
    assert run.result == "committed", world.log(run)
    assert run.revision == f"main@sha1:{repository.head()}"
    root = world.state / "exports" / repository.head() / "tree"
    assert [path.name for path in root.rglob("__pycache__")] == []


@one_start
def test_write_access_to_the_database_cannot_execute_code(world: World, repository: GitRepository) -> None:
    repository.commit({"deployments/a.yaml": command("a", "echo good")})
    follow_git(world, repository)
    world.declare()
    with world.store.write() as tx:
        [row] = inventory.entries(tx).values()
        evil = {"name": "a", "command": ["sh", "-c", "echo evil"]}
        inventory.save(tx, [replace(row, document=evil)])
    world.start()
    assert world.log(world.run("a")) == "good\n"
    with world.store.write() as tx:
        inventory.save(tx, [replace(row, document=evil, spec_digest="sha256:evil")])
    run = world.run("a")
    assert run.state is RunState.FAILED
    assert world.log(run) == ""


@one_start
def test_a_missing_revision_fails_only_its_run(world: World, repository: GitRepository) -> None:
    repository.commit({"deployments/a.yaml": command("a", "echo good")})
    follow_git(world, repository)
    world.declare()
    with world.store.write() as tx:
        lost = world.admission.create_run(tx, "a", {})
        tx.connection.exec_driver_sql("UPDATE runs SET revision = 'main@sha1:" + "0" * 40 + "'")
    world.start()
    ended = world.wait(lost)
    assert ended.state is RunState.FAILED
    assert ended.reason is not None
    assert ended.reason.startswith("not launched: ")
    assert world.run("a").state is RunState.SUCCEEDED


def test_the_files_of_a_run_are_private_with_any_umask(world: World) -> None:
    world.declare(a=command("a", "echo x"))
    before = os.umask(0)
    try:
        world.start()
        run = world.run("a")
    finally:
        os.umask(before)
    directory = world.runs_directory / run.id
    modes = {path.name: path.stat().st_mode & 0o077 for path in [directory, *directory.rglob("*")]}
    assert "log" in modes
    assert {name: bits for name, bits in modes.items() if bits} == {}


def test_a_run_starts_in_its_working_directory(world: World) -> None:
    world.write("reports/where.py", "import os\n\n\ndef where():\n    return os.path.basename(os.getcwd())\n")
    (world.root / "reports" / "gone").mkdir()
    world.declare(
        where="name: where\nflow: reports/where.py:where\nworking_directory: reports",
        gone="name: gone\ncommand: ['true']\nworking_directory: reports/gone",
    )
    world.start()
    assert world.run("where").result == "reports"
    (world.root / "reports" / "gone").rmdir()
    gone = world.run("gone")
    reason = "could not be started: No such file or directory: the working directory reports/gone"
    assert (gone.state, gone.reason) == (RunState.FAILED, reason)


RETRIED = "retries: {limit: 2, delay: 1m, backoff: 2, jitter: 0}\n"


def turn(world: World, by: timedelta) -> None:
    """Let time pass, and let the engine take notice."""
    assert world.engine is not None
    world.clock.turn(by)
    world.engine.wake()


@one_start
def test_a_failed_run_is_retried_and_each_attempt_has_a_record(world: World) -> None:
    marks = world.state / "marks"
    script = f'echo $CONTROLLER_ATTEMPT >> {marks}; [ "$CONTROLLER_ATTEMPT" = 3 ]'
    world.declare(a=f"name: a\ncommand: [sh, -c, '{script}']\n{RETRIED}")
    world.start()
    run = world.trigger("a")
    first = world.wait(run, RunState.RETRYING)
    assert first.not_before == world.clock.now() + timedelta(minutes=1)
    assert (first.attempt, first.attempts, first.finished_at) == (1, 3, None)
    assert first.reason == "attempt 1 of 3 failed: exit code 1"
    turn(world, timedelta(minutes=1))
    wait_until(lambda: (found := world.find(run)).state is RunState.RETRYING and found.attempt == 2)
    assert world.find(run).not_before == world.clock.now() + timedelta(minutes=2)
    turn(world, timedelta(minutes=2))
    ended = world.wait(run)
    assert (ended.state, ended.attempt, ended.reason) == (RunState.SUCCEEDED, 3, None)
    assert marks.read_text(encoding="utf-8").split() == ["1", "2", "3"]
    assert [(one.number, one.state, one.exit_code) for one in attempts(world, run)] == [
        (1, RunState.FAILED, 1),
        (2, RunState.FAILED, 1),
        (3, RunState.SUCCEEDED, 0),
    ]


@one_start
def test_the_next_attempt_survives_a_restart_and_the_last_one_is_final(world: World) -> None:
    world.declare(a=command("a", "exit 3", "retries: {limit: 1, delay: 1m, jitter: 0}\n"))
    world.start()
    run = world.trigger("a")
    world.wait(run, RunState.RETRYING)
    world.stop()
    world.start()
    assert world.find(run).state is RunState.RETRYING
    turn(world, timedelta(minutes=1))
    ended = world.wait(run)
    assert (ended.state, ended.attempt, ended.reason) == (RunState.FAILED, 2, "exit code 3")


def cancel(world: World, run: Run) -> None:
    with world.store.write() as tx:
        found = runs.find(tx, run.id)
        assert found is not None
        outcomes.cancel(tx, found, "cancelled by ada", world.clock.now())
    assert world.engine is not None
    world.engine.wake()


def test_a_cancelled_flow_is_stopped_and_not_retried(world: World) -> None:
    gated(world, RETRIED)
    world.start()
    run = world.trigger("slow")
    wait_until(lambda: world.log(run))
    cancel(world, run)
    ended = world.wait(run)
    assert (ended.state, ended.reason, ended.signal) == (RunState.CANCELLED, "cancelled by ada", 15)


@one_start
def test_a_cancel_request_survives_a_restart(world: World) -> None:
    gated(world)
    world.start()
    run = world.trigger("slow")
    wait_until(lambda: world.log(run))
    pid = world.supervisor_pid(run)
    world.stop()
    with world.store.write() as tx:
        outcomes.cancel(tx, world.find(run), "cancelled by ada", world.clock.now())
    world.start()
    reap(pid)
    ended = world.wait(run)
    assert (ended.state, ended.reason) == (RunState.CANCELLED, "cancelled by ada")


@one_start
def test_a_running_flow_is_replaced_by_its_next_due_time(world: World) -> None:
    gate = gated(world, "schedules: [{cron: '0 * * * *'}]\noverlap: replace\n")
    engine = world.start()
    world.clock.turn(timedelta(hours=1))
    engine.notify_due("slow")
    wait_until(world.all_runs)
    [first] = world.all_runs()
    wait_until(lambda: world.log(first))
    world.clock.turn(timedelta(hours=1))
    engine.notify_due("slow")
    wait_until(lambda: len(world.all_runs()) == 2)
    second = world.all_runs()[1]
    wait_until(lambda: world.log(second))
    assert (world.find(first).state, world.find(first).reason) == (RunState.CANCELLED, "replaced by a later run")
    gate.touch()
    assert world.wait(second).state is RunState.SUCCEEDED
