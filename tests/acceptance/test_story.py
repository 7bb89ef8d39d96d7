"""The life of a repository under one controller, with the status after each step, as an operator would see it."""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from controller.client import Client
from tests.acceptance.conftest import Start
from tests.acceptance.harness import CONTROLLER, Repository, until

pytestmark = pytest.mark.acceptance

NAMES = [f"d{number}" for number in range(8)]


def document(name: str, extra: str = "") -> str:
    return f"# {name} runs hourly\nname: {name}\ncommand: ['true']\nschedule: {{cron: '0 * * * *'}}\n{extra}"


def applied(repository: Repository) -> Any:
    """Commit, have it looked at, and tell the status."""
    revision = repository.commit()
    repository.ask("reconcile", "--wait")
    status = repository.status()
    assert status["source"]["last_attempted_revision"] == revision
    return status


def conditions(status: Any) -> dict[str, tuple[str, str]]:
    return {found["type"]: (found["status"], found["reason"]) for found in status["source"]["conditions"]}


def syncs(status: Any) -> dict[str, str]:
    return {row["name"]: row["sync"] for row in status["deployments"]}


@pytest.fixture
def eight(repository: Repository, running: Start) -> Repository:
    """A repository with eight active deployments."""
    for name in NAMES:
        repository.write(f"deployments/{name}.yaml", document(name))
    repository.commit()
    running(repository, "--interval", "1h")
    repository.wait_for_revision(None)
    status = repository.status()
    assert conditions(status) == {"Ready": ("True", "Applied")}
    assert syncs(status) == dict.fromkeys(NAMES, "Synced")
    return repository


def test_a_deployment_can_be_changed_broken_fixed_deleted_and_restored(eight: Repository) -> None:
    repository = eight
    repository.write("deployments/d0.yaml", document("d0", "description: new\n"))
    status = applied(repository)
    row = repository.deployment("d0")
    assert (row["description"], row["generation"], row["observed_generation"]) == ("new", 2, 2)
    assert status["passes"][0]["counts"] == {"new": 0, "changed": 1, "pruned": 0, "kept": 0, "unchanged": 7}

    repository.write("deployments/d0.yaml", "name: d0\ncommand: [\n")
    status = applied(repository)
    assert conditions(status) == {"Ready": ("False", "InvalidManifest"), "Stalled": ("True", "InvalidManifest")}
    row = repository.deployment("d0")
    assert (row["sync"], row["generation"], row["observed_generation"]) == ("Invalid", 3, 2)
    assert row["next_fire_time"] is not None
    repository.write("deployments/d0.yaml", document("d0"))
    assert conditions(applied(repository)) == {"Ready": ("True", "Applied")}

    repository.remove("deployments/d1.yaml")
    assert set(syncs(applied(repository))) == {*NAMES} - {"d1"}
    assert repository.ask("restore", "d1").out == document("d1")
    assert repository.ask("restore", "d1", "--write").code == 0
    assert (repository.root / "deployments/d1.yaml").read_text() == document("d1")
    assert set(syncs(applied(repository))) == {*NAMES}
    reasons = [one["reason"] for one in repository.tell("events", "--for", "d0")]
    assert reasons == ["Created", "Updated", "InvalidManifest", "Recovered"]


def test_deleting_most_deployments_is_withheld_until_approved_and_can_be_reverted(eight: Repository) -> None:
    repository = eight
    for name in NAMES[:7]:
        repository.remove(f"deployments/{name}.yaml")
    repository.write("deployments/new.yaml", document("new"))
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", "delete")
    plan = repository.ask("plan", "--base", "HEAD~1", "--head", "HEAD", "-o", "json")
    assert plan.code == 1
    planned = plan.json()
    assert repository.ask("reconcile", "--wait").code == 1
    status = repository.status()
    assert conditions(status) == {"Ready": ("False", "PruneWithheld"), "PruneWithheld": ("True", "DeletionGuard")}
    assert status["withheld"]["deployments"] == NAMES[:7]
    assert status["withheld"]["digest"] == planned["withheld"]["digest"]
    assert status["withheld"]["plan_digest"] == planned["digest"]
    assert syncs(status) == {**dict.fromkeys(NAMES[:7], "OutOfSync"), "d7": "Synced", "new": "Synced"}
    assert repository.ask("approve", "sha256:0").code == 2
    answer = repository.tell("approve", planned["digest"])
    assert (answer["deleted"], answer["remaining"]) == (NAMES[:7], [])
    status = repository.status()
    assert (conditions(status), status["withheld"]) == ({"Ready": ("True", "Applied")}, None)
    assert set(syncs(status)) == {"d7", "new"}
    assert repository.ask("approve", planned["digest"]).code == 2

    repository.git("revert", "--no-edit", "HEAD")
    repository.ask("reconcile", "--wait")
    assert set(syncs(repository.status())) == {*NAMES}


