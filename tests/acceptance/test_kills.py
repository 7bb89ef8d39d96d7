"""SIGKILL of the controller or of a supervisor: no run is lost or repeated, and every run gets an outcome."""

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Folder, Repository, Running, assert_every_second, is_alive, processes, until

pytestmark = pytest.mark.acceptance

WAITING = """
import os, sys, time


def wait(gate: str) -> str:
    print("begin", os.getpid(), flush=True)
    while not os.path.exists(gate):
        time.sleep(0.02)
    for number in range(2000):
        print("line", number)
    if open(gate).read() == "fail":
        raise ValueError("told to fail")
    return "opened"
"""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file that the waiting flows wait for."""
    return tmp_path / "gate"


@pytest.fixture
def waiting(repository: Repository, gate: Path) -> Repository:
    """Deployments whose flow or command waits for the gate, and one that fires every second."""
    repository.write("flows/wait.py", WAITING)
    repository.write(
        "deployments/wait.yaml",
        f"""
        - name: wait
          flow: flows/wait.py:wait
          parameters: {{gate: {gate}}}
        - name: shell
          command: [sh, -c, "while [ ! -e {gate} ]; do sleep 0.02; done; echo done; exit 3"]
        """,
    )
    repository.write("deployments/often.yaml", "name: often\ncommand: ['true']\nschedule: {interval: 1s}\n")
    repository.commit()
    return repository


def begin(folder: Folder, name: str) -> Any:
    """Trigger a run and wait until it runs."""
    run_id = folder.tell("trigger", name)["run_id"]
    until(lambda: folder.count_runs(name, "running"), f"{name} to run")
    return folder.tell("runs", "show", run_id)


def begun(folder: Folder, run: Any) -> int:
    """The process of a waiting flow, once it waits."""
    return int(folder.wait_for_output(run["id"])[0].removeprefix("begin "))


def test_a_killed_controller_adopts_its_runs_and_accounts_for_every_due_time(
    waiting: Repository, gate: Path, running: Start
) -> None:
    first = running(waiting)
    waiting.wait_for_run("often")
    flow, shell = begin(waiting, "wait"), begin(waiting, "shell")
    pid = begun(waiting, flow)
    first.kill()
    assert is_alive(pid)
    down = waiting.ledger("often")[-1][0]
    assert waiting.status()["controller"]["running"] is False
    later = waiting.tell("next", "often", "-n", "2")["fire_times"]
    assert len(later) == 2

    second = running(waiting)
    waiting.wait_for_run("often", more=1)
    assert is_alive(pid)
    assert waiting.tell("runs", "show", flow["id"]) == flow
    assert second.output.count("Run adopted") >= 2
    second.kill()
    gate.write_text("open")
    until(lambda: not is_alive(pid), "the flow to end while nobody looks")

    running(waiting)
    done = waiting.wait_for_end(flow["id"])
    assert (done["state"], done["result"], done["exit_code"], done["attempt"]) == ("succeeded", "opened", 0, 1)
    told = waiting.wait_for_end(shell["id"])
    assert (told["state"], told["exit_code"], told["reason"]) == ("failed", 3, "exit code 3")
    log = waiting.ask("runs", "logs", flow["id"]).out.splitlines()
    assert log == [f"begin {pid}", *(f"line {number}" for number in range(2000))]

    waiting.wait_for_run("often", more=1)
    ledger = waiting.ledger("often")
    assert_every_second([instant for instant, *_ in ledger])
    assert ledger[0][0] <= down < ledger[-1][0]
    assert {outcome for _, outcome, *_ in ledger} <= {"run", "skipped"}
    assert all(reason for _, outcome, _, reason in ledger if outcome == "skipped")
    runs = {run["id"]: run for run in waiting.runs("often")}
    assert [runs[run_id]["scheduled_for"] for _, _, run_id, _ in ledger if run_id] == [
        instant.removesuffix(".000000").replace(" ", "T") + "Z" for instant, _, run_id, _ in ledger if run_id
    ]
    assert {run["state"] for run in runs.values()} <= {"succeeded", "pending", "running"}


def test_a_flow_that_fails_while_the_controller_is_down_is_recorded_with_its_error(
    waiting: Repository, gate: Path, running: Start
) -> None:
    first = running(waiting)
    waiting.wait_for_revision(None)
    flow = begin(waiting, "wait")
    pid = begun(waiting, flow)
    first.kill()
    gate.write_text("fail")
    until(lambda: not is_alive(pid), "the flow to end")
    running(waiting)
    done = waiting.wait_for_end(flow["id"])
    assert (done["state"], done["exit_code"], done["reason"]) == ("failed", 1, "ValueError: told to fail")
    assert (
        "Traceback (most recent call last)"
        in waiting.machine.run("cat", *waiting.state.glob(f"runs/{flow['id']}/*/log")).out
    )
    assert waiting.deployment("wait")["health"] == "Degraded"


@pytest.mark.parametrize("is_down", [False, True], ids=["while it looks", "while it is down"])
def test_killing_a_supervisor_crashes_its_run_and_ends_the_flow(
    waiting: Repository, running: Start, *, is_down: bool
) -> None:
    controller = running(waiting)
    waiting.wait_for_revision(None)
    flow = begin(waiting, "wait")
    pid = begun(waiting, flow)
    [supervisor] = processes((f"runs/{flow['id']}/1-",)) and [
        number for number in processes((f"runs/{flow['id']}/1-",)) if number != pid
    ]
    if is_down:
        controller.kill()
    os.kill(supervisor, signal.SIGKILL)
    if is_down:
        until(lambda: not is_alive(pid), "the kernel to end the flow with its parent")
        running(waiting)
    crashed = waiting.wait_for_end(flow["id"])
    assert crashed["state"] == "crashed"
    assert "supervisor was killed" in crashed["reason"]
    until(lambda: not is_alive(pid), "the flow to be gone")
    reasons = [event["reason"] for event in waiting.tell("status")["events"] if event["about"] == "wait"]
    assert "RunCrashed" in reasons


def test_after_sigterm_a_flow_keeps_running_and_the_next_controller_adopts_it(
    waiting: Repository, gate: Path, running: Start
) -> None:
    first = running(waiting)
    waiting.wait_for_revision(None)
    flow = begin(waiting, "wait")
    pid = begun(waiting, flow)
    first.stop()
    assert is_alive(pid)
    assert waiting.tell("runs", "show", flow["id"]) == flow
    running(waiting)
    gate.write_text("open")
    done = waiting.wait_for_end(flow["id"])
    assert (done["state"], done["result"]) == ("succeeded", "opened")


def test_killing_the_controller_at_random_moments_never_repeats_a_due_time(
    repository: Repository, tmp_path: Path, running: Start
) -> None:
    effects = tmp_path / "effects"
    repository.write(
        "flows/effect.py",
        f"""
        import os, time


        def effect() -> str:
            with open({str(effects)!r}, "a") as stream:
                stream.write(os.environ["CONTROLLER_SCHEDULED_FOR"] + "\\n")
            time.sleep(0.1)
            return "done"
        """,
    )
    repository.write(
        "deployments/effect.yaml",
        """
        - {name: effect, flow: "flows/effect.py:effect", schedule: {interval: 1s}}
        - {name: follow, command: ["true"], after: effect, overlap: allow}
        - {name: gated, command: ["true"], after: effect, overlap: allow, schedule: {interval: 5s}}
        """,
    )
    repository.commit()
    first = running(repository)
    repository.wait_for_run("effect")
    first.kill()
    for number in range(8):
        controller = Running(repository, tmp_path / f"killed{number}.log", (), {})
        moment = time.monotonic() + random.uniform(0.2, 2.5)
        until(lambda: time.monotonic() >= moment, "a random moment")  # noqa: B023
        controller.kill()
        assert "Traceback" not in controller.output

    running(repository)
    repository.wait_for_run("effect", more=2)
    ended = repository.select(
        "SELECT id, scheduled_for, state, reason FROM runs WHERE deployment = 'effect'"
        " AND state NOT IN ('pending', 'launching', 'running')"
    )
    ledger = repository.ledger("effect")
    lines = effects.read_text().split()
    assert len(lines) == len(set(lines)), "a due time had two runs"
    assert_every_second([instant for instant, *_ in ledger])
    assert all(reason for _, outcome, _, reason in ledger if outcome == "skipped")
    happened = {line.removesuffix("Z").replace("T", " ") for line in lines}
    assert {instant.removesuffix(".000000") for _, instant, *_ in ended} <= happened, "a verdict without a run"
    assert {(state, reason) for *_, state, reason in ended} == {("succeeded", None)}
    check_dependants(repository, {run_id for run_id, *_ in ended})


def check_dependants(repository: Repository, finished: set[str]) -> None:
    """Check that each of these runs has released one run of `follow`, and what the due times of `gated` waited for."""
    upstream = "SELECT json_extract(upstream, '$[0].run_id') FROM runs WHERE deployment = ? AND upstream NOT NULL"
    until(lambda: finished <= {row[0] for row in repository.select(upstream, "follow")}, "every run to release one")
    released = [row[0] for row in repository.select(upstream, "follow")]
    assert len(released) == len(set(released)), "a run has released two"
    early = """
        SELECT 1 FROM runs AS gated JOIN runs AS effect ON effect.id = json_extract(gated.upstream, '$[0].run_id')
        WHERE gated.deployment = 'gated' AND gated.started_at < effect.finished_at
    """
    assert repository.select(early) == []
    until(lambda: repository.select(upstream, "gated"), "a due time to be released")
    reasons = {reason for _, outcome, _, reason in repository.ledger("gated") if outcome == "skipped"}
    assert reasons <= {"catch-up", "upstream: effect was skipped (catch-up)", "upstream: effect was skipped (overlap)"}
