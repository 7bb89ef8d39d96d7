"""The supervisor records when each line arrived, without more than one small write for each piece of output."""

import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.runs.executors.local.supervisor import log_times
from controller.runs.executors.local.supervisor.log_capture import LogCapture
from controller.runs.executors.local.supervisor.log_times import INTERVAL_MS, LATE_RECORDS, MAGIC, NAME, RECORD, STAGE
from controller.runs.log_times import LogTimes
from tests.conftest import wait_until
from tests.unit.runs.conftest import Supervise
from tests.unit.runs.test_supervisor import sh

START = 1_780_000_000_000


class Wall:
    """A wall clock that a test sets, in milliseconds."""

    now = START

    def time_ns(self) -> int:
        return self.now * 1_000_000


@pytest.fixture
def wall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wall:
    monkeypatch.chdir(tmp_path)
    clock = Wall()
    monkeypatch.setattr(log_times, "time", clock)
    return clock


def at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp((START + milliseconds) / 1000, UTC)


def test_each_piece_of_output_has_the_time_at_which_it_arrived(wall: Wall) -> None:
    log = LogCapture(1000)
    for delay in (0, 3, 2000, -500):
        wall.now = START + delay
        log.write(b"0123456789\n")
    log.close()
    times = LogTimes(Path("log"))
    # The second piece arrived within the interval of the first record; the clock was set back before the last.
    assert [times.time_at(offset) for offset in (0, 10, 11, 22, 32, 33, 99)] == [
        *[at(0)] * 3,
        *[at(2000)] * 2,
        *[at(-500)] * 2,
    ]
    assert times.offset_since(at(1)) == 22
    assert times.offset_since(at(2001)) is None


def test_output_after_the_cap_has_its_time_at_its_place_in_the_log(wall: Wall) -> None:
    log = LogCapture(40)
    for number in range(100):
        wall.now = START + 1000 * number
        log.write(b"line %04d\n" % number)
    assert log.close() == 960
    content = Path("log").read_bytes()
    times = LogTimes(Path("log"))
    for number in (0, 1, 98, 99):
        assert times.time_at(content.index(b"line %04d" % number)) == at(1000 * number)


def test_the_file_is_bounded_however_often_a_flow_prints(wall: Wall) -> None:
    log = LogCapture(1 << 30)
    for _ in range(5 * STAGE):
        wall.now += INTERVAL_MS
        log.write(b"x")
    log.close()
    records = (Path(NAME).stat().st_size - len(MAGIC)) // RECORD.size
    assert STAGE < records < 3 * STAGE
    late = LogCapture(2)
    for _ in range(5 * LATE_RECORDS):
        wall.now += 10_000
        late.write(b"x")
    late.close()
    assert Path(NAME).stat().st_size < len(MAGIC) + (LATE_RECORDS + 2) * RECORD.size


def test_a_piece_of_output_costs_at_most_one_small_write(wall: Wall, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []

    def write(descriptor: int, data: bytes) -> int:
        writes.append(len(data))
        return os.write(descriptor, data)

    monkeypatch.setattr(log_times, "os", type("Os", (), {**vars(os), "write": staticmethod(write), "fsync": None}))
    log = LogCapture(1 << 20)
    for number in range(1000):
        wall.now += number % 3  # 333 pieces arrive in one millisecond, and all in one second
        log.write(b"line %04d\n" % number)
    log.close()
    assert len(writes) <= 1 + 1000 // INTERVAL_MS
    assert set(writes) == {len(MAGIC) + RECORD.size, RECORD.size}


def test_a_disk_that_refuses_the_times_loses_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(NAME).mkdir()
    log = LogCapture(10)
    log.write(b"12345")
    log.write(b"67890")
    assert log.close() == 0
    assert Path("log").read_bytes() == b"1234567890"
    assert not LogTimes(Path("log"))


@given(content=st.binary(max_size=80), cut=st.integers(0, 80), has_magic=st.booleans())
def test_any_content_of_the_file_is_read(tmp_path_factory: pytest.TempPathFactory, **case: object) -> None:
    content, cut, has_magic = case["content"], case["cut"], case["has_magic"]
    assert isinstance(content, bytes)
    assert isinstance(cut, int)
    directory = tmp_path_factory.getbasetemp() / "any-times"
    directory.mkdir(exist_ok=True)
    whole = RECORD.pack(0, START) + RECORD.pack(5, START + 9) + content
    (directory / NAME).write_bytes((MAGIC if has_magic else b"controller-lt 9\n") + whole[:cut])
    times = LogTimes(directory / "log")
    assert times.time_at(0) in (None, at(0))
    assert times.offset_since(at(0) + timedelta(days=1)) is None or content
    for offset in (0, 4, 5, 1 << 62):
        times.time_at(offset)
    if not has_magic or cut < RECORD.size:
        assert not times
        assert times.time_at(5) is None


@pytest.mark.integration
def test_a_killed_supervisor_leaves_the_log_and_its_times(supervise: Supervise) -> None:
    supervised = supervise(sh("echo one; sleep 0.05; echo two; exec sleep 600"))
    supervised.say(b"GO\n")
    wait_until(lambda: (supervised.directory / "log").exists() and supervised.log() == "one\ntwo\n")
    os.kill(supervised.pid, signal.SIGKILL)
    times = LogTimes(supervised.directory / "log")
    first, second = times.time_at(0), times.time_at(4)
    assert first is not None
    assert second is not None
    assert first < second
    supervised.close()


@pytest.mark.integration
def test_a_flow_without_output_has_no_file_of_times(supervise: Supervise) -> None:
    supervised = supervise([sys.executable, "-I", "-S", "-c", ""])
    supervised.say(b"GO\n")
    supervised.end()
    assert not (supervised.directory / NAME).exists()