def test_a_renamed_deployment_keeps_its_history(eight: Repository) -> None:
    repository = eight
    run = repository.trigger("d3")
    repository.remove("deployments/d3.yaml")
    repository.write("deployments/renamed.yaml", document("renamed", "renamed_from: d3\n"))
    status = applied(repository)
    assert set(syncs(status)) == {*NAMES, "renamed"} - {"d3"}
    assert [found["id"] for found in repository.runs("renamed")] == [run["run_id"]]
    assert repository.trigger("renamed")["state"] == "succeeded"


def test_rewritten_history_is_followed_and_reported(eight: Repository) -> None:
    repository = eight
    repository.write("deployments/d4.yaml", document("d4", "description: gone\n"))
    applied(repository)
    old = repository.git("rev-parse", "HEAD")
    repository.git("reset", "-q", "--hard", "HEAD~1")
    repository.write("deployments/d5.yaml", document("d5", "description: rewritten\n"))
    applied(repository)
    assert repository.deployment("d5")["description"] == "rewritten"
    assert repository.deployment("d4")["description"] == ""
    (event,) = [one for one in repository.tell("events", "--for", "source") if one["reason"] == "HistoryRewritten"]
    assert old in event["message"]


def test_a_hold_survives_commits_and_restarts_until_it_is_resumed(repository: Repository, running: Start) -> None:
    repository.write("deployments/a.yaml", "name: a\ncommand: ['true']\nschedule: {interval: 1s}\n")
    repository.commit()
    first = running(repository, "--interval", "1h")
    repository.wait_for_run("a")
    held = repository.tell("hold", "a", "--reason", "the database is down", "--until", "2h")
    two_later = time.monotonic() + 2
    assert (held["held"], held["hold"]["reason"]) == (True, "the database is down")
    repository.wait_for_status(
        lambda: repository.deployment("a")["health"] == "Suspended", "the end of a run that was in progress"
    )
    assert held["hold"]["until"] is not None
    assert repository.ask("hold", "b", "--reason", "x").code == 2
    assert repository.ask("hold", "a", "--reason", " ").code == 2
    assert repository.ask("hold", "a", "--reason", "x", "--until", "2001-01-01").code == 2
    before = len(repository.ledger("a"))
    repository.write("deployments/a.yaml", "name: a\ncommand: ['true']\nschedule: {interval: 1s}\ntags: [x]\n")
    repository.commit()
    repository.ask("reconcile", "--wait")
    first.stop()
    running(repository, "--interval", "1h")
    assert repository.deployment("a")["held"] is True
    assert repository.trigger("a")["state"] == "succeeded"
    assert len(repository.ledger("a")) == before
    until(lambda: time.monotonic() > two_later, "two due times during the hold")
    assert repository.tell("resume", "a")["held"] is False
    repository.wait_for_run("a", more=1)
    ledger = repository.ledger("a")
    assert "catch-up" in {reason for _, _, _, reason in ledger}
    assert repository.ask("resume", "a").code == 2
    reasons = [one["reason"] for one in repository.tell("events", "--for", "a")]
    assert reasons[:5] == ["Created", "Held", "Updated", "Triggered", "Resumed"]


def test_plan_works_in_a_clone_without_a_controller(repository: Repository) -> None:
    repository.write("deployments/a.yaml", document("a"))
    repository.write("flows/f.py", "raise SystemExit('imported')\ndef f(): ...\n")
    repository.commit()
    repository.write("deployments/a.yaml", document("a").replace("0 *", "30 *"))
    repository.write("deployments/b.yaml", "name: b\nflow: flows/f.py:f\nenv: {API_TOKEN: hunter22}\n")
    repository.write("deployments/bad.yaml", "name: bad\n")
    repository.commit()
    clone = repository.root.parent / "clone"
    repository.git("clone", "-q", str(repository.root), str(clone))
    ask = repository.machine.controller
    answer = ask("plan", "--base", "origin/main~1", "--head", "HEAD", "-o", "json", cwd=clone)
    assert answer.code == 1, answer
    plan = answer.json()
    assert plan["summary"] == {"create": 1, "update": 1, "delete": 0, "unchanged": 0, "invalid": 1}
    update, create = plan["changes"]
    assert (update["action"], update["deployment"], update["file"]) == ("update", "a", "deployments/a.yaml")
    assert update["fields"] == [{"path": "$.schedule.cron", "before": "0 * * * *", "after": "30 * * * *"}]
    assert [len(update["fire_times"][when]) for when in ("before", "after")] == [5, 5]
    assert all(time.endswith(":30:00Z") for time in update["fire_times"]["after"])
    assert (create["action"], create["deployment"]) == ("create", "b")
    assert "hunter22" not in answer.out
    assert not (clone / ".controller").exists()
    text = ask("plan", "--base", "HEAD~1", cwd=clone)
    assert (text.code, "~ update a" in text.out, "deployments/bad.yaml:1:1" in text.out) == (1, True, True)
    assert "| update | a |" in ask("plan", "--base", "HEAD~1", "-o", "markdown", cwd=clone).out
    assert ask("plan", "--base", "HEAD", cwd=clone).code == 1  # what is bad stays bad
    assert ask("plan", "--base", "HEAD~1", "--head", "HEAD~1", cwd=clone).code == 0
    for name in ("--help=x", "nothing", "HEAD..main", "-x", "@{push", "a b"):
        answer = ask("plan", f"--base={name}", cwd=clone)
        assert (answer.code, answer.out) == (2, "")
    assert ask("plan", cwd=clone).code == 2


