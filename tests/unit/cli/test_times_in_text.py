"""Text shows times in the zone of the deployment's schedules, or else the machine's; JSON has UTC."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from controller.clock import SystemClock
from controller.time_format import format_time
from tests.conftest import wait_until
from tests.unit.cli.conftest import OWN_CONTROLLER, Command, Followed

TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(?:\.\d+)?( UTC|Z|[+-]\d\d:\d\d)?")
BERLIN = {"+01:00", "+02:00"}
TOKYO = {"+09:00"}


@pytest.fixture(autouse=True)
def _in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine's zone is that of Tokyo."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def zones(text: str) -> set[str]:
    """Return the words that follow the times in this text."""
    found = {match[1] for match in TIME.finditer(text)}
    assert found, text
    return found


def test_times_of_one_deployment_are_in_the_zone_of_its_schedules(followed: Followed) -> None:
    followed.deploy_sums("timed")
    run = followed("trigger", "timed", "--wait", "-o", "json").json
    days = ("--from", "2026-06-01", "--to", "2026-06-03 23:00:00+02:00")
    assert followed("backfill", "timed", *days, "--dry-run").out.splitlines() == [
        "2026-06-01 02:00:00+02:00",
        "2026-06-02 02:00:00+02:00",
        "2026-06-03 02:00:00+02:00",
    ]
    made = followed("backfill", "timed", *days, "-o", "json").json
    for run_id in made["run_ids"]:
        followed("runs", "watch", run_id)
    assert "2026-06-03 02:00:00+02:00" in followed("occurrences", "timed").out
    end = format_time(SystemClock().now() + timedelta(days=3), None)
    held = followed("hold", "timed", "--reason", "moving", "--until", end)
    assert held.out.startswith("timed is held until ")
    for arguments in (
        ("deployments", "show", "timed"),
        ("runs", "show", run["id"]),
        ("runs", "show", made["run_ids"][0]),
        ("occurrences", "timed"),
        ("next", "timed", "-n", "3"),
    ):
        answer = followed(*arguments)
        assert (answer.code, zones(answer.out) <= BERLIN) == (0, True), answer.out
    assert zones(held.out) <= BERLIN
    assert zones(followed("events", "--for", "timed").out) <= {*BERLIN, " UTC"}
    assert followed("resume", "timed").code == 0


RETRIED = """\
name: retried
command: ['false']
retries: {limit: 1, delay: 1h}
schedule: {cron: "0 2 * * *", timezone: Europe/Berlin}
---
name: plain
command: ['false']
retries: {limit: 1, delay: 1h}
"""


@OWN_CONTROLLER
def test_times_in_reasons_and_messages_are_in_the_zone_of_the_deployment(followed: Followed) -> None:
    followed.repository.commit({"deployments/retried.yaml": RETRIED})
    followed("reconcile", "--wait")
    run_id = followed("trigger", "retried", "-o", "json").json["run_id"]
    wait_until(lambda: followed("runs", "show", run_id, "-o", "json").json["state"] == "retrying")
    for arguments in (
        ("runs", "list"),
        ("runs", "list", "-o", "wide"),
        ("runs", "show", run_id),
        ("events",),
        ("status",),
    ):
        lines = [line for line in followed(*arguments).out.splitlines() if "starts at" in line]
        texts = [line[line.index("starts at") :] for line in lines]
        assert zones("\n".join(texts)) <= BERLIN, (arguments, texts)
    assert "starts at" in followed("status").out


def test_times_in_the_reasons_of_a_deployment_without_a_zone_are_in_that_of_the_machine(followed: Followed) -> None:
    followed.repository.commit({"deployments/retried.yaml": RETRIED})
    followed("reconcile", "--wait")
    run_id = followed("trigger", "plain", "-o", "json").json["run_id"]
    wait_until(lambda: followed("runs", "show", run_id, "-o", "json").json["state"] == "retrying")
    for arguments in (("runs", "list"), ("runs", "show", run_id), ("status",)):
        text = followed(*arguments).out
        assert zones(text[text.index("starts at") :].partition("\n")[0]) == TOKYO, arguments
    assert "starts at" in (waiting := followed("runs", "show", run_id, "-o", "json").json["waiting"])
    assert zones(waiting) == {" UTC"}


def test_other_times_are_in_the_zone_of_the_machine(followed: Followed) -> None:
    run = followed("trigger", "fails", "--wait", "-o", "json").json
    assert zones(followed("runs", "show", run["id"]).out) == TOKYO
    assert zones(followed("events", "--for", "fails").out) == TOKYO
    assert zones(followed("events", "--for", "source").out) == TOKYO
    assert zones(followed("run", "--once").err) == TOKYO


def test_json_has_times_in_utc(followed: Followed) -> None:
    for arguments in (("next", "sums"), ("events", "--for", "fails"), ("deployments", "show", "sums"), ("status",)):
        times = re.findall(r'"(\d{4}-\d\d-\d\d[T ][^" ]*)"', followed(*arguments, "-o", "json").out)
        assert {(time[10], time[-1]) for time in times} == {("T", "Z")}


def test_the_times_of_an_expression_are_in_its_zone(command: Command) -> None:
    arguments = ("next", "--cron", "0 9 * * *", "--after", "2026-11-23", "-n", "1")
    assert command(*arguments, "--timezone", "Europe/Berlin").out == "2026-11-23 09:00:00+01:00\n"
    assert command(*arguments).out == "2026-11-23 09:00:00 UTC\n"


def test_a_plan_shows_each_time_in_the_zone_of_its_schedule(followed: Followed) -> None:
    followed.deploy_sums("moved")
    path = followed.repository.path / "deployments/moved.yaml"
    path.write_text(path.read_text().replace("0 2 * * *", "0 3 * * *").replace("Europe/Berlin", "America/New_York"))
    followed.commit({})
    answer = followed("plan", "--base", "HEAD~1", "--head", "HEAD")
    before, after = (
        next(line for line in answer.out.splitlines() if f"fires {word}:" in line) for word in ("before", "after")
    )
    assert (zones(before) <= BERLIN, zones(after) <= {"-04:00", "-05:00"}) == (True, True), answer.out
    markdown = followed("plan", "--base", "HEAD~1", "--head", "HEAD", "-o", "markdown").out
    fire_times = "".join(line for line in markdown.splitlines() if not line.startswith('"'))  # without the commit
    assert zones(fire_times) <= {*BERLIN, "-04:00", "-05:00"}
    times = followed("plan", "--base", "HEAD~1", "--head", "HEAD", "-o", "json").json["changes"][0]["fire_times"]
    assert all(time.endswith("Z") for time in (*times["before"], *times["after"]))


def test_declared_fire_times_are_in_the_zone_of_their_schedule(followed: Followed) -> None:
    answer = followed("validate", "--verbose", str(followed.repository.path / "deployments/sums.yaml"))
    assert zones(answer.out) <= BERLIN
