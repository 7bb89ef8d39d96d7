"""Retries in bulk and with new code, runs for a due time, and backfills, with a running controller."""

import io
import re

import pytest

from controller.cli.backfill import describe_counts
from controller.client import Client
from tests.conftest import wait_until
from tests.unit.cli.conftest import OWN_CONTROLLER, Followed

SLOW = "name: slow\ncommand: [sleep, '600']\noverlap: allow\nschedules: [{interval: 1h}]\n"
RANGE = ("--from", "2026-06-01T00:00:00Z", "--to", "2026-06-03T00:00:00Z")


def ends(followed: Followed, run_ids: list[str]) -> list[str]:
    """Return the states in which these runs end."""
    return [followed("runs", "watch", run_id, "-o", "json").json["state"] for run_id in run_ids]


def test_a_retry_with_latest_executes_the_active_version(followed: Followed) -> None:
    followed.commit({"deployments/mended.yaml": "name: mended\ncommand: ['false']\n"})
    failed = followed("trigger", "mended", "--wait", "-o", "json").json
    followed.commit({"deployments/mended.yaml": "name: mended\ncommand: ['true']\n"})
    same = followed("runs", "retry", failed["id"], "--wait", "-o", "json")
    assert (same.code, same.json["revision"]) == (1, failed["revision"])
    latest = followed("runs", "retry", failed["id"], "--latest", "--wait", "-o", "json")
    assert (latest.code, latest.json["retry_of"]) == (0, failed["id"])
    assert latest.json["revision"] != failed["revision"]


@OWN_CONTROLLER
def test_failed_runs_are_retried_in_bulk_each_by_its_latest_run(followed: Followed) -> None:
    first = [followed("trigger", "fails", "--wait", "-o", "json").json["id"] for _ in range(2)]
    followed("trigger", "sums", "--wait")
    answer = followed("runs", "retry", "--since", "1h", "--yes")
    assert answer.code == 0
    assert answer.err == "2 runs match:\n  fails: 2 failed\n"
    second = [line.split()[0] for line in answer.out.splitlines()]
    assert ends(followed, second) == ["failed", "failed"]
    again = followed("runs", "retry", "--deployment", "fails", "--state", "failed", "--yes", "-o", "json")
    assert "Left out: 2, because a later run is retried instead." in again.err
    assert again.json["count"] == 2
    assert [run["retry_of"] for run in again.json["runs"]] == second
    assert {run["run_id"]: run["later_run"] for run in again.json["left_out"]} == dict(zip(first, second, strict=True))
    assert ends(followed, [run["run_id"] for run in again.json["runs"]]) == ["failed", "failed"]
    assert followed("runs", "retry", "--tag", "math", "--yes", "-o", "json").json["count"] == 0


@pytest.mark.parametrize("arguments", [("trigger", "asleep"), ("backfill", "asleep", "--from", "2h")])
def test_an_invalid_reference_to_the_due_time_creates_no_run(followed: Followed, arguments: tuple[str, ...]) -> None:
    answer = followed(*arguments, "--param", 'day={"from": "due_time", "format": "dat"}')
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "error: day.format: 'dat' is not a format.\nhint: did you mean date?\n"
    assert followed("runs", "--deployment", "asleep", "-o", "json").json == []


def test_unfinished_runs_are_cancelled_in_bulk(followed: Followed) -> None:
    followed.commit({"deployments/idle.yaml": SLOW.replace("slow", "idle") + "tags: [idle]\nsuspend: true\n"})
    started = [followed("trigger", "idle", "-o", "json").json["run_id"] for _ in range(2)]
    answer = followed("runs", "cancel", "--tag", "idle", "--reason", "not needed", "--yes", "-o", "json")
    assert [run["run_id"] for run in answer.json["runs"]] == started
    assert ends(followed, started) == ["cancelled", "cancelled"]
    assert followed("runs", "show", started[0], "-o", "json").json["reason"] == "not needed"
    none = followed("runs", "cancel", "--deployment", "idle")
    assert (none.code, none.out, none.err) == (0, "", "No runs match.\n")
    running = followed("trigger", "idle", "-o", "json").json["run_id"]
    wait_until(lambda: followed("runs", "show", running, "-o", "json").json["state"] == "running")
    stopping = followed("runs", "cancel", running, "--reason", "wrong input")
    assert (stopping.out, "The flow is being stopped." in stopping.err) == (f"{running} running\n", True)
    assert ends(followed, [running]) == ["cancelled"]
    assert followed("runs", "show", running, "-o", "json").json["cancel_reason"] == "wrong input"


