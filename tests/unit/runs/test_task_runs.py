"""Task runs are available during and after a run, even if the controller is restarted."""

import os
import select
from collections import Counter

import pytest

from controller.model.runs import Run, RunState
from controller.model.task_runs import MAX_TASK_RUNS, TaskRun, replay
from controller.queries.runs import find_run
from controller.runs.executors.local.supervisor.flow_events import MAX_FILE_BYTES
from controller.store import events
from tests.conftest import PATIENCE_SECONDS, wait_until
from tests.unit.runs.conftest import RunFlow, World, one_start

pytestmark = pytest.mark.integration

MANY = """
import threading
from controller import flow, tags, task

seen = {}
lock = threading.Lock()

@task(retries=2, tags=["load"])
def load(x):
    with lock:
        seen[x] = seen.get(x, 0) + 1
    if x % 10 == 0 and seen[x] == 1:
        raise OSError("away")
    if x == 77:
        raise ValueError("no such row")
    return x

@task
def add(values):
    return sum(values)

@flow
def part(values):
    return add(values)

@flow(concurrency=8)
def main(count: int, file: str = ""):
    loaded = load.map(range(count))
    good = [future.result() for future in loaded if not future.result(raise_on_failure=False).__class__ is ValueError]
    if file:
        import os
        open(file, "w").close()
        while os.path.exists(file):
            os.stat(".")
    total = part(good)
    add.submit([loaded[77]] if count > 77 else [1])
    return total
"""
DOCUMENT = "name: many\nflow: flows/many.py:main\nparameters: {{count: {count}, file: '{file}'}}\n"


def seen(world: World, run_id: str) -> Run:
    with world.store.read() as tx:
        return find_run(tx, run_id, directory=world.runs_directory)


def check_tree(tasks: tuple[TaskRun, ...]) -> None:
    """Return the tasks of `main` with 200."""
    by_name = {name: [one for one in tasks if one.name == name] for name in ("main", "load", "part", "add")}
    [main], [part] = by_name["main"], by_name["part"]
    assert (main.kind, main.parent, main.state) == ("flow", None, "failed")
    assert main.reason is not None
    assert main.reason.startswith("TasksFailedError: 1 of 201 tasks did not succeed: add-")
    assert (part.kind, part.parent, part.state) == ("flow", main.id, "succeeded")
    assert len(by_name["load"]) == 200
    assert {one.parent for one in by_name["load"]} == {main.id}
    assert {one.tags for one in by_name["load"]} == {("load",)}
    assert Counter(one.state for one in by_name["load"]) == {"succeeded": 199, "failed": 1}
    assert Counter(one.attempt for one in by_name["load"]) == {1: 179, 2: 20, 3: 1}
    [failed] = [one for one in by_name["load"] if one.state == "failed"]
    assert failed.reason == "ValueError: no such row"
    assert [(one.parent, one.state) for one in by_name["add"]] == [(part.id, "succeeded"), (main.id, "skipped")]
    assert [one.needs for one in by_name["add"]] == [(), (by_name["load"][77].id,)]
    for one in tasks:
        assert one.finished_at is not None
        assert one.state == "skipped" or (one.started_at is not None and one.started_at <= one.finished_at)


@one_start
def test_two_hundred_tasks_with_retries_and_a_failure_are_reported(world: World) -> None:
    world.write("flows/many.py", MANY)
    world.declare(many=DOCUMENT.format(count=200, file=""))
    world.start()
    run = world.run("many")
    view = seen(world, run.id)
    assert view.state == "failed", world.log(run)
    [failed, skipped] = [task for task in view.tasks[1:] if task.state != "succeeded"]
    assert view.reason == f"{failed.label}: ValueError: no such row → {skipped.label} not run"
    check_tree(view.tasks)
    assert "load-" in world.log(run)


SHARDS = """
from controller import flow, task

@task
def score(shard):
    if shard == 3:
        raise ValueError("shard 3: checksum mismatch")
    return shard

@task
def merge(scores):
    return sum(scores)

@task
def publish(total):
    return total

@flow
def main():
    return publish.submit(merge.submit(score.map(range(5)))).result()
"""


@one_start
def test_the_reason_of_a_run_is_the_task_that_failed_and_its_flow_is_not_skipped(world: World) -> None:
    world.write("flows/shards.py", SHARDS)
    world.declare(shards="name: shards\nflow: flows/shards.py:main\n")
    world.start()
    run = seen(world, world.run("shards").id)
    assert (run.state, run.tasks[0].state) == ("failed", "failed")
    assert run.reason == "score-4: ValueError: shard 3: checksum mismatch → merge-1, publish-1 not run"
    with world.store.read() as tx:
        [event] = [event for event in events.latest(tx, 10) if event.reason == "RunFailed"]
    assert event.message == f"Run {run.id} failed: {run.reason}"


@one_start
def test_task_runs_are_reported_although_the_controller_was_restarted(world: World) -> None:
    world.write("flows/many.py", MANY)
    gate = world.state / "gate"
    world.declare(many=DOCUMENT.format(count=200, file=gate))
    engine = world.start()
    run = world.trigger("many")
    wait_until(lambda: len(seen(world, run.id).tasks) == 201 and gate.exists())
    during = seen(world, run.id)
    assert (during.state, during.tasks[0].state) == ("running", "running")
    supervisor = os.pidfd_open(world.supervisor_pid(run))
    engine.stop()
    world.engine = None
    gate.unlink()
    assert select.select([supervisor], [], [], PATIENCE_SECONDS)[0]
    os.close(supervisor)
    assert world.find(run).state is RunState.RUNNING
    world.start()
    assert world.wait(run).state is RunState.FAILED
    check_tree(seen(world, run.id).tasks)


