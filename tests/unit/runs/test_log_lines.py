"""Lines of a log by number and by search agree with the whole text, whatever bytes it has."""

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.clock import SystemClock
from controller.errors import UsageError
from controller.runs import log_lines, log_scan
from controller.runs.executors.local.supervisor.log_times import MAGIC, NAME, RECORD
from controller.runs.log_lines import BLOCK_BYTES, MAX_TEXT_BYTES, LogIndexes, RunLog
from controller.runs.log_scan import LEVELS, level_of
from controller.runs.log_search import LogSearcher
from tests.conftest import ManualClock

PIECE = st.sampled_from(
    [
        b"",
        b"a",
        b"\r",
        b"\xff\xfe",
        "gr\u00fc\u2028".encode(),
        b"\x1b[31mred\x1b[0m",
        b"\x1b]0;t",
        b"x" * 9000,
        b"y" * 40_000,
    ]
)
CONTENT = st.lists(PIECE | st.just(b"\n") | st.just(b"\r\n"), max_size=30).map(b"".join) | st.binary(max_size=200)


def plain_lines(content: bytes) -> list[bytes]:
    """The lines in the simple way: each ends with a line feed, the last one perhaps without."""
    lines = content.split(b"\n")
    return [line.removesuffix(b"\r") for line in (lines if lines[-1] else lines[:-1])]


