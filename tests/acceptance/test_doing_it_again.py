"""Failed due times are redone with fixed code, and a backfill neither delays the schedule nor repeats a run."""

import itertools
import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, until

pytestmark = pytest.mark.acceptance

BERLIN = ZoneInfo("Europe/Berlin")
RECORD = 'echo "$CONTROLLER_RUN_ID $(cat "$CONTROLLER_PARAMETERS_FILE")" >> "$LOG"\n'
SLEEP = 'sleep $(sed -n \'s/.*"seconds": *\\([0-9]*\\).*/\\1/p\' "$CONTROLLER_PARAMETERS_FILE")\n'


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Each start of a command adds a line: the id of its run and its parameters."""
    path = tmp_path / "starts"
    path.touch()
    return path


def starts(log: Path) -> list[tuple[str, Any]]:
    lines = (line.partition(" ") for line in log.read_text().splitlines())
    return [(run_id, json.loads(parameters)) for run_id, _, parameters in lines]


def expected_day(run: Any) -> str:
    """The day before the due time of a run, in Berlin."""
    return str((datetime.fromisoformat(run["scheduled_for"]).astimezone(BERLIN) - timedelta(days=1)).date())


@pytest.fixture
def daily(repository: Repository, log: Path) -> Repository:
    """A daily command that fails, and gets the day before its due time."""
    repository.write("daily.sh", f"{RECORD}exit 1\n")
    repository.write(
        "deployments/daily.yaml",
        f"""
        name: daily
        command: [sh, daily.sh]
        env: {{LOG: {log}}}
        parameters: {{day: {{from: due_time, shift: -1d, format: date}}}}
        schedule: {{cron: "0 3 * * *", timezone: Europe/Berlin}}
        """,
    )
    repository.commit()
    return repository


def test_failed_due_times_are_redone_with_the_fixed_code(daily: Repository, log: Path, running: Start) -> None:
    running(daily)
    daily.wait_for_revision(None)
    answer = daily.ask("backfill", "daily", "--from", "2026-06-01", "--to", "2026-06-07", "--wait", "-o", "json")
    assert (answer.code, answer.json()["failed"], answer.json()["have_run"]) == (1, 6, 0)
    failed = daily.tell("runs", "list", "--backfill", answer.json()["backfill_id"])[::-1]
    assert [run["parameters"]["day"] for run in failed] == [expected_day(run) for run in failed]

    daily.write("daily.sh", RECORD)
    daily.wait_for_revision(daily.commit("fix"))
    assert daily.ask("runs", "retry", failed[0]["id"], "--wait").code == 1
    assert daily.ask("runs", "retry", failed[0]["id"], "--wait", "--latest").code == 0
    redone = daily.tell("backfill", "daily", "--from", "2026-06-01", "--to", "2026-06-04", "--redo", "failed", "--wait")
    assert (redone["done"], redone["have_run"]) == (2, 1)
    bulk = daily.tell("runs", "retry", "--deployment", "daily", "--latest", "--yes")
    again = daily.tell("runs", "retry", "--deployment", "daily", "--latest", "--yes")
    assert (bulk["count"], [run["retry_of"] for run in bulk["runs"]]) == (3, [run["id"] for run in failed[3:]])
    assert again["count"] == 0
    assert {run["run_id"] for run in again["left_out"]} >= {run["id"] for run in failed}
    for run in bulk["runs"]:
        assert daily.wait_for_end(run["run_id"])["state"] == "succeeded"

    rows = daily.tell("occurrences", "daily", "--until", "2026-06-07")[::-1]
    assert [[run["state"] for run in row["runs"]] for row in rows] == [
        ["failed", "failed", "succeeded"], *[["failed", "succeeded"]] * 5,
    ]  # fmt: skip
    assert [row["run_id"] for row in rows] == [row["runs"][-1]["run_id"] for row in rows]
    runs = {run["id"]: run for run in daily.runs("daily")}
    assert Counter(run_id for run_id, _ in starts(log)) == dict.fromkeys(runs, 1)
    assert all(parameters == {"day": expected_day(runs[run_id])} for run_id, parameters in starts(log))


@pytest.fixture
def tick(repository: Repository, log: Path) -> Repository:
    """A command that is due every two seconds, and takes the number of seconds in its parameters."""
    repository.write("tick.sh", f"{RECORD}{SLEEP}")
    repository.write(
        "deployments/tick.yaml",
        f"""
        name: tick
        command: [sh, tick.sh]
        env: {{LOG: {log}}}
        overlap: skip
        parameters: {{seconds: 0, day: {{from: due_time, shift: -1d, format: date, timezone: Europe/Berlin}}}}
        schedule: {{interval: 2s}}
        """,
    )
    repository.commit()
    return repository


def past(seconds: int) -> tuple[str, ...]:
    """The options for the due times in the first seconds of a day in the past: one per two seconds."""
    return ("--from", "2026-06-01T00:00:00Z", "--to", f"2026-06-01T00:00:{seconds:02}Z")


def progress(tick: Repository, backfill_id: str) -> Any:
    return tick.tell("backfills", "show", backfill_id)


def wait_until_running(tick: Repository, run_id: str) -> None:
    query = "SELECT 1 FROM runs WHERE id = ? AND state = 'running'"
    until(lambda: tick.select(query, run_id), f"run {run_id} to run")


def test_a_backfill_of_slow_runs_skips_no_due_time_and_survives_kills(
    tick: Repository, log: Path, running: Start
) -> None:
    controller = running(tick)
    tick.wait_for_run("tick")
    backfill = tick.tell("backfill", "tick", *past(14), "--param", "seconds=2")
    assert len(backfill["run_ids"]) == 8
    for run_id in backfill["run_ids"][1:6]:
        wait_until_running(tick, run_id)
        controller.kill()
        controller = running(tick)
    until(lambda: progress(tick, backfill["backfill_id"])["state"] == "succeeded", "the backfill to succeed")
    tick.wait_for_run("tick", more=1)
    ledger = tick.ledger("tick")
    assert [run_id for _, _, run_id, _ in ledger[:8]] == backfill["run_ids"]
    assert {reason for _, _, _, reason in ledger} <= {None, "catch-up"}
    due_times = [datetime.fromisoformat(time) for time, _, _, _ in ledger[8:]]
    assert {later - earlier for earlier, later in itertools.pairwise(due_times)} == {timedelta(seconds=2)}
    assert set(Counter(run_id for run_id, _ in starts(log)).values()) == {1}
    scheduled = [run for run in tick.runs("tick", "succeeded") if run["trigger"] == "schedule"]
    assert len(scheduled) >= 5

    last = scheduled[-1]
    retried = tick.wait_for_end(tick.tell("runs", "retry", last["id"])["run_id"])
    due = last["scheduled_for"]
    redone = tick.tell("backfill", "tick", "--from", due, "--to", due, "--redo", "all", "--wait")["run_ids"]
    of_backfill = tick.tell("runs", "show", redone[0])
    assert {run["scheduled_for"] for run in (last, retried, of_backfill)} == {due}
    assert (last["due_time_of"], retried["due_time_of"], of_backfill["due_time_of"]) == (None, due, due)
    values = dict(starts(log))
    days = [values[run["id"]]["day"] for run in (last, retried, of_backfill)]
    assert days == [expected_day(last)] * 3


def test_a_backfill_is_paused_resumed_and_cancelled(tick: Repository, running: Start) -> None:
    running(tick)
    tick.wait_for_run("tick")
    backfill_id = tick.tell("backfill", "tick", *past(58), "--param", "seconds=1")["backfill_id"]
    short = backfill_id[-12:]
    until(lambda: progress(tick, short)["done"] >= 1, "the first run of the backfill")
    assert tick.tell("backfills", "pause", short)["state"] == "paused"
    until(lambda: progress(tick, short)["running"] == 0, "the last run before the pause")
    paused = progress(tick, short)
    tick.wait_for_run("tick", more=2)
    assert progress(tick, short) == paused
    assert tick.tell("backfills", "resume", short)["state"] == "running"
    until(lambda: progress(tick, short)["done"] > paused["done"], "a run after the pause")
    assert tick.ask("backfills", "cancel", short).out == f"{backfill_id} cancelled\n"
    until(lambda: progress(tick, short)["running"] == 0, "the last run to be cancelled")
    cancelled = progress(tick, short)
    assert (cancelled["state"], cancelled["waiting"]) == ("cancelled", 0)
    assert cancelled["done"] + cancelled["cancelled"] == cancelled["total"] == 30
    assert tick.tell("runs", "cancel", "--backfill", short, "--yes")["count"] == 0
