"""A cancelled or timed-out flow can clean up: SIGTERM raises once, and the outcome does not change."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controller.operations.cancel import cancel_run
from controller.runs.executors.local.supervisor import flow_main
from controller.store import task_trees
from tests.conftest import PATIENCE_SECONDS, wait_until
from tests.unit.runs.conftest import Supervise, Supervised, World, end_by_timeout, one_start

pytestmark = pytest.mark.integration

ENDED = {"outcome": "cancelled", "exit_code": 143, "signal": None, "error": "ended by SIGTERM (signal 15)"}
LINE = "[controller: stopping the flow (SIGTERM)]"
HEAD = """
import asyncio, atexit, concurrent.futures, os, signal, sys, threading, time
from contextlib import contextmanager
from controller import flow, task
def say(*words):
    print(*words, flush=True)
atexit.register(say, "atexit")
@contextmanager
def held():
    try:
        yield
    finally:
        say("released")
async def waits():
    try:
        say("up")
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0.01)
        say("cleaned up")
@task
def long():
    time.sleep(600)
"""

Stop = Callable[..., tuple[dict[str, Any], list[str]]]


@pytest.fixture
def prepare(tmp_path: Path, supervise: Supervise) -> Callable[..., Supervised]:
    """`prepare(code)` starts a supervisor for the flow `f` of this code."""

    def start(code: str, *, grace: float = PATIENCE_SECONDS, **more: Any) -> Supervised:
        root = tmp_path / "code"
        root.mkdir(exist_ok=True)
        (root / "a.py").write_text(HEAD + code, encoding="utf-8")
        call: dict[str, Any] = {"root": str(root), "path": "a.py", "name": "f", "parameters": {}, "pycache": None}
        argv = [sys.executable, "-P", flow_main.__file__]
        return supervise(argv, cwd=root, call=call, env={"PYTHONUNBUFFERED": "1"}, grace=grace, **more)

    return start


@pytest.fixture
def begin(prepare: Callable[..., Supervised]) -> Callable[..., Supervised]:
    """`begin(code)` starts the flow `f` of this code, and returns its supervisor once the flow has said `up`."""

    def start(code: str, **more: Any) -> Supervised:
        one = prepare(code, **more)
        one.say(b"GO\n")
        wait_until(lambda: (one.directory / "log").exists() and "up\n" in one.log())
        return one

    return start


@pytest.fixture
def stop(begin: Callable[..., Supervised]) -> Stop:
    """Start the flow `f`, cancel it when it says `up`; how it ended, and its log."""

    def run(code: str, **more: Any) -> tuple[dict[str, Any], list[str]]:
        one = begin(code, **more)
        one.signal(signal.SIGTERM)
        return one.end(), one.log().splitlines()

    return run


PLAIN = "def f():\n    try:\n        with held():\n            say('up')\n            time.sleep(600)\n    finally:\n"
PLAIN += "        time.sleep(0.05)\n        say('cleaned up')\n"


def test_a_cancelled_flow_cleans_up(stop: Stop) -> None:
    assert stop(PLAIN) == (ENDED, ["up", LINE, "released", "cleaned up", "atexit"])


def test_a_timed_out_flow_cleans_up(prepare: Callable[..., Supervised]) -> None:
    one, found = end_by_timeout(lambda timeout: prepare(PLAIN, timeout=timeout))
    assert found == {**ENDED, "outcome": "timed_out"}
    assert one.log().splitlines() == ["up", LINE, "released", "cleaned up", "atexit"]


CLEANED = ["up", LINE, "cleaned up", "atexit"]
WAYS = {
    "async": "async def f():\n    await waits()\n",
    "async in a flow": "@flow\nasync def f():\n    await waits()\n",
    "a loop of its own": "def f():\n    asyncio.run(waits())\n",
    "a task of a loop": "async def f():\n    async with asyncio.TaskGroup() as group:\n"
    "        group.create_task(waits())\n",
    "a thread of a loop": "async def f():\n    try:\n        say('up')\n"
    "        await asyncio.to_thread(time.sleep, 600)\n"
    "    finally:\n        await asyncio.to_thread(say, 'cleaned up')\n",
    "an executor that is being created": "class Slow(concurrent.futures.ThreadPoolExecutor):\n"
    "    def __init__(self, *args, **more):\n        say('up')\n"
    "        while not asyncio.current_task().cancelling():\n            time.sleep(0.01)\n"
    "        super().__init__(*args, **more)\n"
    "async def f():\n    concurrent.futures.ThreadPoolExecutor = Slow\n    try:\n"
    "        await asyncio.to_thread(time.sleep, 600)\n    finally:\n        say('cleaned up')\n",
    "a task": "@flow\ndef f():\n    try:\n        say('up')\n        long()\n    finally:\n        say('cleaned up')\n",
    "a submitted task": "@flow\ndef f():\n    try:\n        future = long.submit()\n        say('up')\n"
    "        future.result()\n    finally:\n        say('cleaned up')\n",
    "what is submitted": "@flow\ndef f():\n    with held_last():\n        long.submit()\n        say('up')\n"
    "@contextmanager\ndef held_last():\n    yield\n    atexit.register(say, 'cleaned up')\n",
    "a lock": "def f():\n    lock = threading.Lock()\n    lock.acquire()\n    try:\n        say('up')\n"
    "        lock.acquire()\n    finally:\n        say('cleaned up')\n",
    "a process": "import subprocess\ndef f():\n    try:\n        subprocess.run("
    "['sh', '-c', 'echo up; exec sleep 600'])\n        time.sleep(600)\n    finally:\n        say('cleaned up')\n",
    "an import": "try:\n    say('up')\n    time.sleep(600)\nfinally:\n    say('cleaned up')\n",
    "a thread": "def f():\n    atexit.register(say, 'cleaned up')\n"
    "    threading.Thread(target=time.sleep, args=(600,)).start()\n    say('up')\n    threading.Event().wait()\n",
}


@one_start
@pytest.mark.parametrize("way", WAYS)
def test_a_flow_cleans_up_wherever_it_waits(stop: Stop, way: str) -> None:
    assert stop(WAYS[way]) == (ENDED, CLEANED)


@one_start
@pytest.mark.parametrize("tasks", ["loop.create_task(waits())", "loop.call_soon(say, 'up')"])
def test_a_loop_that_runs_forever_is_stopped_when_its_tasks_have_ended(stop: Stop, tasks: str) -> None:
    code = (
        "def f():\n    loop = asyncio.new_event_loop()\n"
        f"    {tasks}\n"
        "    try:\n        loop.run_forever()\n    finally:\n        loop.close()\n        say('closed')\n"
    )
    ending, lines = stop(code)
    assert (ending["outcome"], ending["exit_code"]) == ("cancelled", 0)
    assert lines[-2:] == ["closed", "atexit"]
    assert ("cleaned up" in lines) is ("waits" in tasks)


def test_a_flow_whose_threads_continue_after_its_return_is_stopped(stop: Stop) -> None:
    code = "def f():\n    threading.Thread(target=time.sleep, args=(600,)).start()\n"
    code += "    threading.Timer(0.2, say, ['up']).start()\n"
    ending, log = stop(code)
    assert (ending["outcome"], ending["exit_code"], ending["result"]) == ("cancelled", 0, None)
    assert log == ["up", LINE, "atexit"]


@one_start
def test_repeated_stop_requests_raise_once(begin: Callable[..., Supervised]) -> None:
    code = "def f():\n    try:\n        say('up')\n        time.sleep(600)\n    finally:\n        say(os.getpid())\n"
    code += "        while not os.path.exists('go'):\n            time.sleep(0.01)\n        say('cleaned up')\n"
    one = begin(code)
    one.signal(signal.SIGTERM)
    wait_until(lambda: len(one.log().splitlines()) == 3)
    pid = int(one.log().splitlines()[2])
    for _ in range(3):
        one.signal(signal.SIGTERM)
        os.kill(pid, signal.SIGTERM)
    (one.directory.parent / "code" / "go").touch()
    assert one.end() == ENDED
    assert one.log().splitlines() == ["up", LINE, str(pid), "cleaned up", "atexit"]


@pytest.mark.parametrize(
    ("after", "ending"),
    [
        ("return 5", {"outcome": "cancelled", "exit_code": 0, "signal": None, "result": 5}),
        ("sys.exit(3)", {"outcome": "cancelled", "exit_code": 3, "signal": None}),
        ("sys.exit(0)", {"outcome": "cancelled", "exit_code": 0, "signal": None, "result": None}),
        ("os._exit(0)", {"outcome": "cancelled", "exit_code": 0, "signal": None}),
    ],
)
def test_the_run_is_cancelled_however_the_flow_handles_the_exception(
    stop: Stop, after: str, ending: dict[str, Any]
) -> None:
    code = (
        f"def f():\n    try:\n        say('up')\n        time.sleep(600)\n    except BaseException:\n        {after}\n"
    )
    assert stop(code)[0] == ending


def test_a_flow_that_continues_is_killed_after_the_grace_period(stop: Stop) -> None:
    code = "def f():\n    while True:\n        try:\n            say('up')\n            time.sleep(600)\n"
    code += "        except BaseException as error:\n            say(type(error).__name__)\n"
    assert stop(code, grace=0.5) == (
        {"outcome": "cancelled", "exit_code": None, "signal": 9},
        ["up", LINE, "RunStopped", "up"],
    )


@one_start
def test_a_flow_that_does_not_return_to_python_is_killed_after_the_grace_period(stop: Stop) -> None:
    code = "import ctypes\ndef f():\n    lock = ctypes.CDLL(None).pthread_mutex_lock\n"
    code += "    mutex = ctypes.create_string_buffer(64)\n"
    code += "    lock(mutex)\n    say('up')\n    lock(mutex)\n"
    ending, log = stop(code, grace=0.5)
    assert (ending["outcome"], ending["signal"], log[0]) == ("cancelled", 9, "up")


def test_a_signal_handler_of_the_flow_replaces_ours(stop: Stop) -> None:
    code = "def f():\n    signal.signal(signal.SIGTERM, lambda *_: (say('mine'), sys.exit(7)))\n    say('up')\n"
    code += "    time.sleep(600)\n"
    assert stop(code) == ({"outcome": "cancelled", "exit_code": 7, "signal": None}, ["up", "mine", "atexit"])


def test_a_process_forked_by_a_flow_is_ended_by_the_signal(stop: Stop) -> None:
    code = "import multiprocessing\ndef f():\n    context = multiprocessing.get_context('fork')\n"
    code += (
        "    child = context.Process(target=time.sleep, args=(600,))\n    child.start()\n    try:\n        say('up')\n"
    )
    code += "        time.sleep(600)\n    finally:\n        child.join()\n        say('child', child.exitcode)\n"
    assert stop(code) == (ENDED, ["up", LINE, "child -15", "atexit"])


STOP_AT_ONCE = """
import os, signal, time, types
from controller.sdk.termination import Stop
Stop(types.ModuleType("mark")).install(is_interactive=False)
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # a child runs only once this process waits
for _ in range(50):
    child = os.fork()
    if not child:
        time.sleep(5)
        os._exit(0)
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
"""


def test_a_forked_process_is_ended_by_a_signal_that_arrives_before_it_runs() -> None:
    subprocess.run([sys.executable, "-c", STOP_AT_ONCE], check=True)


FINALIZER = "class Last:\n    def __del__(self):\n        say('up')\n        while not stopped():\n            pass\n"
CALLBACK = "import weakref\nclass Last: ...\ndef gone(_):\n    say('up')\n    while not stopped():\n        pass\n"
STOPPED = "def stopped():\n    return getattr(sys.modules['_controller_run'], 'is_stopped', False)\n"


@one_start
@pytest.mark.parametrize(
    "code",
    [
        STOPPED + FINALIZER + "def begin():\n    Last()\n",
        STOPPED + CALLBACK + "def begin():\n    last = Last()\n    begin.ref = weakref.ref(last, gone)\n",
    ],
    ids=["finalizer", "callback"],
)
def test_an_exception_that_python_discards_is_raised_again(stop: Stop, code: str) -> None:
    code += "def f():\n    try:\n        begin()\n        time.sleep(600)\n    finally:\n        say('cleaned up')\n"
    assert stop(code) == (ENDED, CLEANED)


@one_start
def test_an_error_during_cleanup_is_shown_alone(stop: Stop) -> None:
    code = (
        "def f():\n    try:\n        say('up')\n        time.sleep(600)\n    finally:\n        raise ValueError('no')\n"
    )
    ending, log = stop(code)
    assert (ending["outcome"], ending["error"]) == ("cancelled", "ValueError: no")
    assert log[:3] == ["up", LINE, "Traceback (most recent call last):"]
    assert log[-2:] == ["ValueError: no", "atexit"]
    assert "RunStopped" not in "".join(log)


def test_a_signal_from_another_process_fails_the_run_with_a_reason(begin: Callable[..., Supervised]) -> None:
    one = begin("def f():\n    say(os.getpid())\n    say('up')\n    time.sleep(600)\n")
    os.kill(int(one.log().splitlines()[0]), signal.SIGTERM)
    assert one.end() == {**ENDED, "outcome": "failed"}


@one_start
def test_tasks_of_a_stopped_run_are_cancelled(world: World) -> None:
    world.write("flows/a.py", HEAD + WAYS["a submitted task"])
    world.declare(a="name: a\nflow: flows/a.py:f\n")
    world.start()
    run = world.trigger("a")
    wait_until(lambda: "up\n" in world.log(run))
    cancel_run(world.operations, run.id, "enough", author="somebody")
    ended = world.wait(run)
    assert (ended.state.value, ended.reason) == ("cancelled", "enough")
    with world.store.read() as tx:
        tree = task_trees.find(tx, run.id)
    assert {(one.label, one.state) for one in tree.runs} == {("f-1", "cancelled"), ("long-1", "cancelled")}
    assert world.log(run).splitlines() == CLEANED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_flow_in_the_foreground_cleans_up_when_it_is_interrupted(tmp_path: Path, number: int) -> None:
    (tmp_path / "a.py").write_text(HEAD + PLAIN, encoding="utf-8")
    command = [str(Path(sys.executable).parent / "controller"), "execute", "a.py:f", "--repo", str(tmp_path)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path, start_new_session=True, text=True
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "up\n"
        if number == signal.SIGINT:
            os.killpg(running.pid, number)  # as a terminal does
        else:
            [child] = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
            os.kill(int(child), number)
        rest = running.stderr.read().splitlines()
    assert [line for line in rest if line][1:4] == ["released", "cleaned up", "atexit"]
    assert json.dumps(rest).count("controller: stopping the flow") == 1
