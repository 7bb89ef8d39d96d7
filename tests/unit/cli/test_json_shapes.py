"""The JSON that design/cli.md promises: keys only grow, and times are UTC with `Z`."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import GitRepository, new_repository
from tests.unit.cli.conftest import FILES, OWN_CONTROLLER, Command, Followed

RUN_KEYS = {
    "id", "deployment", "state", "reason", "trigger", "scheduled_for", "not_before", "created_at", "started_at",
    "finished_at", "attempt", "attempts", "exit_code", "signal", "revision", "spec_digest", "version", "tags",
    "parameters", "result", "name", "tasks", "artifacts",
}  # fmt: skip
DEPLOYMENT_KEYS = {
    "name", "flow", "file", "line", "tags", "version", "sync", "health", "suspended", "held", "next_fire_time",
    "last_run", "conditions",
}  # fmt: skip
FINDING_KEYS = {"severity", "code", "message", "hint", "file", "line", "column", "path", "deployment"}
CONDITION_KEYS = {"type", "status", "reason", "message", "last_transition_time"}
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
LOCAL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def assert_times_are_utc(value: Any) -> None:
    times = [text for text in texts(value) if LOCAL.match(text)]
    assert times
    assert [time for time in times if not INSTANT.fullmatch(time)] == []


@OWN_CONTROLLER
def test_status_contains_source_deployments_and_runs(followed: Followed) -> None:
    followed("trigger", "sums", "--wait")
    answer = followed("status", "-o", "json")
    assert answer.code == 0
    found = answer.json
    assert found.keys() >= {"controller", "source", "deployments", "runs", "withheld"}
    assert found["controller"].keys() >= {"running", "pid", "started_at", "version"}
    assert found["controller"]["running"] is True
    assert found["source"].keys() >= {
        "repo", "ref", "revision", "last_attempted_revision", "last_applied_revision", "conditions",
    }  # fmt: skip
    head = f"main@sha1:{followed.repository.head()}"
    assert found["source"]["last_applied_revision"] == found["source"]["revision"] == head
    assert found["source"]["conditions"][0].keys() >= CONDITION_KEYS
    assert found["runs"].keys() >= {"running", "pending", "retrying"}
    assert found["withheld"] is None
    assert found["deployments"][0]["name"] == "never-good"
    by_name = {one["name"]: one for one in found["deployments"]}
    assert by_name.keys() == {"sums", "fails", "asleep", "never-good"}
    for one in by_name.values():
        assert one.keys() >= DEPLOYMENT_KEYS
    assert (by_name["never-good"]["sync"], by_name["asleep"]["health"]) == ("Invalid", "Suspended")
    assert (by_name["sums"]["sync"], by_name["sums"]["health"]) == ("Synced", "Healthy")
    assert by_name["sums"]["last_run"]["state"] == "succeeded"
    assert by_name["asleep"]["next_fire_time"] is None
    assert_times_are_utc(found)


def test_status_is_empty_while_the_first_controller_is_starting(repository: GitRepository, command: Command) -> None:
    repository.commit(FILES)
    state = repository.path / ".git" / "controller"
    state.mkdir()
    (state / "controller.lock").touch()
    found = command("status", "-o", "json", "--repo", str(repository.path)).json
    assert found["controller"] == {"running": False, "pid": None, "started_at": None, "version": None, "url": None}
    assert found["deployments"] == []


def test_read_commands_create_no_state(repository: GitRepository, command: Command) -> None:
    repository.commit(FILES)
    assert command("status", "--repo", str(repository.path)).code == 2
    assert not (repository.path / ".controller").exists()
    assert not (repository.path / ".git" / "controller").exists()


def test_deployments_are_rows_and_details(followed: Followed) -> None:
    rows = followed("deployments", "list", "-o", "json").json
    assert rows == followed("status", "-o", "json").json["deployments"]
    assert followed("deployments", "-o", "json").json == rows
    detail = followed("deployments", "show", "sums", "-o", "json").json
    assert detail.keys() >= DEPLOYMENT_KEYS | {"schedules", "parameters", "revision", "spec_digest"}
    assert detail["parameters"] == {"nums": [1, 2]}
    [schedule] = detail["schedules"]
    assert (schedule["id"], schedule["timezone"], len(schedule["fire_times"])) == ("nightly", "Europe/Berlin", 5)
    assert_times_are_utc(detail)


def test_a_deployment_that_was_never_valid_shows_its_errors(followed: Followed) -> None:
    detail = followed("deployments", "show", "never-good", "-o", "json").json
    assert (detail["sync"], detail["next_fire_time"]) == ("Invalid", None)
    assert detail["findings"][0]["file"] == "deployments/never.yaml"


def test_trigger_prints_the_run_and_runs_show_finds_it(followed: Followed) -> None:
    answer = followed("trigger", "sums", "--param", "nums=[3, 4]", "--param", "label=eu", "-o", "json")
    assert answer.code == 0
    assert answer.json.keys() >= {"run_id", "state"}
    done = followed("trigger", "sums", "--params", '{"nums": [5]}', "--wait", "-o", "json")
    assert (done.code, done.json["state"], done.json["result"]) == (0, "succeeded", {"sum": 5, "label": "x"})
    shown = followed("runs", "show", done.json["run_id"], "-o", "json").json
    assert shown.keys() >= RUN_KEYS
    assert (shown["trigger"], shown["parameters"], shown["attempt"]) == ("manual", {"nums": [5]}, 1)
    assert followed("runs", "show", done.json["run_id"][-8:], "-o", "json").json == shown
    assert_times_are_utc(shown)


def test_a_failed_run_is_exit_code_1(followed: Followed) -> None:
    done = followed("trigger", "fails", "--wait", "-o", "json")
    assert (done.code, done.json["state"], done.json["exit_code"]) == (1, "failed", 3)
    text = followed("trigger", "fails", "--wait", "--logs")
    assert text.code == 1
    assert "1\n2\n3\n4\n5\n" in text.out
    assert "reason: exit code 3" in text.out


@OWN_CONTROLLER
def test_runs_are_listed_newest_first_and_filtered(followed: Followed) -> None:
    assert followed("runs", "list", "-o", "json").json == []
    header = "RUN\tDEPLOYMENT\tSTATE\tTRIGGER\tCREATED\tTOOK\tREASON OR RESULT\n"
    empty = followed("runs", "list")
    assert (empty.out, empty.err) == (
        header,
        "No runs yet. A due time starts one, and so does `controller trigger NAME`.\n",
    )
    for name in ("sums", "fails", "sums"):
        followed("trigger", name, "--wait")
    rows = followed("runs", "list", "-o", "json").json
    assert [row["deployment"] for row in rows] == ["sums", "fails", "sums"]
    assert all(row.keys() >= RUN_KEYS for row in rows)
    asked = {
        ("--deployment", "fails"): 1,
        ("--state", "succeeded"): 2,
        ("--state", "pending"): 0,
        ("--tag", "math"): 2,
        ("--limit", "1"): 1,
        ("--since", "1h"): 3,
        ("--since", "2999-01-01T00:00:00Z"): 0,
    }
    assert {key: len(followed("runs", "list", *key, "-o", "json").json) for key in asked} == asked
    assert followed("runs", "list", "--state", "pending").err.startswith("No runs match. `controller runs list`")


def test_the_same_idempotency_key_returns_the_same_run(followed: Followed) -> None:
    answers = [followed("trigger", "sums", "--idempotency-key", "k", "-o", "json").json["run_id"] for _ in range(2)]
    assert answers[0] == answers[1]


def test_next_needs_no_controller(repository: GitRepository, command: Command) -> None:
    repository.commit(FILES)
    after = ("--after", "2026-06-01T12:00:00Z", "-n", "2", "-o", "json")
    found = command("next", "sums", *after, "--repo", str(repository.path)).json
    assert found["fire_times"] == ["2026-06-02T00:00:00Z", "2026-06-03T00:00:00Z"]
    assert command("next", "--cron", "0 9 * * *", *after).json["fire_times"][0] == "2026-06-02T09:00:00Z"
    assert command("next", "--interval", "90s", *after).json["fire_times"][0] == "2026-06-01T12:01:30Z"
    assert command("next", "--at", "2026-06-05T00:00:00Z", *after).json == {"fire_times": ["2026-06-05T00:00:00Z"]}
    rule = command("next", "--rrule", "FREQ=DAILY;BYHOUR=6;BYMINUTE=0;BYSECOND=0", *after).json
    assert rule["fire_times"][0] == "2026-06-02T06:00:00Z"


def test_a_local_time_is_in_the_zone_of_the_deployment(repository: GitRepository, command: Command) -> None:
    schedule = "schedule: {cron: '0 9 * * *', timezone: Asia/Tokyo}"
    repository.commit({"deployments/tokyo.yaml": f"name: tokyo\ncommand: [cat]\n{schedule}\n"})
    asked = ("next", "tokyo", "-n", "1", "--repo", str(repository.path), "-o", "json", "--after")
    assert command(*asked, "2026-06-01T08:59").json["fire_times"] == ["2026-06-01T00:00:00Z"]
    assert command(*asked, "2026-06-01T08:59", "--timezone", "UTC").json["fire_times"] == ["2026-06-02T00:00:00Z"]
    tomorrow, today = (command(*asked, word).json["fire_times"][0] for word in ("tomorrow", "today"))
    assert datetime.fromisoformat(tomorrow) - datetime.fromisoformat(today) == timedelta(days=1)
    assert command(*asked, "now").code == 0


@pytest.mark.parametrize("word", ["now", "today", "yesterday", "tomorrow", "2h", "2h ago", "2026-03-01"])
def test_every_time_option_accepts_relative_times(followed: Followed, word: str) -> None:
    for arguments in (
        ("runs", "list", "--deployment", "sums", "--since", word, "--until", word),
        ("occurrences", "sums", "--since", word, "--until", word),
        ("next", "sums", "--after", word),
        ("backfill", "sums", "--dry-run", "--from", "2026-01-01", "--to", word),
    ):
        answer = followed(*arguments, "-o", "json")
        assert answer.code == 0 or ("--to" in arguments and word == "tomorrow")
    assert followed("hold", "asleep", "--reason", "x", "--until", "tomorrow").code == 0
    assert followed("resume", "asleep").code == 0


def test_next_works_for_active_and_suspended_deployments(followed: Followed) -> None:
    found = followed("next", "sums", "-n", "3", "-o", "json")
    assert len(found.json["fire_times"]) == 3
    assert followed("next", "asleep", "-o", "json").json == {"fire_times": []}
    assert_times_are_utc(found.json)


def test_validate_reports_all_errors_at_once(repository: GitRepository, command: Command) -> None:
    repository.commit({**FILES, "deployments/broken.yaml": "name: x\n  bad: [\n"})
    answer = command("validate", "--repo", str(repository.path), "-o", "json")
    found = answer.json
    assert answer.code == 1
    assert (found["valid"], found["files"], found["deployments"]) == (False, 5, 3)
    assert {finding["file"].rpartition("/")[2] for finding in found["findings"]} == {"never.yaml", "broken.yaml"}
    assert all(finding.keys() >= FINDING_KEYS for finding in found["findings"])
    good = command("validate", str(repository.path / "deployments" / "sums.yaml"), "-o", "json")
    assert (good.code, good.json["valid"], good.json["findings"]) == (0, True, [])


def test_version_prints_the_versions_of_controller_and_its_dependencies(command: Command) -> None:
    assert command("version", "-o", "json").json.keys() >= {"controller", "python", "apscheduler", "sqlalchemy"}


def test_next_says_which_due_times_a_window_skips_or_delays(command: Command, tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "windows")
    every = "command: ['true']\nschedule: {cron: '0 * * * *', timezone: UTC, windows: [{from: '08:00', to: '10:00'}]"
    documents = (f"name: skipping\n{every}, outside: skip}}\n", f"name: waiting\n{every}, outside: wait}}\n")
    repository.commit({"deployments/all.yaml": "---\n".join(documents)})
    options = ("--after", "2026-06-01 00:30Z", "-n", "8", "--repo", str(repository.path))
    skipping = command("next", "skipping", *options).err.splitlines()
    assert skipping[0] == "2026-06-01 01:00:00 UTC is skipped: window: outside 08:00-10:00"
    assert skipping[-1] == "68 more due times are skipped."
    waiting = command("next", "waiting", *options).err.splitlines()
    assert waiting[0] == ("The run of 2026-06-01 01:00:00 UTC starts when its window opens: 2026-06-01 08:00:00 UTC")
    assert waiting[5:] == ["2 more runs of these due times also start when a window opens."]


GATED = """\
name: ingest
command: ['true']
schedule: {interval: 1h}
---
name: audit
command: ['true']
after: ingest
---
name: report
command: ['true']
after: [ingest, {deployment: audit, on: finished}]
schedule: {cron: '30 7 * * *', timezone: UTC}
---
name: alert
command: ['true']
after: {deployments: [{deployment: ingest, on: failed}, {deployment: report, on: failed}], any: true}
on:
- files: {path: /srv/inbox, pattern: '*.csv'}
"""


def test_next_names_the_deployments_that_due_times_wait_for(command: Command, tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "declared")
    repository.commit({"deployments/gated.yaml": GATED})
    asked = ("--after", "2026-06-01 00:00Z", "-n", "1", "--repo", str(repository.path))
    text = command("next", "report", *asked)
    assert text.out == "2026-06-01 07:30:00 UTC\n"
    assert text.err == "The run of each due time starts after ingest (succeeded) and audit (finished).\n"
    waits = command("next", "report", *asked, "-o", "json").json["waits"]
    assert waits["any"] is False
    assert [(one["deployment"], one["on"]) for one in waits["upstreams"]] == [
        ("ingest", "succeeded"),
        ("audit", "finished"),
    ]
    assert command("next", "ingest", *asked, "-o", "json").json.keys() == {"fire_times"}
    assert command("next", "audit", *asked, "-o", "json").json == {"fire_times": []}
    started = "audit has no schedule. It runs after ingest (succeeded). `controller trigger audit` runs audit now.\n"
    assert command("next", "audit", *asked).err == started
    started = "It runs after ingest (failed) or report (failed); for new files in /srv/inbox that match *.csv."
    assert started in command("next", "alert", *asked).err


UNSCHEDULED = """\
- {name: files, command: [a], on: {files: {path: /a, parameter: path}}}
- name: hook
  command: [a]
  parameters: {x: 1}
  on: {webhook: {name: h, secret: {env: H}, parameters: {x: $.x, y: $.y}}}
