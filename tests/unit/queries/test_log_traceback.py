"""The last traceback in the output of a run: chains, groups, colours, and the line at which it begins."""

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.queries.log_traceback import MOST_LINES, SEARCHED_BYTES, find_traceback

HEADER = "Traceback (most recent call last):"
SIMPLE = f"""{HEADER}
  File "flows/etl.py", line 3, in load
    raise ValueError("no rows")
ValueError: no rows
"""


def chained() -> None:
    checksums: dict[str, str] = {}
    try:
        checksums["shard"]
    except KeyError as error:
        raise ValueError("checksum mismatch") from error


def during() -> None:
    checksums: dict[str, str] = {}
    try:
        checksums["shard"]
    except KeyError:
        fail()


def fail() -> None:
    raise RuntimeError("two\nlines")


def text_of(failing: Callable[[], None]) -> str:
    try:
        failing()
    except Exception:  # noqa: BLE001 - the text of any exception is compared
        return traceback.format_exc()
    raise AssertionError


def test_a_traceback_begins_at_its_header_and_has_the_number_of_that_line() -> None:
    excerpt = find_traceback([f"one\ntwo\n{SIMPLE}".encode()])
    assert excerpt is not None
    assert excerpt.lines == tuple(SIMPLE.splitlines())
    assert (excerpt.start, excerpt.first_line, excerpt.left_out, excerpt.is_traceback) == (3, 3, 0, True)


def test_the_last_of_several_tracebacks_is_returned_unless_another_one_has_the_cause() -> None:
    other = SIMPLE.replace("no rows", "skipped")
    log = f"{SIMPLE}10:01:02 | INFO | retrying\n{other}".encode()
    last = find_traceback([log])
    assert last is not None
    assert last.lines[-1] == "ValueError: skipped"
    cause = find_traceback([log], "load-1: ValueError: no rows → merge-1 not run")
    assert cause is not None
    assert (cause.lines[-1], cause.start) == ("ValueError: no rows", 1)


@pytest.mark.parametrize("failing", [chained, during])
def test_a_chain_of_exceptions_is_one_traceback(failing: Callable[[], None]) -> None:
    text = text_of(failing)
    excerpt = find_traceback([f"before\n{text}".encode()])
    assert excerpt is not None
    assert excerpt.start == 2
    assert excerpt.left_out + len(excerpt.lines) == len(text.splitlines())
    assert excerpt.lines[-1] == text.splitlines()[-1]
    assert excerpt.first_line == excerpt.start + excerpt.left_out


def test_a_traceback_ends_with_the_cause_even_if_consequences_follow_in_its_chain() -> None:
    text = text_of(chained)
    chain = "\nThe above exception was the direct cause of the following exception:\n\n"
    log = f"{text}{chain}{SIMPLE.replace('no rows', 'not run')}".encode()
    excerpt = find_traceback([log], "score-4: ValueError: checksum mismatch → merge-1 not run")
    assert excerpt is not None
    assert excerpt.lines[-1] == "ValueError: checksum mismatch"
    assert "KeyError: 'shard'" in excerpt.lines
    last = find_traceback([log])
    assert last is not None
    assert last.lines[-1] == "ValueError: not run"
    assert last.start == excerpt.start == 1


def test_an_exception_group_is_one_traceback() -> None:
    def group() -> None:
        raise ExceptionGroup("two", [ValueError("1"), KeyError("2")])

    text = text_of(group)
    excerpt = find_traceback([f"{text}10:01:02 | INFO | done\n".encode()])
    assert excerpt is not None
    assert excerpt.lines == tuple(text.splitlines())[-MOST_LINES:]
    assert excerpt.lines[-1].strip().startswith("+---")


def test_colours_are_removed_and_control_characters_escaped() -> None:
    frame = '\x1b[1m{HEADER}\x1b[0m\r\n  File \x1b[35m"a.py"\x1b[0m, line 1'.replace("{HEADER}", HEADER)
    excerpt = find_traceback([f"{frame}\n\x1b[1;35mValueError\x1b[0m: a\x07b\n".encode()])
    assert excerpt is not None
    assert excerpt.lines == (HEADER, '  File "a.py", line 1', "ValueError: a\\x07b")


def test_paths_are_those_in_the_repository() -> None:
    path = f"/var/state/exports/{'a' * 40}/tree/flows/etl.py"
    excerpt = find_traceback([SIMPLE.replace("flows/etl.py", path).encode()])
    assert excerpt is not None
    assert excerpt.lines == tuple(SIMPLE.splitlines())


def test_a_long_traceback_is_cut_at_its_beginning() -> None:
    frames = "".join(f'  File "a.py", line {number}\n' for number in range(40))
    excerpt = find_traceback([f"{HEADER}\n{frames}RecursionError: too deep\nmore of it\n\nother\n".encode()])
    assert excerpt is not None
    assert len(excerpt.lines) == MOST_LINES
    assert excerpt.lines[-2:] == ("RecursionError: too deep", "more of it")
    assert (excerpt.start, excerpt.left_out, excerpt.first_line) == (1, 28, 29)


def test_only_the_end_of_a_long_log_is_searched_and_line_numbers_count_all_of_it(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.write_text(SIMPLE + "x" * 99 + "\n")
    second.write_text("é" * 49 + "y\n" * SEARCHED_BYTES + SIMPLE)
    excerpt = find_traceback([first, b"[controller: attempt 2]\n", second])
    assert excerpt is not None
    lines = (first.read_text() + "\n" + second.read_text()).splitlines()
    assert lines[excerpt.start - 1] == HEADER
    assert excerpt.start == len(lines) - 3


def test_output_without_a_traceback_shows_its_end() -> None:
    excerpt = find_traceback(["".join(f"line {number}\n" for number in range(1, 31)).encode()])
    assert excerpt is not None
    assert not excerpt.is_traceback
    assert (excerpt.lines[0], excerpt.lines[-1], excerpt.first_line) == ("line 16", "line 30", 16)
    assert find_traceback([]) is None
    assert find_traceback([b"\n"]) is None