@contextlib.contextmanager
def followed(command: Sequence[str], environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command that ends only when it is interrupted, and end it in any case."""
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_events_can_be_followed_before_the_first_event(repository: Repository, running: Start) -> None:
    repository.write("deployments/a.yaml", document("a"))
    repository.commit()
    command = [str(CONTROLLER), "events", "--follow", "-o", "json", "--repo", repository.address]
    environment = repository.machine.environment
    with followed(command, environment) as following:
        assert following.stdout is not None
        assert following.stderr is not None
        running(repository)
        told = [json.loads(following.stdout.readline()) for _ in range(2)]
        following.send_signal(signal.SIGINT)
        assert (following.wait(60), following.stderr.read()) == (0, b"")
    assert [(one["about"], one["reason"]) for one in told] == [("a", "Created"), ("source", "Applied")]


def test_events_are_read_once_while_the_controller_is_killed_and_restarted(
    repository: Repository, running: Start
) -> None:
    repository.write("deployments/a.yaml", document("a"))
    repository.commit()
    controller = running(repository)
    repository.wait_for_revision(None)
    command = [str(CONTROLLER), "events", "--after-id", "0", "--follow", "-o", "jsonl", "--repo", repository.address]
    environment = repository.machine.environment
    with followed(command, environment) as following:
        assert following.stdout is not None
        assert following.stderr is not None
        recorded = [json.loads(following.stdout.readline()) for _ in range(2)]
        controller.kill()
        repository.write("deployments/b.yaml", document("b"))
        head = repository.commit()
        running(repository)
        repository.wait_for_revision(head)
        repository.ask("hold", "b", "--reason", "a test")
        while recorded[-1]["reason"] != "Held":
            recorded.append(json.loads(following.stdout.readline()))
        following.send_signal(signal.SIGINT)
        assert (following.wait(60), following.stderr.read()) == (0, b"")
    assert [event["id"] for event in recorded] == list(range(1, len(recorded) + 1))
    assert recorded == repository.tell("events")
    assert repository.tell("events", "--after-id", "1", "--limit", "2") == recorded[1:3]
    assert [(event["deployment"], event["reason"]) for event in recorded if event["about"] == "b"] == [
        ("b", "Created"),
        ("b", "Held"),
    ]
    client = Client.of_state(repository.state)
    resumed = client.follow_events(last_id=2)
    assert [next(resumed).data for _ in recorded[2:]] == recorded[2:]
    lost = client.follow_events(last_id=1000)
    assert (next(lost).event, next(client.events(after_id=1))["id"]) == ("gap", len(recorded))
    assert "There is no event 1000" in repository.ask("events", "--after-id", "1000").err


def test_events_are_followed_and_doctor_reports_problems(repository: Repository, running: Start) -> None:
    repository.write("deployments/a.yaml", document("a"))
    repository.commit()
    assert repository.ask("doctor").code == 0
    running(repository)
    repository.wait_for_revision(None)
    checks = {found["name"]: found["status"] for found in repository.tell("doctor")}
    assert {checks[name] for name in ("git", "sqlite", "time zones", "source", "state", "database")} == {"ok"}
    repository.state.chmod(0o755)
    assert repository.ask("doctor").code == 1
    repository.state.chmod(0o700)
    told = repository.ask("events").out
    assert "\tinfo\ta\tCreated\tDeclared in deployments/a.yaml:" in told
    assert json.loads(repository.ask("events", "-o", "json").out)[0]["about"] == "a"
