"""The log of a run has its output unchanged up to the cap, and beyond it head and tail. The flow never notices."""

import errno
import os
import random
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from controller.runs.executors.local.supervisor import log_capture
from controller.runs.executors.local.supervisor.log_capture import LogCapture
from tests.conftest import wait_until
from tests.unit.runs.conftest import Supervise
from tests.unit.runs.test_supervisor import sh

integration = pytest.mark.integration


def marker(dropped: int) -> bytes:
    return b"\n[controller: %d bytes of output were dropped here]\n" % dropped


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("seed", range(30))
def test_head_and_tail_are_kept_and_the_rest_is_counted(directory: Path, seed: int) -> None:
    choose = random.Random(seed)
    limit = choose.choice([1, 2, 10, 11, 100])
    data = choose.randbytes(choose.choice([0, 1, limit // 2, limit, limit + 1, 3 * limit, 1000]))
    log = LogCapture(limit)
    rest = data
    while rest:
        count = choose.choice([1, 2, 3, 7, 300])
        log.write(rest[:count])
        rest = rest[count:]
    dropped = log.close()
    found = (directory / "log").read_bytes()
    assert dropped == max(0, len(data) - limit)
    assert found == (data if not dropped else data[: limit // 2] + marker(dropped) + data[-(limit - limit // 2) :])
    assert not (directory / "log.tail").exists()


@pytest.mark.parametrize("room", [0, 3, 20, 50, 70])
def test_a_full_disk_loses_log_output_without_an_error(
    directory: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """The disk as `capture` sees it: it accepts a number of new bytes, and overwrites existing ones."""
    left = room

    def write(descriptor: int, data: bytes) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, "full")
        written = os.write(descriptor, data[:left])
        left -= written
        return written

    def pwrite(descriptor: int, data: bytes, at: int) -> int:
        nonlocal left
        fresh = max(0, at + len(data) - os.fstat(descriptor).st_size)
        count = len(data) - max(0, fresh - left)
        if count == 0:
            raise OSError(errno.ENOSPC, "full")
        written = os.pwrite(descriptor, data[:count], at)
        left -= min(fresh, left)
        return written

    fake = type("Os", (), {**vars(os), "write": staticmethod(write), "pwrite": staticmethod(pwrite)})
    monkeypatch.setattr(log_capture, "os", fake)
    data = bytes(range(200))
    log = LogCapture(80)
    for at in range(0, 200, 7):
        log.write(data[at : at + 7])
    left = 1000  # somebody has made room before the end
    dropped = log.close()
    found = (directory / "log").read_bytes()
    head, _, tail = found.partition(marker(dropped))
    assert data.startswith(head)
    assert data.endswith(tail) or room < 40
    assert dropped == 200 - len(head) - len(tail)


@integration
def test_the_log_can_be_followed_while_the_flow_runs(supervise: Supervise) -> None:
    one = supervise(sh("echo one; while [ ! -e go ]; do sleep 0.02; done; echo two"))
    one.say(b"GO\n")
    wait_until(lambda: one.directory.joinpath("log").exists() and one.log() == "one\n")
    (one.directory / "go").touch()
    one.end()
    assert one.log() == "one\ntwo\n"


@integration
def test_endless_output_neither_blocks_nor_kills_the_flow_nor_fills_the_disk(supervise: Supervise) -> None:
    script = "import os\nfor n in range(5000): os.write(1, b'%08d' % n * 1000)\nos.write(2, b'the end')"
    one = supervise([sys.executable, "-I", "-S", "-c", script], log_bytes=100_000)
    one.say(b"GO\n")
    ending = one.end()
    assert ending == {"outcome": "succeeded", "exit_code": 0, "signal": None, "dropped_bytes": 40_000_007 - 100_000}
    log = (one.directory / "log").read_bytes()
    assert log.startswith(b"00000000" * 1000)
    assert log.endswith(b"00004999the end")
    assert len(log) == 100_000 + len(marker(40_000_007 - 100_000))
    assert not (one.directory / "log.tail").exists()


@integration
def test_a_flow_that_closes_its_output_continues(supervise: Supervise) -> None:
    one = supervise(sh("echo before; exec >&- 2>&-; sleep 0.1; test ! -e nothing"))
    one.say(b"GO\n")
    assert one.end()["outcome"] == "succeeded"
    assert one.log() == "before\n"


@integration
def test_the_outcome_is_recorded_when_the_log_cannot_be_written(supervise: Supervise) -> None:
    script = "head -c 300000 /dev/zero; while [ ! -e go ]; do sleep 0.02; done; head -c 300000 /dev/zero; exit 3"
    one = supervise(sh(script))
    # No file of the supervisor's may grow beyond 100 kB: the writes fail as on a full disk.
    resource.prlimit(one.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    one.say(b"GO\n")
    (one.directory / "go").touch()
    ending = one.end()
    assert (ending["outcome"], ending["exit_code"]) == ("failed", 3)
    assert 400_000 <= ending["dropped_bytes"] < 600_000
    assert (one.directory / "log").stat().st_size <= 100_000


@integration
@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root can mount a small file system")
def test_on_a_full_file_system_the_flow_finishes_and_its_outcome_is_recorded(supervise: Supervise) -> None:
    mounted: list[Path] = []

    def on_small_disk(directory: Path) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "none", directory], check=True)
        mounted.append(directory)

    try:
        one = supervise(sh("head -c 1000000 /dev/zero; exit 4"), on_directory=on_small_disk)
        one.say(b"GO\n")
        ending = one.end()
        assert (ending["outcome"], ending["exit_code"]) == ("failed", 4)
        assert ending["dropped_bytes"] > 800_000
        one.close()
    finally:
        for directory in mounted:
            subprocess.run(["umount", "--lazy", directory], check=True)