class Directory:
    """A directory of runs that has one run with some attempts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.indexes = LogIndexes()

    def write(self, number: int, content: bytes) -> Path:
        log = self.path / "run" / f"{number}-0000" / "log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(content)
        return log

    def log(self) -> RunLog:
        return RunLog(self.indexes, self.path, "run", complete=True)


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Directory:
    return Directory(tmp_path_factory.mktemp("logs"))


@given(content=CONTENT, first=st.integers(-12, 12), count=st.integers(1, 12))
def test_lines_by_number_are_those_of_the_whole_text(shared: Directory, content: bytes, first: int, count: int) -> None:
    shared.write(1, content)
    shared.indexes = LogIndexes()
    lines = plain_lines(content)
    log = shared.log()
    assert log.total_lines == len(lines)
    begin = max(1, len(lines) + 1 + first if first < 0 else first)
    window = log.window(first, count)
    assert [line.number for line in window.lines] == list(range(begin, min(begin + count, len(lines) + 1)))
    for line in window.lines:
        content = lines[line.number - 1]
        assert line.left_out == max(0, len(content) - MAX_TEXT_BYTES)
        assert line.text == content[:MAX_TEXT_BYTES].decode("utf-8", "replace")


@given(pieces=st.lists(CONTENT, min_size=1, max_size=4))
def test_an_index_of_a_growing_log_equals_a_new_one(shared: Directory, pieces: list[bytes]) -> None:
    shared.write(1, b"")
    shared.indexes = LogIndexes()
    for end in range(1, len(pieces) + 1):
        content = b"".join(pieces[:end])
        with (shared.path / "run" / "1-0000" / "log").open("r+b") as stream:  # the same file, longer
            stream.write(content)
            stream.truncate()
        grown = shared.log().window(-5, 5)
        assert grown.total_lines == len(plain_lines(content))
        index = RunLog(LogIndexes(), shared.path, "run", complete=True)
        assert grown == index.window(-5, 5)


def test_a_line_in_a_long_log_is_read_with_few_bytes(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    directory.write(1, b"".join(b"line %06d of a long log\n" % number for number in range(200_000)))
    assert directory.log().total_lines == 200_000
    sizes: list[int] = []

    def pread(descriptor: int, size: int, offset: int) -> bytes:
        data = os.pread(descriptor, size, offset)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(log_lines, "os", type("Os", (), {**vars(os), "pread": staticmethod(pread)}))
    [line] = directory.log().window(149_871, 1).lines
    assert line.text == "line 149870 of a long log"
    assert sum(sizes) < 4 * BLOCK_BYTES
    selected = directory.log().select([5, 6, 100_000, 200_000, 200_001]).lines
    assert [line.text[5:11] for line in selected] == ["000004", "000005", "099999", "199999"]


def test_a_long_line_is_cut_and_its_rest_is_counted(directory: Directory) -> None:
    directory.write(1, b"z" * 5_000_000 + b"\nnext\n")
    long, following = directory.log().window(1, 2).lines
    assert (len(long.text), long.left_out) == (MAX_TEXT_BYTES, 5_000_000 - MAX_TEXT_BYTES)
    assert following.text == "next"


def test_attempts_have_ranges_of_lines_with_a_line_between_them(directory: Directory) -> None:
    first = directory.write(1, b"one\ntwo")
    (first.parent / "exit").write_text('{"nonce": "0000", "outcome": "failed"}')
    second = directory.write(2, b"three\n")
    (second.parent / "started").write_text('{"nonce": "0000", "at": 1780000000}')
    lines = directory.log().window(1, 10)
    assert [line.text for line in lines.lines] == [
        "one",
        "two",
        "[controller: attempt 2, started 2026-05-28 20:26:40 UTC, after attempt 1 failed]",
        "three",
    ]
    assert [(a.number, a.state, a.first_line, a.lines) for a in lines.attempts] == [
        (1, "failed", 1, 2),
        (2, "crashed", 4, 1),
    ]
    assert lines.attempts[1].started_at == datetime(2026, 5, 28, 20, 26, 40, tzinfo=UTC)
    assert [line.number for line in directory.log().window(1, 10, attempt=2).lines] == [4]
    assert [line.number for line in directory.log().window(-1, 10, attempt=1).lines] == [2]
    assert directory.log().window(1, 10, attempt=3).lines == []
    running = RunLog(directory.indexes, directory.path, "run", complete=False)
    assert [attempt.state for attempt in running.attempts()] == ["failed", "running"]


def test_lines_have_their_times_and_levels(directory: Directory) -> None:
    log = directory.write(1, b"INFO:root:a\nprinted\n\x1b[31mERROR\x1b[0m b\n")
    log.with_name(NAME).write_bytes(MAGIC + RECORD.pack(0, 1_780_000_000_000) + RECORD.pack(20, 1_780_000_000_250))
    lines = directory.log().window(1, 3).lines
    assert [(line.level, line.time and line.time.microsecond // 1000) for line in lines] == [
        ("INFO", 0),
        (None, 0),
        ("ERROR", 250),
    ]


FORMATS = [
    ("22:30:01.123 | WARNING | load-3 | slow", "WARNING"),
    ("2026-06-01 12:00:00,123 - my.logger - ERROR - no connection", "ERROR"),
    ("2026-06-01T12:00:00.123Z INFO ready", "INFO"),
    ("2026-06-01T12:00:00+02:00 [FATAL] gone", "CRITICAL"),
    ("2026-01-31 09:00:00.000 CET INFO    Listening  url=x", "INFO"),
    ("2026-01-31 09:00:00.000+01:00 DEBUG   x", "DEBUG"),
    ("2026-06-01 12:00:00 INFO ERROR is only a word here", "INFO"),
    ("INFO:root:ERROR in the message", "INFO"),
    ("[2026-06-01 12:00:00] [WARN] x", "WARNING"),
    ("2026-06-01 12:00:00 [error    ] event key=1", "ERROR"),
    ('{"time": "2026-06-01", "level": "critical", "message": "x"}', "CRITICAL"),
    ("time=2026-06-01 level=warn msg=x", "WARNING"),
    ("2026-06-01 12:00:00.000 | SUCCESS  | module:main:3 - done", "INFO"),
    ("Traceback (most recent call last):", "ERROR"),
    ("Found an ERROR in the file", None),
    ("INFORMATION for you", None),
    ("Error: lower case", None),
    ("", None),
]


@pytest.mark.parametrize(("line", "level"), FORMATS)
def test_the_level_of_a_line_is_found_in_common_formats(line: str, level: str | None) -> None:
    assert level_of(line) == level


QUERY = st.sampled_from(["a", "red", "x", "y", "ü", "\u2028", "RED", "xx", "\ufffd", "t"])


@given(content=CONTENT, query=QUERY, ignore_case=st.booleans())
def test_a_search_finds_the_same_lines_as_a_search_of_each_line(
    shared: Directory, content: bytes, query: str, *, ignore_case: bool
) -> None:
    shared.write(1, content)
    shared.indexes = LogIndexes()
    texts = [log_scan.plain_text(line.decode("utf-8", "replace")) for line in plain_lines(content)]
    flags = re.IGNORECASE if ignore_case else 0
    expected = [n for n, text in enumerate(texts, start=1) if re.search(re.escape(query), text, flags)]
    searcher = LogSearcher(SystemClock())
    result = searcher.search_text(shared.log(), query, ignore_case=ignore_case, attempt=None, limit=3)
    assert (result.numbers, result.count) == (expected, len(expected))
    assert [line.number for line in result.lines] == expected[:3]
    pattern = re.compile(re.escape(query), flags)
    assert log_scan.scan(shared.log().sections(), log_scan.find_expression(pattern)).numbers == expected


@given(content=CONTENT)
def test_the_blocks_of_a_search_are_the_whole_text(shared: Directory, content: bytes) -> None:
    shared.write(1, content)

    def find_all(block: str) -> range:
        return range(block.count("\n") + (not block.endswith("\n")))

    everything = log_scan.scan(shared.log().sections(), find_all)
    assert everything.numbers == list(range(1, len(plain_lines(content)) + 1))


def test_a_search_covers_all_attempts_and_counts_more_hits_than_it_lists(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write(1, b"hit\nmiss\n" * 1000)
    directory.write(2, b"miss\nhit")
    searcher = LogSearcher(SystemClock())
    result = searcher.search_text(directory.log(), "hit", ignore_case=False, attempt=None, limit=0)
    assert (result.count, result.numbers[-1], result.total_lines) == (1001, 2003, 2003)
    result = searcher.search_text(directory.log(), "hit", ignore_case=False, attempt=2, limit=1)
    assert (result.numbers, result.lines[0].attempt) == ([2003], 2)
    monkeypatch.setattr(log_scan, "MAX_NUMBERS", 10)
    result = searcher.search_text(directory.log(), "hit", ignore_case=False, attempt=None, limit=20)
    assert (result.count, result.numbers) == (1001, list(range(1, 20, 2)))
    assert len(result.lines) == 10


def test_a_search_for_errors_finds_tracebacks_with_all_their_lines(directory: Directory) -> None:
    text = b"""start
