"""`runs logs`: what a run printed, from where one asks for it."""

import io
import os
import re
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.cli.log_output import LogWriter, MatchingLines, TerminalFilter
from controller.cli.log_printer import _start_since, _tail_start
from controller.runs.executors.local.supervisor.log_times import MAGIC, NAME, RECORD
from tests.unit.cli.conftest import Followed, OnTerminal

SEPARATOR = re.compile(r"\[controller: attempt 2, started [0-9: -]{19} UTC, after attempt 1 failed\]\n")
LINES = st.lists(st.sampled_from([b"", b"a", b"bb\r", b"\xff" * 3, b"x" * 70_000]), max_size=6)


def last_lines(content: bytes, count: int) -> bytes:
    """The plain way: a line ends with its line feed, the last one perhaps without."""
    lines = content.split(b"\n")
    ended = [line + b"\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    return b"".join(ended[max(0, len(ended) - count) :]) if count else b""


@given(lines=LINES, is_ended=st.booleans(), count=st.integers(0, 8))
def test_tail_prints_the_last_lines(lines: list[bytes], is_ended: bool, count: int) -> None:
    content = b"\n".join(lines) + (b"\n" if is_ended and lines else b"")
    start, found = _tail_start(io.BytesIO(content), count)
    assert content[start:] == last_lines(content, count)
    shown = content[start:]
    assert found == shown.count(b"\n") + (shown[-1:] not in (b"", b"\n"))


def test_a_log_is_printed_completely_or_in_part(followed: Followed) -> None:
    run = followed("trigger", "fails", "--wait", "-o", "json").json["run_id"]
    assert followed("runs", "logs", run).out == "1\n2\n3\n4\n5\n"
    assert followed("runs", "logs", run[-6:], "--tail", "2").out == "4\n5\n"
    assert followed("runs", "logs", run, "--tail", "0").out == ""
    assert followed("runs", "logs", run, "--tail", "99").out == "1\n2\n3\n4\n5\n"


def test_tail_counts_the_lines_of_all_attempts(followed: Followed) -> None:
    document = "name: again\ncommand: [sh, -c, 'seq 3; exit 1']\nretries: {limit: 1, delay: 1s, jitter: 0}\n"
    followed.commit({"deployments/again.yaml": document})
    run = followed("trigger", "again", "--wait", "-o", "json").json["run_id"]
    whole = followed("runs", "logs", run).out
    assert len(whole.splitlines()) == 7
    for count in range(9):
        last = whole.splitlines(keepends=True)[max(0, 7 - count) :] if count else []
        assert followed("runs", "logs", run, "--tail", str(count)).out == "".join(last), count


def test_logs_are_printed_byte_for_byte(followed: Followed) -> None:
    document = "name: raw\ncommand: [printf, 'a\\033[31mb\\r\\n']\n"
    followed.commit({"deployments/raw.yaml": document})
    run = followed("trigger", "raw", "--wait", "-o", "json").json["run_id"]
    assert "\x1b[31mb" in followed("runs", "logs", run).out


def test_following_ends_with_the_run(followed: Followed, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    script = f"echo one; while [ ! -e {gate} ]; do sleep 0.05; done; echo two"
    followed.commit({"deployments/opened.yaml": f"name: opened\ncommand: [sh, -c, '{script}']\n"})
    run = followed("trigger", "opened", "-o", "json").json["run_id"]
    opener = threading.Timer(0.3, gate.touch)
    opener.start()
    assert followed("runs", "logs", run, "--follow").out == "one\ntwo\n"
    opener.join()


def test_tail_limits_only_existing_lines_when_following(followed: Followed, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    script = f"[ $CONTROLLER_ATTEMPT = 2 ] || while [ ! -e {gate} ]; do sleep 0.05; done; seq 5; exit 1"
    document = f"name: twice\ncommand: [sh, -c, '{script}']\nretries: {{limit: 1, delay: 1s, jitter: 0}}\n"
    followed.commit({"deployments/twice.yaml": document})
    run = followed("trigger", "twice", "-o", "json").json["run_id"]
    opener = threading.Timer(0.5, gate.touch)
    opener.start()
    first, second = SEPARATOR.split(followed("runs", "logs", run, "--follow", "--tail", "1").out)
    assert (first, second) == ("1\n2\n3\n4\n5\n", "1\n2\n3\n4\n5\n")
    opener.join()


def test_attempts_are_separated_by_a_line_with_number_time_and_reason(followed: Followed) -> None:
    script = "printf $CONTROLLER_ATTEMPT; [ $CONTROLLER_ATTEMPT != 2 ] || echo; exit 1"
    document = f"name: thrice\ncommand: [sh, -c, '{script}']\nretries: {{limit: 2, delay: 1s, backoff: 1, jitter: 0}}\n"
    followed.commit({"deployments/thrice.yaml": document})
    run = followed("trigger", "thrice", "--wait", "-o", "json").json["run_id"]
    printed = followed("runs", "logs", run).out
    lines = printed.splitlines()
    assert [lines[0], lines[2], lines[4]] == ["1", "2", "3"]
    for number, line in ((2, lines[1]), (3, lines[3])):
        expected = rf"\[controller: attempt {number}, started [0-9: -]{{19}} UTC, after attempt {number - 1} failed\]"
        assert re.fullmatch(expected, line)
    assert followed("trigger", "thrice", "--logs").out.count("[controller: attempt ") == 2


def test_logs_of_one_attempt_and_of_matching_lines(followed: Followed) -> None:
    script = "echo attempt $CONTROLLER_ATTEMPT; seq 12; printf end1; exit 1"
    document = f"name: twice\ncommand: [sh, -c, '{script}']\nretries: {{limit: 1, delay: 1s, jitter: 0}}\n"
    followed.commit({"deployments/twice.yaml": document})
    run = followed("trigger", "twice", "--wait", "-o", "json").json["run_id"]
    numbers = "".join(f"{number}\n" for number in range(1, 13))
    assert followed("runs", "logs", run, "--attempt", "1").out == f"attempt 1\n{numbers}end1"
    assert followed("runs", "logs", run, "--attempt", "2", "--tail", "2").out == "12\nend1"
    assert followed("runs", "logs", run, "--attempt", "2", "--grep", "^[a-z]*1$").out == "1\nend1\n"
    assert followed("runs", "logs", run, "--grep", "controller: attempt").out.count("\n") == 1
    late = followed("runs", "logs", run, "--attempt", "3")
    assert (late.code, late.err) == (2, f"error: Run {run} has had 2 attempts.\n")
    assert followed("runs", "logs", run, "--grep", "(").code == 2


def test_lines_are_printed_with_their_times_and_only_those_since_a_time(
    followed: Followed, on_terminal: OnTerminal
) -> None:
    script = "echo first $CONTROLLER_ATTEMPT; printf last; exit 1"
    document = f"name: stamped\ncommand: [sh, -c, '{script}']\nretries: {{limit: 1, delay: 1s, jitter: 0}}\n"
    followed.commit({"deployments/stamped.yaml": document})
    run = followed("trigger", "stamped", "--wait", "-o", "json").json["run_id"]
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}(?: UTC|[+-]\d\d:\d\d)  "
    printed = followed("runs", "logs", run, "-t").out
    assert re.sub(stamp, "@", printed).replace(SEPARATOR.search(printed)[0], "|") == "@first 1\n@last\n|@first 2\n@last"  # type: ignore[index]
    matching = followed("runs", "logs", run, "--timestamps", "--grep", "^first|^.controller").out
    assert re.sub(stamp, "@", matching).splitlines()[::2] == ["@first 1", "@first 2"]
    assert followed("runs", "logs", run, "--since", "1h").out == followed("runs", "logs", run).out
    assert followed("runs", "logs", run, "--since", "2030-01-01").out == ""
    shown = on_terminal(["runs", "logs", run, *followed.place], {"TERM": "xterm"})
    heading = r"──── attempt 2 of 2, \d\d:\d\d:\d\d, after attempt 1 failed ────"
    assert re.fullmatch(f"first 1\r\nlast\r\n{heading}\r\nfirst 2\r\nlast", shown)
    [log, _] = sorted(followed.state.glob(f"runs/{run}/*/log"))
    os.utime(log, (0, 0))
    (log.parent / "log.times").unlink()
    assert followed("runs", "logs", run, "--since", "1h").out.endswith("first 2\nlast")
    assert "first 1" not in followed("runs", "logs", run, "--since", "1h").out
    assert followed("runs", "logs", run, "--since", "1h", "--tail", "1").out == "last"
    assert re.sub(stamp, "@", followed("runs", "logs", run, "-t").out).startswith(" " * 25)
    assert followed("runs", "logs", run, "--since", "soon").code == 2


def test_since_begins_with_the_first_line_that_arrived_then(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"one\ntwo\nthree\n")
    (tmp_path / NAME).write_bytes(MAGIC + RECORD.pack(0, 1000) + RECORD.pack(6, 2000) + RECORD.pack(8, 3000))
    starts = [_start_since(log, datetime.fromtimestamp(second, UTC)) for second in (1, 2, 3, 4)]
    assert starts == [0, 8, 8, 14]  # `two` began before its end arrived


def test_grep_does_not_see_colours() -> None:
    stream = io.BytesIO()
    lines = MatchingLines(LogWriter(stream, with_colours=True), re.compile("^red$"))
    for chunk in (b"\x1b[31mr", b"ed\x1b[0m\nother\n", b"red"):
        lines.write(chunk)
    lines.close()
    assert stream.getvalue() == b"\x1b[31mred\x1b[0m\nred\n"


SHOWN = [
    ("a\x1b[32mb\x1b[0mc\n", "a\x1b[32mb\x1b[0mc\n"),
    ("\x1b[1;38;5;196mred\nplain\n", "\x1b[1;38;5;196mred\x1b[0m\nplain\n"),
    ("\x1b[38;2;1;2;3mx\x1b[m", "\x1b[38;2;1;2;3mx\x1b[m"),
    ("\x1b[38:2::1:2:3m\x1b[4:3mx\n", "\x1b[38:2::1:2:3m\x1b[4:3mx\x1b[0m\n"),
    ("\x1b[41;97mx", "\x1b[41;97mx\x1b[0m"),
    ("\x1b[8mhidden\x1b[5m", "\\x1b[8mhidden\\x1b[5m"),
    ("\x1b[38;9m\x1b[38m\x1b[48;2;1m\x1b[999m", "\\x1b[38;9m\\x1b[38m\\x1b[48;2;1m\\x1b[999m"),
    ("\x1b[2J\x1b[H\x1b[10;20f\x1b[1A\x1b[?25l", "\\x1b[2J\\x1b[H\\x1b[10;20f\\x1b[1A\\x1b[?25l"),
    ("\x1b]0;title\x07\x1b]8;;http://x\x1b\\\\", "\\x1b]0;title\\x07\\x1b]8;;http://x\\x1b\\\\"),
    ("\x1b]52;c;aGk=\x07\x1bP+q\x1b\\\\\x1bc", "\\x1b]52;c;aGk=\\x07\\x1bP+q\\x1b\\\\\\x1bc"),
    ("\x9b32m\x9d0;x\x9c\x90\x85", "\\x9b32m\\x9d0;x\\x9c\\x90\\x85"),
    ("a\rb\x08\x00\x7f\u202e\u2028\tc", "a\\rb\\x08\\x00\\x7f\\u202e\\u2028\tc"),
    ("\x1b[31", "\\x1b[31"),
    ("\x1b", "\\x1b"),
    ("\x1b\x1b[31mx\n", "\\x1b\x1b[31mx\x1b[0m\n"),
    ("\x1b[" + "1;" * 99 + "m", "\\x1b[" + "1;" * 99 + "m"),
]


@pytest.mark.parametrize(("printed", "expected"), SHOWN)
@pytest.mark.parametrize("step", [1, 2, 1000])
def test_colours_end_with_their_line_and_other_control_characters_are_escaped(
    printed: str, expected: str, step: int
) -> None:
    shown = TerminalFilter(with_colours=True)
    content = printed.encode()
    pieces = [shown.filter_chunk(content[index : index + step]) for index in range(0, len(content), step)]
    assert "".join(pieces) + shown.finish() == expected


@given(content=st.binary(max_size=60) | st.text("\x1b[]0123456789;:mHJ\x07\x9b\nx", max_size=60).map(str.encode))
def test_nothing_but_colours_reaches_a_terminal(content: bytes) -> None:
    shown = TerminalFilter(with_colours=True)
    said = shown.filter_chunk(content) + shown.finish()
    left = re.sub(r"\x1b\[[0-9;:]*m", "", said)
    assert all(char.isprintable() or char in "\n\t" for char in left)
    plain = TerminalFilter(with_colours=False)
    without = plain.filter_chunk(content) + plain.finish()
    assert "\x1b" not in without


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TERM": "xterm"}, "a\x1b[31mb\x1b[0m\r\n\\x1b]0;t\\x07\r\n"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "ab\r\n\\x1b]0;t\\x07\r\n"),
        ({"TERM": "dumb"}, "ab\r\n\\x1b]0;t\\x07\r\n"),
        ({"TERM": "xterm", "NO_COLOR": ""}, "a\x1b[31mb\x1b[0m\r\n\\x1b]0;t\\x07\r\n"),
    ],
)
def test_on_a_terminal_a_log_has_its_colours(
    followed: Followed, on_terminal: OnTerminal, variables: dict[str, str], expected: str
) -> None:
    document = "name: raw\ncommand: [printf, 'a\\033[31mb\\n\\033]0;t\\007\\n']\n"
    followed.commit({"deployments/raw.yaml": document})
    run = followed("trigger", "raw", "--wait", "-o", "json").json["run_id"]
    for command in (["runs", "logs", run], ["runs", "logs", run, "--follow"]):
        assert on_terminal([*command, *followed.place], variables) == expected


def test_a_character_split_between_two_reads_is_shown() -> None:
    shown = TerminalFilter(with_colours=True)
    assert (
        shown.filter_chunk("grü".encode()[:3]) + shown.filter_chunk("grü".encode()[3:] + b"\x1b\xff\n")
        == "grü\\x1b\\xff\n"
    )
