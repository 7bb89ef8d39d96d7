"""Flows and commands that have nothing to do are skipped with a reason, which is not a failure."""

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, until

pytestmark = pytest.mark.acceptance

FLOWS = """
from controller import Skip, flow, task


def load(fails: bool = False) -> None:
    print("looking")
    if fails:
        raise LookupError("no such table")
    raise Skip("no new files\\nin /inbox")


@task(retries=3)
def find(place: str) -> list[str]:
    raise Skip(f"{place} is empty")


@flow(retries=3)
async def by_task() -> int:
    return len(find("inbox"))
"""

DEPLOYMENTS = """
- {name: warm, flow: "flows/load.py:load", retries: {limit: 3}}
- {name: cold, flow: "flows/load.py:load", env: {PYTHONHASHSEED: "1"}}   # an interpreter of its own
- {name: by-task, flow: "flows/load.py:by_task"}
- {name: command, command: [sh, -c, "echo looking; exit 99"], skip_exit_code: 99, retries: {limit: 3}}
- {name: plain-command, command: [sh, -c, "exit 99"]}
- {name: often, flow: "flows/load.py:load", schedule: {interval: 1s}}
"""

REASONS = {
    "warm": ("no new files\nin /inbox", 0),
    "cold": ("no new files\nin /inbox", 0),
    "by-task": ("inbox is empty", 0),
    "command": ("exit code 99", 99),
}


@pytest.fixture
def loading(repository: Repository, running: Start) -> Repository:
    """A followed repository whose flows and commands have nothing to do."""
    repository.write("flows/load.py", FLOWS)
    repository.write("deployments/load.yaml", DEPLOYMENTS)
    repository.commit()
    running(repository)
    repository.wait_for_revision(None)
    return repository


def test_flows_and_commands_with_nothing_to_do_are_skipped(loading: Repository) -> None:
    for name, (reason, exit_code) in REASONS.items():
        run = loading.trigger(name)
        assert (run["state"], run["reason"], run["exit_code"], run["code"]) == ("skipped", reason, exit_code, 0)
        assert (run["attempt"], run["result"]) == (1, None)
        assert None not in (run["started_at"], run["finished_at"])
        row = loading.deployment(name)
        assert (row["health"], row["last_run"]["state"]) == ("Healthy", "skipped")
        assert [one["id"] for one in loading.runs(name, "skipped")] == [run["id"]]
    for name in ("warm", "cold", "command"):
        assert loading.ask("runs", "logs", loading.runs(name)[0]["id"]).out == "looking\n"
    tasks = loading.tell("runs", "show", loading.runs("by-task")[0]["id"])["tasks"]
    assert [(one["name"], one["state"], one["reason"], one["attempt"]) for one in tasks] == [
        ("by-task", "skipped", "inbox is empty", 1),
        ("find", "skipped", "inbox is empty", 1),
    ]
    assert loading.ask("trigger", "warm", "--wait").out.splitlines()[1:] == ["reason: no new files", "in /inbox"]
    assert loading.trigger("plain-command")["state"] == "failed"
    about = {event["about"] for event in loading.tell("events") if event["reason"].startswith("Run")}
    assert about == {"plain-command"}


def test_a_skipped_run_does_not_change_the_health_and_its_due_time_counts_as_run(loading: Repository) -> None:
    assert loading.trigger("cold", "--param", "fails=true")["code"] == 1
    assert loading.trigger("cold")["code"] == 0
    row = loading.deployment("cold")
    assert (row["health"], row["last_run"]["state"]) == ("Degraded", "skipped")
    until(lambda: loading.count_runs("often", "skipped") >= 2, "two due times with nothing to do")
    ledger = {run: (outcome, reason) for _, outcome, run, reason in loading.ledger("often")}
    assert {ledger[run["id"]] for run in loading.runs("often", "skipped")[:2]} == {("run", None)}
    answer = loading.ask("execute", "warm")
    assert (answer.code, answer.out, answer.err) == (0, "", "looking\nskipped: no new files\nin /inbox\n")