- {name: paused, command: [a], suspend: true, schedule: "@daily"}
- {name: asleep, command: [a], schedule: {cron: "@daily", suspend: true}}
- {name: ended, command: [a], schedule: {at: 2020-01-01}}
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "files",
            "files has no schedule. It runs for new files in /a. `controller trigger files --param path=VALUE`",
        ),
        ("hook", "hook has no schedule. It runs for requests to /hooks/h. `controller trigger hook --param y=VALUE`"),
        ("paused", "paused is suspended. `controller trigger paused`"),
        ("asleep", "The schedules of asleep are suspended. `controller trigger asleep`"),
        ("ended", "No more fire times. `controller trigger ended`"),
    ],
)
def test_next_says_why_there_are_no_fire_times(command: Command, tmp_path: Path, name: str, text: str) -> None:
    repository = new_repository(tmp_path / "declared")
    repository.commit({"deployments/all.yaml": UNSCHEDULED})
    assert command("next", name, "--repo", str(repository.path)).err == f"{text} runs {name} now.\n"


def test_next_names_what_due_times_of_an_active_deployment_wait_for(followed: Followed) -> None:
    documents = (
        "name: gated-source\ncommand: ['true']\nschedule: {cron: '0 1 1 1 *', timezone: UTC}\n",
        "name: gated-sink\ncommand: ['true']\nschedule: {cron: '0 2 1 1 *', timezone: UTC}\nafter: gated-source\n",
    )
    followed.commit({"deployments/gated.yaml": "---\n".join(documents)})
    assert followed("next", "gated-sink").err == "The run of each due time starts after gated-source (succeeded).\n"


def test_next_names_the_due_times_that_a_calendar_skips(command: Command) -> None:
    daily = ("next", "--cron", "0 9 * * *", "--except", "DE-BY", "-n", "1", "--after", "2026-12-26")
    assert command(*daily, "-o", "json").json == {
        "fire_times": ["2026-12-27T09:00:00Z"],
        "skipped": [{"due_time": "2026-12-26T09:00:00Z", "reason": "calendar DE-BY: Second Day of Christmas"}],
    }
    assert command("next", "--cron", "0 9 * * *", "--calendar", "DE-BY").code == 2


def test_explain_lists_codes_and_reasons_in_both_formats(command: Command) -> None:
    listed = command("explain", "-o", "json").json
    codes = [entry["code"] for entry in listed]
    assert {"UnknownKey", "upstream", "UpstreamMissing", "FileVanished", "InvalidSignature"} <= set(codes)
    lines = [line for line in command("explain").out.splitlines() if line and not line.endswith(":")]
    assert [line.split()[0] for line in lines] == codes
    assert len({len(line) - len(line.split(maxsplit=1)[1]) for line in lines}) == 1
