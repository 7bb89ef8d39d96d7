"""Logs deleted while they are read: the response is an empty log or a 404, and never an internal error."""

import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete

from controller.model.runs import Run, RunId, RunState
from controller.queries.run_logs import log_chunk, read_range, tail_offset, with_sizes
from controller.runs.log_files import log_files
from controller.store import runs, schema
from tests.unit.api.conftest import Served, messages

OLD = RunId("01a20a24-34e0-7000-97e2-82f65b2a00a9")

COMES_AND_GOES = """
import os, shutil, sys
print("begun", flush=True)
while True:
    for number in (1, 2, 3):
        os.makedirs(f"{sys.argv[1]}/{number}-0000")
        with open(f"{sys.argv[1]}/{number}-0000/log", "w") as log:
            log.write("line\\n" * 10)
    shutil.rmtree(sys.argv[1])
"""


def test_a_run_whose_log_was_deleted_has_an_empty_log(served: Served) -> None:
    run = served.run("speak", text="hello\n")["id"]
    shutil.rmtree(served.state / "runs" / run)
    told = served.get(f"/api/v1/runs/{run}/logs").json()
    assert told == {"offset": 0, "next_offset": 0, "size": 0, "text": ""}
    raw = served.get(f"/api/v1/runs/{run}/logs/raw")
    assert (raw.status, raw.body) == (200, b"")
    assert [event for event, _, _ in messages(served, f"/api/v1/runs/{run}/logs/stream")] == ["end"]
    assert served.get(f"/runs/{run}", Accept="text/html").status == 200


def test_a_log_may_be_deleted_at_any_moment_while_it_is_read(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COMES_AND_GOES, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"begun\n"
            for _ in range(3000):
                files = log_files(tmp_path, "run")
                assert [path.parent.name for path in files] == sorted(path.parent.name for path in files)
                found = log_chunk(files, 0, 1000)
                assert found.next_offset <= found.size
                tail_offset(files, 3)
        finally:
            other.kill()


def test_a_file_deleted_between_two_reads_is_read_as_empty(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"line\n")
    sizes = with_sizes([log])
    log.unlink()
    assert read_range(sizes, 0, 100) == b""


def test_a_stream_ends_when_its_run_is_deleted(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    waits(served)
    told = messages(served, f"/api/v1/runs/{OLD}/logs/stream")
    assert next(told)[2]["text"] == "hello\n"
    with served.controller._store.write() as tx:
        tx.connection.execute(delete(schema.runs).where(schema.runs.c.id == OLD))
    assert list(told) == []
    assert served.get(f"/api/v1/runs/{OLD}/logs/stream").status == 404
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def waits(served: Served) -> Run:
    """Create a run with output that will be retried in a year."""
    done = served.run("speak", text="hello\n")["id"]
    shutil.copytree(served.state / "runs" / done, served.state / "runs" / OLD)
    with served.controller._store.write() as tx:
        found = runs.find(tx, done)
        assert found is not None
        assert found.finished_at is not None
        later = found.finished_at + timedelta(days=365)
        made = replace(found, id=OLD, state=RunState.RETRYING, not_before=later, finished_at=None)
        runs.insert_all(tx, [made])
    return made
