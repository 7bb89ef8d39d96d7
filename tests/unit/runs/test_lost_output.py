"""A log that was shortened by a power cut states it once; no other file is changed."""

import json
import os
from pathlib import Path

import pytest

from controller.runs.lost_output import mark_lost_output
from tests.unit.runs.conftest import Supervise


def attempt(runs: Path, name: str, *, said: object, log: bytes | None) -> Path:
    directory = runs / name / "1-c0ffee"
    directory.mkdir(parents=True)
    (directory / "exit").write_text(json.dumps(said), encoding="utf-8")
    if log is not None:
        (directory / "log").write_bytes(log)
    return directory / "log"


@pytest.mark.parametrize("log", [b"", b"hello\n", b"hel", None], ids=["empty", "a line", "half a line", "no log"])
def test_a_log_that_lost_output_states_how_many_bytes(tmp_path: Path, log: bytes | None) -> None:
    path = attempt(tmp_path, "a", said={"log_bytes": 4000}, log=log)
    assert mark_lost_output(tmp_path) == 1
    here = log or b""
    assert path.read_bytes().startswith(here)
    assert path.read_bytes().splitlines()[-1] == (
        b"[controller: %d bytes of output were lost when the machine lost power]" % (4000 - len(here))
    )
    before = path.read_bytes()
    assert mark_lost_output(tmp_path) == 0
    assert path.read_bytes() == before


def test_a_complete_log_or_one_of_unknown_length_is_unchanged(tmp_path: Path) -> None:
    whole = [
        attempt(tmp_path, "a", said={"log_bytes": 6}, log=b"hello\n"),
        attempt(tmp_path, "b", said={}, log=b""),
        attempt(tmp_path, "c", said=[1], log=b""),
        attempt(tmp_path, "d", said={"log_bytes": "x"}, log=b""),
        attempt(tmp_path, "e", said={"log_bytes": -5}, log=b""),
    ]
    before = [path.read_bytes() for path in whole]
    assert mark_lost_output(tmp_path) == 0
    assert [path.read_bytes() for path in whole] == before


def test_nothing_outside_the_run_directory_is_written(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"")
    link = attempt(tmp_path / "runs", "a", said={"log_bytes": 100}, log=None)
    link.symlink_to(outside)
    pipe = attempt(tmp_path / "runs", "b", said={"log_bytes": 100}, log=None)
    os.mkfifo(pipe)
    assert mark_lost_output(tmp_path / "runs") == 0
    assert outside.read_bytes() == b""


def test_only_the_most_recently_ended_runs_are_checked(tmp_path: Path) -> None:
    old = attempt(tmp_path, "old", said={"log_bytes": 100}, log=b"")
    attempt(tmp_path, "new", said={"log_bytes": 100}, log=b"")
    os.utime(tmp_path / "old", (1, 1))
    assert mark_lost_output(tmp_path) == 1
    assert old.read_bytes() == b""


def test_a_missing_runs_directory_is_not_an_error(tmp_path: Path) -> None:
    assert mark_lost_output(tmp_path / "nothing") == 0


@pytest.mark.integration
@pytest.mark.parametrize("cap", [None, 1000])
def test_the_exit_file_records_the_length_of_the_log(supervise: Supervise, cap: int | None) -> None:
    one = supervise(["sh", "-c", "seq 2000"], log_bytes=cap)
    one.say(b"GO\n")
    one.end()
    ending = json.loads((one.directory / "exit").read_bytes())
    assert ending["log_bytes"] == (one.directory / "log").stat().st_size > 0
