"""A supervisor prints no traceback if it loses its controller or its directory, or if the disk is full."""

import os
import select
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.runs.executors.local.fork_server_client import ForkServer
from tests.conftest import PATIENCE_SECONDS, wait_until
from tests.unit.runs.conftest import Supervise, Supervised
from tests.unit.runs.test_orphan_reaper import children

pytestmark = pytest.mark.integration


def complaints(one: Supervised) -> str:
    file = one.directory / "supervisor.log"
    return file.read_text(encoding="utf-8") if file.exists() else ""


def close_at_once(one: Supervised) -> None:
    one.launch.wire.close()


def close_without_reading(one: Supervised) -> None:
    wait_until(lambda: (one.directory / "lock").exists() and (one.directory / "lock").read_bytes())
    assert select.select([one.launch.wire], [], [], PATIENCE_SECONDS)[0]
    one.launch.wire.close()


def close_after_half_a_word(one: Supervised) -> None:
    one.launch.wire.sendall(b"GO {")
    close_without_reading(one)


@pytest.mark.parametrize("end", [close_at_once, close_without_reading, close_after_half_a_word])
def test_a_supervisor_whose_controller_dies_before_go_prints_nothing(
    tmp_path: Path, start: str, shared_server: ForkServer, end: Callable[[Supervised], None]
) -> None:
    one = Supervised(tmp_path / "run", shared_server if start == "warm" else None)
    one.prepare(["touch", str(tmp_path / "canary")])
    launcher = one.launcher()
    one.launch = launcher.start(one.directory, {})
    one.launch.wire.setblocking(True)
    end(one)
    if one.launch.handle is not None:
        one.wait()
    if shared_server.pid is not None:
        wait_until(lambda: not children(shared_server.pid or 0))
    assert complaints(one) == ""
    assert not (tmp_path / "canary").exists()
    one.close()


def test_a_missing_run_directory_is_reported_in_at_most_one_line(supervise: Supervise) -> None:
    one = supervise(["sh", "-c", "while [ ! -e gate ]; do sleep 0.05; done"], cwd=Path("/tmp"), env={})
    log = one.directory.parent / "kept.log"
    if (one.directory / "supervisor.log").exists():
        os.link(one.directory / "supervisor.log", log)
    one.say(b"GO\n")
    wait_until((one.directory / "started").exists)
    shutil.rmtree(one.directory)
    one.signal(15)
    one.wait()
    assert not log.exists() or "Traceback" not in log.read_text(encoding="utf-8")


def test_a_write_error_is_reported_in_one_line(supervise: Supervise) -> None:
    one = supervise(["true"])
    (one.directory / "exit.tmp").unlink()
    (one.directory / "exit.tmp").mkdir()
    one.say(b"GO\n")
    one.wait()
    assert complaints(one) == "the supervisor failed: exit.tmp: Is a directory\n"