@OWN_CONTROLLER
def test_cancelling_the_runs_of_a_backfill_cancels_its_other_due_times_too(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed.commit({"deployments/slow.yaml": SLOW.replace("1h", "1m")})
    backfill_id = followed("backfill", "slow", "--from", "20h", "-o", "json").json["backfill_id"]
    narrow = followed("runs", "cancel", "--backfill", backfill_id, "--state", "retrying")
    hint = f"To cancel it, run `controller backfills cancel {backfill_id[-12:]}`."
    assert narrow.err == f"The backfill continues with its other due times. {hint}\nNo runs match.\n"
    total = followed("backfills", "show", backfill_id, "-o", "json").json["total"]
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    answer = followed("runs", "cancel", "--backfill", backfill_id[-12:])
    assert answer.code == 0
    left = total - 1000
    assert f"Cancel the backfill with 1000 runs and {left} due times without a run yet? [y/N]: " in answer.err
    assert answer.err.endswith(f"The backfill is cancelled: {left} due times will get no run.\n")
    assert len(answer.out.splitlines()) == 1000
    assert followed("backfills", "show", backfill_id, "-o", "json").json["state"] == "cancelled"
    wait_until(lambda: followed("backfills", "show", backfill_id, "-o", "json").json["cancelled"] == total)
    again = followed("runs", "cancel", "--backfill", backfill_id, "--yes", "-o", "json")
    assert (again.code, again.json) == (0, {"count": 0, "runs": [], "left_out": [], "due_times": 0})


class Terminal(io.StringIO):
    """Standard input with a user who types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("name", "typed", "code", "runs"),
    [("declined", "n\n", 1, 1), ("unanswered", "\n", 1, 1), ("confirmed", "y\n", 0, 2)],
)
def test_a_bulk_change_asks_for_confirmation(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, name: str, typed: str, code: int, runs: int
) -> None:
    followed.commit({f"deployments/{name}.yaml": f"name: {name}\ncommand: ['false']\n"})
    followed("trigger", name, "--wait")
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    answer = followed("runs", "retry", "--deployment", name)
    assert (answer.code, "Retry 1 run? [y/N]" in answer.err) == (code, True)
    assert len(followed("runs", "list", "--deployment", name, "-o", "json").json) == runs


def test_without_a_terminal_a_bulk_change_needs_yes(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    followed.commit({"deployments/piped.yaml": "name: piped\ncommand: ['false']\n"})
    followed("trigger", "piped", "--wait")
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    answer = followed("runs", "retry", "--deployment", "piped")
    assert (answer.code, answer.out) == (2, "")
    assert "hint: Pass --yes." in answer.err
    assert len(followed("runs", "list", "--deployment", "piped", "-o", "json").json) == 1


def test_an_impossible_bulk_change_is_an_error(followed: Followed) -> None:
    for arguments, message in (
        (("runs", "retry"), "Pass the ID of one run, or a filter"),
        (("runs", "cancel", "--yes"), "Pass the ID of one run, or a filter"),
        (("runs", "retry", "abc", "--deployment", "sums"), "but not both"),
        (("runs", "retry", "--deployment", "sums", "--wait"), "--wait needs the ID of one run"),
        (("runs", "retry", "--deployment", "sumz"), "Did you mean sums?"),
        (("runs", "retry", "--backfill", "xyz"), "There is no backfill 'xyz'"),
        (("runs", "retry", "--state", "running"), "--state"),
        (("runs", "cancel", "--state", "failed"), "--state"),
        (("runs", "list", "--backfill", "xyz"), "There is no backfill 'xyz'"),
        (("backfill", "sums", *RANGE, "--wait", "--dry-run"), "exclude each other"),
        (("backfill", "sums", *RANGE, "--param", "labels=x"), "labels"),
        (("trigger", "sums", "--due-time", "2026-06-01T01:00:00Z"), "is not a due time of sums"),
        (("trigger", "sums", "--due-time", "tomorrow 02:00"), "The due time is in the future"),
        (("backfills", "pause", "xyz"), "There is no backfill 'xyz'"),
        (("backfills", "--deployment", "sumz"), "Did you mean sums?"),
    ):
        answer = followed(*arguments)
        assert (answer.code, answer.out) == (2, ""), arguments
        assert message in answer.err, arguments


def test_a_due_time_is_run_in_the_zone_of_its_deployment_and_keeps_its_history(followed: Followed) -> None:
    followed.deploy_sums("dated")
    first = followed("trigger", "dated", "--due-time", "2026-06-03 02:00", "--wait", "-o", "json").json
    assert (first["trigger"], first["scheduled_for"]) == ("manual", "2026-06-03T00:00:00Z")
    assert first["due_time_of"] == first["scheduled_for"]
    second = followed("trigger", "dated", "--due-time", "2026-06-03 02:00:00+02:00", "--wait", "-o", "json").json
    [row] = followed("occurrences", "dated", "--until", "2026-06-04", "-o", "json").json
    assert (row["run_id"], row["outcome"]) == (second["id"], "run")
    assert row["runs"] == [{"run_id": run["id"], "state": "succeeded"} for run in (first, second)]
    client = Client.of_state(followed.state)
    assert row in list(client.occurrences("dated"))
    text = followed("occurrences", "dated", "--until", "2026-06-04").out.splitlines()[1]
    assert text.split() == ["2026-06-03", "02:00:00+02:00", "succeeded", second["id"], "2", "nightly"]
    shown = followed("runs", "show", first["id"]).out
    assert re.search(r"^due time +2026-06-03 02:00:00\+02:00", shown, re.MULTILINE)
    manual = followed("trigger", "dated", "--wait", "-o", "json").json
    assert (manual["scheduled_for"], manual["due_time_of"]) == (None, None)


def test_a_backfill_is_created_followed_and_shown(followed: Followed) -> None:
    followed.deploy_sums("filled")
    answer = followed("backfill", "filled", *RANGE, "--param", "label=again", "--wait")
    assert answer.code == 0
    backfill_id, *lines = answer.out.splitlines()
    assert lines[:3] == ["2026-06-01 02:00:00+02:00", "2026-06-02 02:00:00+02:00", "2026-06-03 02:00:00+02:00"]
    assert lines[-1] == "succeeded: 3 of 3 done"
    [row] = followed("backfills", "--deployment", "filled", "-o", "json").json
    assert row.keys() >= {"id", "deployment", "state", "from", "to", "created_at", "author", "total", "done", "failed",
                          "running", "waiting"}  # fmt: skip
    assert (row["id"], row["state"], row["done"], row["from"]) == (backfill_id, "succeeded", 3, "2026-06-01T00:00:00Z")
    assert "3/3" in followed("backfills", "list", "--deployment", "filled").out.splitlines()[1].split()
    runs = followed("runs", "list", "--backfill", backfill_id[-12:], "-o", "json").json
    assert [run["result"]["label"] for run in runs] == ["again"] * 3
    assert {run["backfill_id"] for run in runs} == {backfill_id}
    assert backfill_id in followed("runs", "show", runs[0]["id"]).out
    repeated = followed("backfill", "filled", *RANGE, "--wait")
    assert (repeated.code, repeated.out) == (0, "")
    assert repeated.err == "There is nothing to run.\n3 already have a run.\n"
    redone = followed("backfill", "filled", *RANGE, "--redo", "all", "--original", "--wait", "-o", "json")
    assert (redone.code, redone.json["done"], redone.json["code"]) == (0, 3, "original")


def test_a_failed_backfill_names_its_due_times_and_is_redone(followed: Followed) -> None:
    followed.commit({"deployments/often.yaml": "name: often\ncommand: ['false']\nschedule: {cron: '0 2 * * *'}\n"})
    answer = followed("backfill", "often", *RANGE, "--wait", "-o", "json")
    assert (answer.code, answer.json["state"], answer.json["failed"]) == (1, "failed", 2)
    shown = followed("backfills", "show", answer.json["backfill_id"][-8:], "-o", "json").json
    assert [(time["due_time"], time["state"], time["reason"]) for time in shown["failures"]] == [
        ("2026-06-01T02:00:00Z", "failed", "exit code 1"),
        ("2026-06-02T02:00:00Z", "failed", "exit code 1"),
    ]
    assert shown["unfinished"] == []
    text = followed("backfills", "show", shown["id"]).out
    assert all(time["run_id"] in text for time in shown["failures"])
    followed.commit({"deployments/often.yaml": "name: often\ncommand: ['true']\nschedule: {cron: '0 2 * * *'}\n"})
    redone = followed("backfill", "often", *RANGE, "--redo", "failed", "--wait", "-o", "json")
    assert (redone.code, redone.json["done"], redone.json["have_run"]) == (0, 2, 0)
    assert len(followed("occurrences", "often", "--until", "2026-06-04", "-o", "json").json[0]["runs"]) == 2
    followed.commit({"deployments/often.yaml": "name: often\ncommand: ['true']\nschedule: {cron: '0 3 * * *'}\n"})
    older = followed("backfill", "often", *RANGE, "--redo", "all", "--dry-run")
    assert older.out.splitlines()[:2] == [
        "2026-06-01 02:00:00 UTC  (due under an older schedule)",
        "2026-06-02 02:00:00 UTC  (due under an older schedule)",
    ]
    assert followed("trigger", "often", "--due-time", "2026-06-01 02:00", "--wait").code == 0


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((1, 0, 0), "1 already has a run"),
        ((5, 2, 0), "3 already have a run; 2 will be run by another backfill"),
        ((2, 2, 4), "2 will be run by another backfill; 4 earlier ones were left out (--max 7)"),
        ((0, 0, 0), ""),
    ],
)
def test_due_times_that_are_not_run_are_counted_by_their_reason(counts: tuple[int, int, int], text: str) -> None:
    assert describe_counts(dict(zip(("have_run", "planned", "left_out"), counts, strict=True)), 7) == text


def test_a_backfill_is_paused_resumed_and_cancelled(followed: Followed) -> None:
    followed.commit({"deployments/paused.yaml": SLOW.replace("slow", "paused")})
    backfill_id = followed("backfill", "paused", "--from", "5h", "--parallel", "1", "-o", "json").json["backfill_id"]
    wait_until(lambda: followed("backfills", "show", backfill_id, "-o", "json").json["running"] == 1)
    short = backfill_id[-12:]
    for verb, state in (("pause", "paused"), ("resume", "running"), ("pause", "paused")):
        assert followed("backfills", verb, short).out == f"{backfill_id} {state}\n"
    text = followed("backfills", "show", short).out
    assert "Left, the first due times:" in text
    done = followed("backfills", "cancel", short, "-o", "json").json
    assert (done["id"], done["state"]) == (backfill_id, "cancelled")
    wait_until(lambda: followed("backfills", "show", short, "-o", "json").json["cancelled"] == done["total"])
    assert followed("backfills", "resume", short).code == 2


def test_many_due_times_are_counted_and_not_all_printed(followed: Followed) -> None:
    followed.commit({"deployments/many.yaml": SLOW.replace("slow", "many")})
    dry = followed("backfill", "many", "--from", "5d", "--to", "now", "--dry-run")
    lines = dry.out.splitlines()
    assert len(lines) == 51
    assert lines[-1] in {"… and 70 more", "… and 71 more"}
    few = followed("backfill", "many", "--from", "5d", "--max", "2", "--dry-run")
    assert len(few.out.splitlines()) == 2
    assert "earlier ones were left out (--max 2)" in few.err


@OWN_CONTROLLER
def test_backfills_are_shown_without_a_running_controller(followed: Followed) -> None:
    backfill_id = followed("backfill", "sums", *RANGE, "--wait", "-o", "json").json["backfill_id"]
    followed.stop()
    assert followed("backfills", "-o", "json").json[0]["id"] == backfill_id
    assert followed("backfills", "show", backfill_id, "-o", "json").json["done"] == 3
    assert followed("backfills", "pause", backfill_id).code == 2
