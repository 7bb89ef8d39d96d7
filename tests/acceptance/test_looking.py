"""The commands that only read: status, deployments, next, schema, version, help."""

import json
from datetime import datetime, timedelta

import jsonschema
import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import CONTROLLER, Machine, Repository

pytestmark = pytest.mark.acceptance


COMMANDS = [
    "run",
    "validate",
    "plan",
    "render",
    "notify",
    "explain",
    "status",
    "top",
    "deployments",
    "deployment",
    "next",
    "graph",
    "trigger",
    "hold",
    "resume",
    "reconcile",
    "approve",
    "restore",
    "events",
    "login",
    "doctor",
    "runs",
    "occurrences",
    "backfill",
    "backfills",
    "python",
    "hosts",
    "projects",
    "execute",
    "schema",
    "state",
    "init",
    "completion",
    "version",
]


@pytest.fixture
def mixed(repository: Repository) -> Repository:
    """A valid deployment, a suspended one and an invalid one."""
    repository.write(
        "deployments/all.yaml",
        """
        name: nightly
        command: ['true']
        description: "[bold]not markup[/bold]"
        tags: [a, b]
        version: "1.4"
        parameters: {region: eu}
        timeout: 2h
        schedules:
          - id: berlin
            cron: "30 2 * * *"
            timezone: Europe/Berlin
            parameters: {days: 1}
          - interval: 1d
        ---
        name: asleep
        command: ['true']
        schedule: {interval: 1h}
        suspend: true
        """,
    )
    repository.write("deployments/bad.yaml", "name: bad\ncommand: ['true']\ntimeout: never\n")
    repository.commit()
    return repository


def test_read_commands_report_that_no_controller_has_run_yet(mixed: Repository) -> None:
    looks = ["status"], ["status", "--watch"], ["deployments"], ["runs"], ["events"], ["occurrences", "nightly"]
    for arguments in (*looks, ["deployments", "show", "nightly"], ["runs", "show", "1"], ["runs", "logs", "1"]):
        answer = mixed.ask(*arguments)
        assert (answer.code, answer.out) == (2, ""), arguments
        assert answer.err.startswith("error: No controller has ever run for "), arguments
    assert mixed.ask("next", "nightly").code == 0
    assert not mixed.state.exists()


def test_deployments_show_prints_the_declaration_and_its_errors(mixed: Repository, running: Start) -> None:
    running(mixed)
    mixed.wait_for_revision(None)
    rows = mixed.tell("deployments")
    assert rows == mixed.tell("deployments", "list")
    assert [(row["name"], row["sync"], row["health"]) for row in rows] == [
        ("bad", "Invalid", "Unknown"),
        ("asleep", "Synced", "Suspended"),
        ("nightly", "Synced", "Healthy"),
    ]
    shown = mixed.tell("deployments", "show", "nightly")
    assert shown["parameters"] == {"region": "eu"}
    assert (shown["tags"], shown["version"], shown["timeout_seconds"]) == (["a", "b"], "1.4", 7200.0)
    berlin, daily = shown["schedules"]
    assert (berlin["id"], berlin["timezone"], berlin["parameters"]) == ("berlin", "Europe/Berlin", {"days": 1})
    assert len(berlin["fire_times"]) == 5
    times = sorted({*berlin["fire_times"], *daily["fire_times"]})
    assert shown["next_fire_time"] == times[0]
    asked = mixed.tell("next", "nightly", "-n", "4")["fire_times"]
    assert asked == times[:4]
    assert mixed.tell("next", "asleep")["fire_times"] == []
    text = mixed.ask("deployments", "show", "nightly").out
    assert "[bold]not markup[/bold]" in text
    assert "deployments/bad.yaml:3:" in mixed.ask("deployments", "show", "bad").out
    wrong = mixed.ask("deployments", "show", "nightli")
    assert wrong.code == 2
    assert "Did you mean nightly?" in wrong.err