10:00:00.000 | INFO    | load-1 | begin
Traceback (most recent call last):
  File "a.py", line 3, in <module>
    fail()
KeyError: 'amount'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 5, in <module>
ValueError: bad
after
10:00:01.000 | ERROR   | load-1 | failed
"""
    directory.write(1, text)
    searcher = LogSearcher(SystemClock())

    def numbers(*levels: str) -> list[int]:
        return searcher.search_levels(directory.log(), levels, attempt=None, limit=0).numbers

    assert numbers("ERROR") == [3, 4, 5, 6, 10, 11, 12, 14]
    assert numbers("INFO") == [2]
    assert numbers(*LEVELS) == [2, 3, 4, 5, 6, 10, 11, 12, 14]
    assert numbers("DEBUG") == []


def test_an_expression_is_searched_in_a_process_that_cannot_take_long(
    directory: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory.write(1, b"id=17\n\x1b[31mid\x1b[0m=18\nID=19\n" + b"a" * 40 + b"!\n")
    searcher = LogSearcher(SystemClock())

    def numbers(expression: str, *, ignore_case: bool = False) -> list[int]:
        result = searcher.search_expression(directory.log(), expression, ignore_case=ignore_case, attempt=None, limit=0)
        return result.numbers

    assert numbers(r"^id=\d+$") == [1, 2]
    assert numbers(r"^id=\d+$", ignore_case=True) == [1, 2, 3]
    with pytest.raises(UsageError, match="is not a regular expression"):
        numbers("(")
    monkeypatch.setattr("controller.runs.log_search.SECONDS", 1)
    with pytest.raises(UsageError, match="needs more than 1 seconds or too much memory") as failed:
        numbers("^(a+)+$")
    assert failed.value.hint is not None


def test_a_search_that_takes_too_long_ends(directory: Directory) -> None:
    directory.write(1, b"a\n" * 300_000)

    class Slow(ManualClock):
        seconds = 0.0

        def monotonic(self) -> float:
            self.seconds += 3
            return self.seconds

    with pytest.raises(UsageError, match="longer than 5 seconds"):
        LogSearcher(Slow()).search_text(directory.log(), "b", ignore_case=False, attempt=None, limit=0)


def test_a_deleted_log_has_no_lines(directory: Directory) -> None:
    path = directory.write(1, b"a\n")
    log = directory.log()
    path.unlink()
    assert log.window(1, 5).lines == []
    assert LogSearcher(SystemClock()).search_text(log, "a", ignore_case=False, attempt=None, limit=5).count == 0
    assert directory.log().window(1, 5).total_lines == 0
