"""Every way in which a run can end, and how it is reported."""

import itertools

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, processes, until

pytestmark = pytest.mark.acceptance

FLOWS = """
import os, subprocess, sys, time


def too_long() -> None:
    subprocess.Popen(["sleep", "987"])
    print("started", flush=True)
    time.sleep(900)


def raises() -> None:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    raise LookupError("no such\\nthing")


def leaves() -> None:
    sys.exit(7)


def killed() -> None:
    os.kill(os.getpid(), 9)


def nothing() -> None:
    pass


def big() -> str:
    return "x" * 100_000


def odd() -> object:
    return {1, 2}


def imports() -> None:
    import not_installed_anywhere
"""

DEPLOYMENTS = """
- {name: too-long, flow: "flows/all.py:too_long", timeout: 1s}
- {name: raises, flow: "flows/all.py:raises"}
- {name: leaves, flow: "flows/all.py:leaves"}
- {name: killed, flow: "flows/all.py:killed"}
- {name: nothing, flow: "flows/all.py:nothing"}
- {name: big, flow: "flows/all.py:big"}
- {name: odd, flow: "flows/all.py:odd"}
- {name: imports, flow: "flows/all.py:imports"}
- {name: unknown-flow, flow: "flows/all.py:raise"}
- {name: unknown-file, flow: "flows/al.py:raises"}
- {name: three, command: [sh, -c, "echo $GREETING; exit 3"], env: {GREETING: hello world}}
- {name: no-program, command: [no-such-program, "1"]}
- {name: shell-words, command: [echo, "$HOME; rm -rf /", "*"]}
- {name: script, command: [./scripts/run.sh]}
"""


@pytest.fixture
def outcomes(repository: Repository) -> Repository:
    """A deployment for each way to end."""
    repository.write("flows/all.py", FLOWS)
    repository.write("scripts/run.sh", "#!/bin/sh\necho from a script\n").chmod(0o755)
    repository.write("deployments/all.yaml", DEPLOYMENTS)
    repository.commit()
    return repository


def test_failed_flows_report_how_they_ended(outcomes: Repository, running: Start) -> None:
    running(outcomes)
    outcomes.wait_for_revision(None)

    def told(name: str) -> tuple[object, ...]:
        run = outcomes.trigger(name)
        assert run["code"] == (0 if run["state"] == "succeeded" else 1)
        return run["state"], run["exit_code"], run["signal"], run["reason"]

    assert told("raises") == ("failed", 1, None, "LookupError: no such")
    log = outcomes.ask("runs", "logs", outcomes.runs("raises")[0]["id"]).out
    assert {"to stdout", "to stderr", "LookupError: no such"} <= set(log.splitlines())
    assert "flow_main.py" not in log
    assert told("leaves") == ("failed", 7, None, "exit code 7")
    assert told("killed") == ("failed", None, 9, "ended by SIGKILL (signal 9)")
    assert told("imports")[3] == "ModuleNotFoundError: No module named 'not_installed_anywhere'"
    assert outcomes.deployment("raises")["health"] == "Degraded"
    assert outcomes.deployment("raises")["last_run"]["reason"] == "LookupError: no such"


def test_a_deployment_with_a_missing_flow_is_not_applied_and_is_reported(outcomes: Repository, running: Start) -> None:
    running(outcomes)
    outcomes.wait_for_revision(None)
    found = {row["name"]: row["sync"] for row in outcomes.status()["deployments"]}
    assert (found["unknown-flow"], found["unknown-file"], found["raises"]) == ("Invalid", "Invalid", "Synced")
    answer = outcomes.ask("trigger", "unknown-flow")
    assert answer.code == 2
    assert "deployments/all.yaml:9:30: flows/all.py" in answer.err
    assert "this file has no flow raise" in answer.err


def test_a_flow_that_exceeds_its_timeout_is_killed_with_its_children(outcomes: Repository, running: Start) -> None:
    running(outcomes)
    outcomes.wait_for_revision(None)
    run = outcomes.trigger("too-long")
    assert (run["state"], run["code"]) == ("timed_out", 1)
    assert "timeout" in run["reason"]
    until(lambda: not processes((f"CONTROLLER_RUN_ID={run['id']}",)), "the flow and its child to be gone")
    assert outcomes.ask("runs", "logs", run["id"]).out == "started\n[controller: stopping the flow (SIGTERM)]\n"


def test_commands_run_without_a_shell_and_their_exit_code_is_recorded(outcomes: Repository, running: Start) -> None:
    running(outcomes)
    outcomes.wait_for_revision(None)
    three = outcomes.trigger("three")
    assert (three["state"], three["exit_code"], three["reason"], three["code"]) == ("failed", 3, "exit code 3", 1)
    assert outcomes.ask("runs", "logs", three["id"]).out == "hello world\n"
    missing = outcomes.trigger("no-program")
    assert (missing["state"], missing["exit_code"], missing["code"]) == ("failed", None, 1)
    assert "no-such-program" in missing["reason"]
    assert "No such file" in missing["reason"]
    words = outcomes.ask("trigger", "shell-words", "--logs")
    assert words.code == 0
    assert "$HOME; rm -rf / *\n" in words.out
    assert outcomes.trigger("script")["state"] == "succeeded"


def test_results_that_are_not_json_or_large_are_shown_as_short_text(outcomes: Repository, running: Start) -> None:
    running(outcomes)
    outcomes.wait_for_revision(None)
    assert outcomes.trigger("nothing")["result"] is None
    assert outcomes.trigger("odd")["result"] == "{1, 2}"
    big = outcomes.trigger("big")["result"]
    assert big.startswith('"xxx')
    assert len(big) < 10_000


def test_logs_can_be_followed_and_limited(outcomes: Repository, running: Start) -> None:
    outcomes.write(
        "deployments/count.yaml", 'name: count\ncommand: [sh, -c, "for i in 1 2 3 4; do echo $i; sleep 0.2; done"]\n'
    )
    outcomes.commit()
    running(outcomes)
    outcomes.wait_for_revision(None)
    run_id = outcomes.tell("trigger", "count")["run_id"]
    assert outcomes.ask("runs", "logs", run_id, "-f").out == "1\n2\n3\n4\n"
    assert outcomes.ask("runs", "logs", run_id, "--tail", "2").out == "3\n4\n"
    assert outcomes.ask("runs", "logs", run_id[-6:]).out == "1\n2\n3\n4\n"
    nothing = outcomes.ask("runs", "logs", "no-such-run")
    assert nothing.code == 2
    assert "There is no run 'no-such-run'" in nothing.err
    listed = outcomes.tell("runs")
    assert listed == outcomes.tell("runs", "list")
    assert outcomes.tell("runs", "--state", "failed") == []
    assert outcomes.tell("runs", "--since", "1h", "--limit", "1")[0]["id"] == run_id


def test_at_most_max_running_flows_run_at_once(outcomes: Repository, running: Start) -> None:
    outcomes.write("deployments/nap.yaml", "name: nap\ncommand: [sleep, '0.5']\n")
    outcomes.commit()
    running(outcomes, "--max-running", "1")
    outcomes.wait_for_revision(None)
    for run_id in [outcomes.tell("trigger", "nap")["run_id"] for _ in range(3)]:
        assert outcomes.wait_for_end(run_id)["state"] == "succeeded"
    runs = sorted(outcomes.runs("nap"), key=lambda run: str(run["started_at"]))
    for earlier, later in itertools.pairwise(runs):
        assert earlier["finished_at"] <= later["started_at"]
