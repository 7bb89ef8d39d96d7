"""The commands that change runs and look at the ledger, with a running controller; and `execute` without one."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Answer, Command, Followed

Execute = Callable[..., Answer]


def test_a_run_is_retried_and_watched(followed: Followed) -> None:
    first = followed("trigger", "sums", "--param", "nums=[5]", "--wait", "-o", "json").json
    again = followed("runs", "retry", first["id"][-12:], "--wait", "-o", "json")
    assert again.code == 0
    assert (again.json["result"], again.json["retry_of"], again.json["trigger"]) == (
        {"sum": 5, "label": "x"},
        first["id"],
        "retry",
    )
    watched = followed("runs", "watch", again.json["id"])
    assert (watched.code, watched.out) == (0, f"{again.json['id']} succeeded\n")
    failed = followed("trigger", "fails", "--wait", "-o", "json").json
    assert followed("runs", "watch", failed["id"]).code == 1
    assert followed("runs", "retry", failed["id"], "--wait").code == 1


def test_a_finished_run_cannot_be_cancelled(followed: Followed) -> None:
    run = followed("trigger", "sums", "--wait", "-o", "json").json
    answer = followed("runs", "cancel", run["id"], "--reason", "too late")
    assert answer.code == 2
    assert "has already finished: succeeded" in answer.err
    assert followed("runs", "cancel", "nobody").code == 2


@pytest.mark.parametrize("reason", ["two\nlines", "\x1b[31mred"])
def test_the_reason_of_a_cancellation_must_be_one_line(followed: Followed, reason: str) -> None:
    run = followed("trigger", "sums", "--wait", "-o", "json").json
    answer = followed("runs", "cancel", run["id"], "--reason", reason)
    assert (answer.code, "The reason must be one line" in answer.err) == (2, True)


def test_a_backfilled_range_is_in_the_ledger(followed: Followed) -> None:
    followed.deploy_sums("ledger")
    arguments = ("backfill", "ledger", "--from", "2026-06-01T00:00:00Z", "--to", "2026-06-03T00:00:00Z")
    dry = followed(*arguments, "--dry-run", "-o", "json").json
    assert dry["run_ids"] == []
    assert dry["times"] == ["2026-06-01T00:00:00Z", "2026-06-02T00:00:00Z", "2026-06-03T00:00:00Z"]
    made = followed(*arguments, "--max", "2", "-o", "json").json
    assert len(made["run_ids"]) == 2
    assert made["left_out"] == 1
    for run_id in made["run_ids"]:
        assert followed("runs", "watch", run_id).code == 0
    rows = followed("occurrences", "ledger", "--until", "2026-06-03T00:00:00Z", "-o", "json").json
    assert [(row["scheduled_for"], row["outcome"], row["run_id"]) for row in rows] == [
        ("2026-06-03T00:00:00Z", "run", made["run_ids"][1]),
        ("2026-06-02T00:00:00Z", "run", made["run_ids"][0]),
    ]
    keys = {"deployment", "schedule", "scheduled_for", "outcome", "run_id", "reason", "state", "runs"}
    assert rows[0].keys() == keys
    assert "nightly" in followed("occurrences", "ledger").out
    again = followed(*arguments)
    assert "2 already have a run" in again.err
    assert followed("occurrences", "nobody").code == 2


@pytest.mark.parametrize(
    "time", ["0001-01-01", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
)
def test_a_time_at_the_edge_of_the_calendar_is_rejected(followed: Followed, time: str) -> None:
    for arguments in (
        ("backfill", "sums", "--from", time, "--to", time),
        ("occurrences", "sums", "--since", time),
        ("runs", "list", "--since", time),
        ("hold", "sums", "--reason", "x", "--until", time),
    ):
        answer = followed(*arguments)
        assert answer.code == 2, arguments
        assert "out of range" in answer.err, arguments


@pytest.mark.parametrize("key", ["", "k" * 1000, "two\nlines"])
def test_an_invalid_idempotency_key_is_rejected(followed: Followed, key: str) -> None:
    answer = followed("trigger", "asleep", "--idempotency-key", key)
    assert (answer.code, "An idempotency key must be" in answer.err) == (2, True)
    assert followed("runs", "list", "--deployment", "asleep", "-o", "json").json == []


def test_commands_that_change_something_need_a_controller(command: Command, tmp_path: Path) -> None:
    for arguments in (
        ("backfill", "a", "--from", "2d", "--to", "1d"),
        ("runs", "cancel", "x"),
        ("runs", "retry", "x"),
        ("runs", "watch", "x"),
        ("occurrences", "a"),
    ):
        assert command(*arguments, "--repo", str(tmp_path)).code == 2


@pytest.fixture
def execute(command: Command, tmp_path: Path) -> Execute:
    """`execute("sums")` in a directory with flows and deployments."""
    root = tmp_path / "code"
    (root / "deployments").mkdir(parents=True)
    (root / "flows").mkdir()
    (root / "flows" / "sums.py").write_text(
        "import os\n\n\ndef add(nums, label='x'):\n    print('adding')\n    return [sum(nums), label]\n\n\n"
        "def bad():\n    raise SystemExit('no')\n\n\ndef where():\n    return os.getcwd()\n\n\n"
        "def slow():\n    import threading\n    threading.Event().wait(60)\n"
    )
    (root / "deployments" / "all.yaml").write_text(
        "name: sums\nflow: flows/sums.py:add\nparameters: {nums: [1, 2]}\n---\n"
        "name: fails\ncommand: [sh, -c, 'exit 3']\n---\nname: slow\nflow: flows/sums.py:slow\ntimeout: 0.2\n"
        "---\nname: nothing\ncommand: [no-such-program]\n---\nname: wrong\nflow: 5\n"
    )

    def call(*arguments: str) -> Answer:
        return command("execute", *arguments, "--repo", str(root))

    return call


def test_execute_runs_a_deployment_in_the_foreground(execute: Execute) -> None:
    answer = execute("sums", "--param", "label=y")
    assert (answer.code, answer.out, answer.err) == (0, '[3, "y"]\n', "adding\n")
    found = execute("sums", "-o", "json").json
    outcome = {"exit_code": 0, "result": [3, "x"], "error": None, "timed_out": False, "skipped": False, "reason": None}
    assert found == outcome


@pytest.mark.parametrize("name", ["sums", "flows/sums.py:add"])
def test_execute_refuses_an_invalid_reference_to_the_due_time(execute: Execute, name: str) -> None:
    answer = execute(name, "--param", 'nums=[1, {"from": "due_time", "shift": "1d"}]')
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "error: nums[1].shift: '1d' is not a shift.\nhint: write -1d for an earlier time, or +1d for a later one\n"
    )


def test_execute_gives_parameters_the_values_of_its_environment(
    execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXECUTED_REGION", "eu")
    references = '[{"from": "env.EXECUTED_REGION"}, {"from": "run.id"}, {"from": "revision"}]'
    assert execute("sums", "--param", f"label={references}").out == '[3, ["eu", "", ""]]\n'
    answer = execute("sums", "--param", 'label={"from": "env.NOT_SET"}')
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "error: Parameter label: 'env.NOT_SET': this variable is not set.\n"
        "hint: Set the variable, or pass a value with --param.\n"
    )


@pytest.mark.parametrize("name", ["", "2X", "A-B", "A=1", "Ä", "A B"])
def test_run_refuses_the_name_of_a_variable_that_is_none(command: Command, tmp_path: Path, name: str) -> None:
    answer = command("run", "--once", "--repo", str(tmp_path), "--parameter-env", "OK", "--parameter-env", name)
    assert answer.code == 2
    assert answer.err.startswith(f"error: --parameter-env {name!r}: this is not the name of an environment variable.")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("flow", "no\\x1b files\nat all"), ("silent", None), ("command", "exit code 99"), ("task", "no tables")],
)
def test_execute_reports_a_skip(command: Command, tmp_path: Path, name: str, reason: str | None) -> None:
    (tmp_path / "deployments").mkdir()
    (tmp_path / "a.py").write_text(
        "from controller import Skip, flow, task\n"
        "def plain(): raise Skip('no\\x1b files\\nat all')\n"
        "async def silent(): raise Skip\n"
        "@task\ndef load(): raise Skip('no tables')\n@flow(log_prints=True)\ndef tasks(): load.submit().result()\n"
    )
    (tmp_path / "deployments" / "all.yaml").write_text(
        "name: flow\nflow: a.py:plain\n---\nname: silent\nflow: a.py:silent\n---\nname: task\nflow: a.py:tasks\n"
        "---\nname: command\ncommand: [sh, -c, 'exit 99']\nskip_exit_code: 99\n"
    )
    answer = command("execute", name, "--repo", str(tmp_path))
    assert (answer.code, answer.out) == (0, "")
    assert answer.err.endswith("skipped" + ("" if reason is None else f": {reason}") + "\n")
    found = command("execute", name, "--repo", str(tmp_path), "-o", "json")
    assert (found.code, found.json["skipped"], found.json["error"]) == (0, True, None)
    assert found.json["exit_code"] == (99 if name == "command" else 0)


def test_execute_needs_files_on_disk(command: Command, tmp_path: Path) -> None:
    bare = tmp_path / "flows.git"
    subprocess.run(["git", "init", "--quiet", "--bare", bare], check=True)
    answer = command("execute", "a", "--repo", str(bare))
    assert answer.code == 2
    assert "is a bare repository" in answer.err
    assert f"git clone {bare}" in answer.err


def test_execute_runs_a_flow_by_its_file(execute: Execute, tmp_path: Path) -> None:
    assert execute("flows/sums.py:add", "--params", '{"nums": [4]}').out == '[4, "x"]\n'
    assert execute("flows/sums.py:where").out == f'"{tmp_path / "code"}"\n'


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("fails", "failed: exit code 3"),
        ("flows/sums.py:bad", "failed: no"),
        ("flows/sums.py:none", "has no flow 'none'"),
        ("slow", "failed: the timeout was exceeded"),
    ],
)
def test_a_failed_execution_exits_with_1(execute: Execute, what: str, said: str) -> None:
    answer = execute(what)
    assert (answer.code, answer.out) == (1, "")
    assert said in answer.err


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("sum", "Did you mean sums?"),
        ("flows/none.py:f", "There is no file flows/none.py"),
        ("nothing", "The program no-such-program was not found"),
        ("wrong", "wrong is not valid: deployments/all.yaml:"),
    ],
)
def test_an_impossible_execution_exits_with_2(execute: Execute, what: str, said: str) -> None:
    answer = execute(what)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


def test_a_relative_program_is_found_in_the_working_directory(execute: Execute, tmp_path: Path) -> None:
    script = tmp_path / "code" / "flows" / "bin" / "name"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\necho "$0" in "$PWD"\n')
    script.chmod(0o700)
    document = "name: local\ncommand: [bin/name]\nworking_directory: flows\n"
    (tmp_path / "code" / "deployments" / "local.yaml").write_text(document)
    answer = execute("local")
    assert (answer.code, answer.err) == (0, f"bin/name in {tmp_path}/code/flows\n")
    script.unlink()
    answer = execute("local")
    assert (answer.code, "The program bin/name was not found" in answer.err) == (2, True)


def test_an_executed_flow_that_exits_without_a_report_has_not_succeeded(execute: Execute, tmp_path: Path) -> None:
    (tmp_path / "code/flows/silent.py").write_text("import os\ndef f():\n    os._exit(0)\n")
    (tmp_path / "code/deployments/silent.yaml").write_text("name: silent\nflow: flows/silent.py:f\n")
    answer = execute("silent")
    assert (answer.code, answer.out) == (1, "")
    assert "the process exited with code 0 before the flow returned" in answer.err
