"""The decision table: the status of an attempt by its run directory, with real locks."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controller.model.runs import RunOutcome, RunState
from controller.runs.executors.executor import NotStarted
from controller.runs.executors.local.recovery import COPIED, LiveSupervisor, recover

NONCE = "aa"
OURS = json.dumps({"nonce": NONCE, "outcome": "succeeded", "exit_code": 0})
OTHER = json.dumps({"nonce": "bb", "outcome": "succeeded"})
MARKS = {"none": None, "ours": OURS, "other": OTHER, "torn": OURS[:10], "empty": "", "list": "[]", "null": "null"}
NOT_OURS = sorted(MARKS.keys() - {"ours"})


@contextmanager
def lock(directory: Path, how: str) -> Iterator[None]:
    if how == "none":
        yield
        return
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT)
    os.write(descriptor, b"4711")
    if how == "held":
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def lost(reason: str) -> RunOutcome:
    return RunOutcome(state=RunState.CRASHED, reason=reason)


def judged(
    directory: Path, how: str, started: str, ending: str, *, same_boot: bool = True
) -> LiveSupervisor | RunOutcome | NotStarted:
    for name, kind in (("started", started), ("exit", ending)):
        content = MARKS[kind]
        if content is not None:
            (directory / name).write_text(content, encoding="utf-8")
    with lock(directory, how):
        return recover(directory, NONCE, same_boot=same_boot)


@pytest.mark.parametrize("ending", MARKS)
@pytest.mark.parametrize("started", MARKS)
def test_a_held_lock_means_that_the_supervisor_is_alive(tmp_path: Path, started: str, ending: str) -> None:
    assert judged(tmp_path, "held", started, ending) == LiveSupervisor(pid=4711, started=started == "ours")


@pytest.mark.parametrize("how", ["none", "free"])
@pytest.mark.parametrize("started", MARKS)
@pytest.mark.parametrize("same_boot", [True, False])
def test_the_exit_file_of_the_supervisor_is_the_outcome(
    tmp_path: Path, how: str, started: str, same_boot: bool
) -> None:
    found = judged(tmp_path, how, started, "ours", same_boot=same_boot)
    assert isinstance(found, RunOutcome)
    assert (found.state, found.exit_code) == (RunState.SUCCEEDED, 0)


@pytest.mark.parametrize("how", ["none", "free"])
@pytest.mark.parametrize("ending", NOT_OURS)
@pytest.mark.parametrize(
    ("same_boot", "words"), [(True, "the supervisor was killed"), (False, "the machine was restarted")]
)
def test_an_attempt_that_started_and_has_no_exit_file_is_lost(
    tmp_path: Path, how: str, ending: str, same_boot: bool, words: str
) -> None:
    found = judged(tmp_path, how, "ours", ending, same_boot=same_boot)
    assert found == lost(f"outcome unknown: {words} while the flow was running")


@pytest.mark.parametrize("how", ["none", "free"])
@pytest.mark.parametrize("ending", NOT_OURS)
@pytest.mark.parametrize("started", NOT_OURS)
@pytest.mark.parametrize("same_boot", [True, False])
def test_without_a_started_file_of_this_attempt_nothing_has_started(
    tmp_path: Path, how: str, started: str, ending: str, same_boot: bool
) -> None:
    assert judged(tmp_path, how, started, ending, same_boot=same_boot) == NotStarted()


def test_an_attempt_without_a_directory_has_not_started(tmp_path: Path) -> None:
    assert recover(tmp_path / "none", NONCE, same_boot=True) == NotStarted()


def test_recovery_does_not_change_the_lock(tmp_path: Path) -> None:
    judged(tmp_path, "free", "none", "none")
    with (tmp_path / "lock").open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(
    ("ending", "state", "reason", "result"),
    [
        ({"outcome": "succeeded", "exit_code": 0, "result": [1]}, RunState.SUCCEEDED, None, [1]),
        ({"outcome": "failed", "exit_code": 3}, RunState.FAILED, "exit code 3", None),
        ({"outcome": "failed", "exit_code": 1, "result": 5}, RunState.FAILED, "exit code 1", None),
        ({"outcome": "failed", "signal": 9, "exit_code": None}, RunState.FAILED, "ended by SIGKILL (signal 9)", None),
        ({"outcome": "failed", "exit_code": 1, "error": "ValueError: x"}, RunState.FAILED, "ValueError: x", None),
        (
            {"outcome": "failed", "reason": "could not be started: no"},
            RunState.FAILED,
            "could not be started: no",
            None,
        ),
        ({"outcome": "timed_out", "signal": 9}, RunState.TIMED_OUT, "it ran longer than its timeout", None),
        ({"outcome": "cancelled", "signal": 15}, RunState.CANCELLED, "its supervisor received SIGTERM", None),
        ({"outcome": "skipped", "exit_code": 0, "skipped": "no files"}, RunState.SKIPPED, "no files", None),
        ({"outcome": "skipped", "exit_code": 0, "skipped": None, "result": 1}, RunState.SKIPPED, None, None),
        ({"outcome": "skipped", "exit_code": 0, "skipped": "\ud800"}, RunState.SKIPPED, "\\ud800", None),
        ({"outcome": "skipped", "exit_code": 99}, RunState.SKIPPED, "exit code 99", None),
    ],
)
def test_an_outcome_has_a_reason(
    tmp_path: Path, ending: dict[str, object], state: RunState, reason: str | None, result: object
) -> None:
    mark = {"nonce": NONCE, "started_at": 1_780_000_000.25, "finished_at": 1_780_000_001.5, **ending}
    (tmp_path / "exit").write_text(json.dumps(mark), encoding="utf-8")
    found = recover(tmp_path, NONCE, same_boot=True)
    assert isinstance(found, RunOutcome)
    assert (found.state, found.reason, found.result) == (state, reason, result)
    assert found.finished_at == datetime.fromtimestamp(1_780_000_001.5, UTC)


def test_unprintable_characters_are_escaped_in_a_reason(tmp_path: Path) -> None:
    mark = {"nonce": NONCE, "outcome": "failed", "error": "ValueError: \ud800 \x1b[31mred \u202etxt"}
    (tmp_path / "exit").write_text(json.dumps(mark), encoding="utf-8")
    found = recover(tmp_path, NONCE, same_boot=True)
    assert isinstance(found, RunOutcome)
    assert found.reason == r"ValueError: \ud800 \x1b[31mred \u202etxt"


@pytest.mark.parametrize(
    "wrong",
    [
        {"outcome": "bogus"},
        {"outcome": "running"},
        {"outcome": None},
        {"outcome": ["failed"]},
        {"exit_code": "0"},
        {"exit_code": 1 << 70},
        {"signal": 1 << 70},
        {"signal": "x"},
        {"finished_at": 1e300},
        {"finished_at": float("nan")},
        {"left_behind": "many"},
        {"dropped_bytes": None},
        {"unenforced": 3},
    ],
)
def test_an_invalid_exit_file_is_ignored(tmp_path: Path, wrong: dict[str, Any]) -> None:
    ending = {"nonce": NONCE, "outcome": "succeeded", "exit_code": 0, **wrong}
    (tmp_path / "exit").write_text(json.dumps(ending), encoding="utf-8")
    found = recover(tmp_path, NONCE, same_boot=True)
    assert found == lost("outcome unknown: the exit file in the run directory is not valid")


@pytest.mark.parametrize("said", ["0", "9" * 31])
def test_a_held_lock_without_a_pid_still_counts_as_held(tmp_path: Path, said: str) -> None:
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    os.write(descriptor, said.encode())
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert recover(tmp_path, NONCE, same_boot=True) == LiveSupervisor(pid=None, started=False)
    os.close(descriptor)


@pytest.mark.parametrize("kind", ["fifo", "link", "endless"])
def test_files_that_no_supervisor_wrote_are_ignored_without_blocking(tmp_path: Path, kind: str) -> None:
    judged(tmp_path, "free", "ours", "none")
    place = tmp_path / "exit"
    if kind == "fifo":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero" if kind == "endless" else "started")
    found = recover(tmp_path, NONCE, same_boot=True)
    assert isinstance(found, RunOutcome)
    assert found.state is RunState.CRASHED


@pytest.mark.parametrize("how", ["none", "free", "held"])
@pytest.mark.parametrize("started", ["none", "ours"])
@pytest.mark.parametrize("same_boot", [True, False])
def test_an_attempt_that_is_alive_in_the_original_state_is_not_alive_in_a_copy(
    tmp_path: Path, how: str, started: str, same_boot: bool
) -> None:
    directory = tmp_path / "runs" / "r" / "1-aa"
    directory.mkdir(parents=True)
    inode = (tmp_path / "runs").stat().st_ino
    (directory / "run.json").write_text(json.dumps({"state": f"fd01-{inode + 1:x}"}), encoding="utf-8")
    assert judged(directory, how, started, "none", same_boot=same_boot) == lost(COPIED)
    (directory / "run.json").write_text(json.dumps({"state": f"fd02-{inode:x}"}), encoding="utf-8")
    assert judged(directory, how, started, "none", same_boot=same_boot) != lost(COPIED)


def test_a_copied_exit_file_is_the_outcome(tmp_path: Path) -> None:
    directory = tmp_path / "runs" / "r" / "1-aa"
    directory.mkdir(parents=True)
    (directory / "run.json").write_text(json.dumps({"state": "fd01-0"}), encoding="utf-8")
    found = judged(directory, "free", "ours", "ours")
    assert found == RunOutcome(state=RunState.SUCCEEDED, exit_code=0)