@one_start
def test_a_task_that_was_running_when_its_process_was_killed_has_crashed(world: World) -> None:
    code = "import os\nfrom controller import flow, task\n@task\ndef step(): os.kill(os.getpid(), 9)\n"
    world.write("flows/f.py", f"{code}@flow\ndef main(): step()\n")
    world.declare(dies="name: dies\nflow: flows/f.py:main\n")
    world.start()
    run = world.run("dies")
    assert run.state is RunState.FAILED
    tasks = [(one.label, one.state, one.reason) for one in seen(world, run.id).tasks]
    assert tasks == [
        ("main-1", "crashed", "the run ended before this task"),
        ("step-1", "crashed", "the run ended before this task"),
    ]


@one_start
def test_a_flow_without_tasks_has_no_task_runs(world: World) -> None:
    world.write("flows/f.py", "def main(): return 1\n")
    world.declare(plain="name: plain\nflow: flows/f.py:main\n")
    world.start()
    run = world.run("plain")
    assert seen(world, run.id).tasks == ()
    assert not list(world.runs_directory.glob("*/*/events.jsonl"))


@one_start
def test_excess_task_reports_are_dropped_without_failing_the_flow(run_flow: RunFlow) -> None:
    code = (
        "import json, os\ndef f():\n"
        "    line = json.dumps({'task': {'id': 1, 'state': 'running', 'name': 'x' * 3000}}).encode() + b'\\n'\n"
        f"    for _ in range({MAX_FILE_BYTES // 3000 + 100}): os.write(4, line)\n"
        "    os.write(4, b'{\"task\": ' + b'[' * 300_000 + b'\\n' + b'nonsense\\n' + b'[' * 5_000_000 + b'\\n')\n"
        "    return 'done'\n"
    )
    ending, log = run_flow({"a.py": code}, "a.py:f")
    assert (ending["outcome"], ending["result"]) == ("succeeded", "done"), log
    assert ending["dropped_reports"] > 50


def test_forked_children_send_no_reports_for_their_parent(world: World) -> None:
    code = (
        "import os\nfrom controller import flow, task\n@task\ndef step(): return 1\n@flow\ndef main():\n"
        "    pid = os.fork()\n    if pid == 0:\n        step()\n        os._exit(0)\n"
        "    os.waitpid(pid, 0)\n    return step()\n"
    )
    world.write("flows/f.py", code)
    world.declare(forks="name: forks\nflow: flows/f.py:main\n")
    world.start()
    run = world.run("forks")
    assert [one.label for one in seen(world, run.id).tasks] == ["main-1", "step-1"], world.log(run)


NEEDS = """
import asyncio
from controller import flow, task

@task
def one(x): return x

@task
def all_of(*values, more=()): return len(values)

@task
async def later(x): return x

@flow
def direct():
    first = one.submit(1)
    many = one.map(range(3))
    all_of(first, {"a": [many[0], first]}, more=many)
    all_of.submit(wait_for=[many]).wait()
    one(5)

@flow
async def main():
    direct()
    await later(later.submit(1))
"""


@one_start
def test_a_task_reports_the_tasks_that_it_depends_on(world: World) -> None:
    world.write("flows/f.py", NEEDS)
    world.declare(needs="name: needs\nflow: flows/f.py:main\n")
    world.start()
    run = world.run("needs")
    tasks = seen(world, run.id).tasks
    labels = {one.id: one.label for one in tasks}
    found = {one.label: [labels[need] for need in one.needs] for one in tasks}
    assert {label: needs for label, needs in found.items() if needs} == {
        "all_of-1": ["one-1", "one-2", "one-3", "one-4"],
        "all_of-2": ["one-2", "one-3", "one-4"],
        "later-2": ["later-1"],
    }, world.log(run)


def test_invalid_task_reports_are_ignored_and_the_tree_has_no_cycles() -> None:
    lines = [
        b"",
        b"\xff",
        b"[]",
        b'{"task": 5}',
        b'{"task": {"id": 1, "state": "happy", "name": "a"}}',
        b'{"task": {"id": true, "state": "running", "name": "a"}}',
        b'{"task": {"id": 9, "state": "succeeded"}}',
        b'{"task": {"id": 1, "state": "running", "name": "a", "parent": 1, "at": 1e300, "attempt": "x", "tags": [1]}}',
        b'{"task": {"id": 2, "state": "running", "name": "\\ud800", "parent": 7, "kind": "x", "at": 5}}',
        b'{"task": {"id": 3, "state": "failed", "name": "c", "parent": 2, "at": 6, "reason": "r", "cached": 1}}',
    ]
    found = [(one.id, one.parent, one.kind, one.label, one.state, one.cached) for one in replay(lines).runs]
    assert found == [
        (1, None, "task", "a", "running", False),
        (2, None, "task", "\\ud800", "running", False),
        (3, 2, "task", "c", "failed", False),
    ]
    assert {one.needs for one in replay(lines).runs} == {()}
    needy = replay(
        [
            b'{"task": {"id": 1, "state": "running", "name": "a", "needs": [2, 1]}}',
            b'{"task": {"id": 2, "state": "running", "name": "b", "needs": [1, 1.5, "x", null, true, 9]}}',
            b'{"task": {"id": 3, "state": "running", "name": "c", "needs": "12"}}',
            b'{"task": {"id": 4, "state": "running", "name": "d", "needs": %s}}' % str([1] * 500).encode(),
        ]
    )
    assert [len(one.needs) for one in needy.runs] == [0, 1, 0, 100]
    many = (b'{"task": {"id": %d, "state": "running", "name": "a"}}' % number for number in range(MAX_TASK_RUNS + 5))
    assert (len((tree := replay(many)).runs), tree.dropped) == (MAX_TASK_RUNS, 5)