def test_status_is_plain_text_without_a_terminal_and_survives_a_closed_pipe(mixed: Repository) -> None:
    assert mixed.ask("run", "--once").code == 1
    for env in ({}, {"NO_COLOR": "1", "COLUMNS": "60"}):
        answer = mixed.ask("status", **env)
        assert answer.code == 0
        assert "\x1b" not in answer.out
        assert answer.err == ""
        assert {"nightly", "asleep", "bad", "Invalid", "controller", "source"} <= set(answer.out.split())
    for command in ("status", "status -o json", "schema", "next --interval 1s -n 10000"):
        there = "" if "schema" in command else f"--repo {mixed.root}"
        script = f'"$0" {command} {there} 2>err | head -1; cat err >&2'
        answer = mixed.machine.run("sh", "-c", script, CONTROLLER)
        assert len(answer.out.splitlines()) == 1, command
        assert answer.err == "", command


def test_next_prints_the_same_times_with_and_without_a_controller(mixed: Repository, running: Start) -> None:
    after = ("--after", "2026-06-01T00:00:00Z", "-n", "3")
    before = mixed.tell("next", "nightly", *after)
    assert before["fire_times"] == ["2026-06-01T00:30:00Z", "2026-06-02T00:00:00Z", "2026-06-02T00:30:00Z"]
    invalid = mixed.ask("next", "bad")
    assert invalid.code == 2
    assert "deployments/bad.yaml:3:10" in invalid.err
    assert "Did you mean nightly?" in mixed.ask("next", "nihgtly").err
    running(mixed)
    mixed.wait_for_revision(None)
    assert mixed.tell("next", "nightly", *after) == before
    text = mixed.ask("next", "nightly", *after, TZ="America/New_York").out.splitlines()
    assert text[0] == "2026-05-31 20:30:00-04:00"
    assert datetime.fromisoformat(text[0]).utcoffset() == timedelta(hours=-4)


def test_the_schema_is_valid_and_accepts_the_example_of_init(machine: Machine) -> None:
    answer = machine.controller("schema")
    assert answer.code == 0
    schema = answer.json()
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    assert validator.is_valid({"name": "a", "flow": "flows/a.py:main", "schedule": {"interval": "30s"}})
    assert not validator.is_valid({"name": "a", "flow": "flows/a.py:main", "scheduel": {"interval": "30s"}})
    assert not validator.is_valid({"name": "A"})
    assert machine.controller("schema", "deployment").json() == schema
    machine.controller("init", "new")
    assert json.loads((machine.home / "new" / "schemas" / "deployment.v1.schema.json").read_text()) == schema


def test_help_lists_exactly_the_existing_commands(machine: Machine) -> None:
    answer = machine.controller("--help")
    assert answer.code == 0
    listed = answer.out.partition("Look:\n")[2].partition("Location options")[0]
    assert sorted(line.split()[0] for line in listed.splitlines() if line.startswith("  ")) == sorted(COMMANDS)
    for command in COMMANDS:
        shown = machine.controller(command, "--help")
        assert shown.code == 0
        assert f"Usage: controller {command}" in shown.out
    for group, below in (
        ("deployments", ["list", "open", "show"]),
        ("runs", ["cancel", "list", "logs", "open", "retry", "show", "watch"]),
        ("backfills", ["cancel", "list", "pause", "resume", "show"]),
        ("python", ["build", "list", "prune", "show"]),
    ):
        commands = machine.controller(group, "--help").out.split("Commands:\n")[1]
        assert sorted(line.split()[0] for line in commands.splitlines()) == below
    for absent in ("pause", "backfil"):
        assert machine.controller(absent).code == 2
    assert "Did you mean 'status'?" in machine.controller("statsu").err
    wrong = machine.controller("status", "--no-such-option")
    assert (wrong.code, wrong.out) == (2, "")


def test_version_prints_the_versions_in_use(machine: Machine) -> None:
    found = machine.controller("version", "-o", "json").json()
    assert found["controller"] in machine.controller("version").out
    assert found["controller"] in machine.controller("--version").out
    assert {"python", "apscheduler", "sqlalchemy", "gitpython"} <= found.keys()
