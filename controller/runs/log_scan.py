"""Finds lines in the output of a run: by text, by regular expression, or by level. Called by `log_search`.

It imports only the standard library, because a search with a regular expression runs this file as a process of its own,
whose CPU time and memory are limited: no expression can occupy the controller. That process reads the request from
standard input and prints the result, both as JSON.
"""

import json
import os
import re
import resource
import sys
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

BLOCK_BYTES = 1 << 17
MAX_LINE_BYTES = 1 << 20
"""A search sees this much of a line."""
MAX_NUMBERS = 100_000
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_WORDS = {
    "TRACE": "DEBUG",
    "NOTICE": "INFO",
    "SUCCESS": "INFO",
    "WARN": "WARNING",
    "ERR": "ERROR",
    "CRIT": "CRITICAL",
    "FATAL": "CRITICAL",
}
_WORD = r"(TRACE|DEBUG|INFO|NOTICE|SUCCESS|WARN(?:ING)?|ERR(?:OR)?|CRIT(?:ICAL)?|FATAL)"
_AT_START = re.compile(
    r"[^A-Za-z]{0,40}"  # a date, a time, brackets
    r"(?:T[0-9:.,]{4,20}(?:Z|[+-][0-9:]{2,6})?[^A-Za-z]{0,10})?"  # the time after the T of ISO 8601
    r"(?:(?<=[0-9] )[A-Z]{2,5}[^A-Za-z]{1,10})??" + _WORD + r"(?![A-Za-z0-9_])"  # a time zone, the level
)
_BETWEEN_SEPARATORS = re.compile(r".{0,120}?(?:\| ?| - |: ?|\[)" + _WORD + r" {0,8}(?:\||- |\]|:)")
_LOWER_CASE = re.compile(
    r'.{0,120}?(?:\[(?=[a-z]{3,8} {0,8}\])|"(?:level|levelname|severity|log\.level)": ?"|\blevel=)' + _WORD + r"\b",
    re.IGNORECASE,
)
_ANY_WORD = tuple(word for upper in (*LEVELS, *_WORDS) for word in (upper, upper.lower()))
_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\))")
_TRACEBACK = "Traceback (most recent call last):"

Finder = Callable[[str], Iterable[int]]
"""Returns the indexes, from 0, of the matching lines of a text that consists of complete lines."""


class Section(NamedTuple):
    """Consecutive lines of one file, up to `size` bytes; or one line with this `text`. `first` is its line number."""

    first: int
    path: str | None
    size: int
    text: str


@dataclass(frozen=True, slots=True)
class Hits:
    """The number of matching lines, and the line numbers of the first `MAX_NUMBERS` of them."""

    count: int
    numbers: list[int]


class OutOfTimeError(Exception):
    """The search has used up its time."""


def scan(sections: Iterable[Section], finder: Finder, has_time: Callable[[], bool] = lambda: True) -> Hits:
    """Search all lines, one block at a time. Raises OutOfTimeError when `has_time` returns False."""
    numbers = array("Q")
    count = 0
    for section in sections:
        number = section.first
        for block in [section.text] if section.path is None else _blocks(section.path, section.size):
            if not has_time():
                raise OutOfTimeError
            for index in finder(_SEQUENCE.sub("", block) if "\x1b" in block else block):
                count += 1
                if len(numbers) < MAX_NUMBERS:
                    numbers.append(number + index)
            number += block.count("\n")
    return Hits(count, numbers.tolist())


def find_text(text: str, *, ignore_case: bool) -> Finder:
    """Return the finder of the lines that contain this text, which has no line break."""
    any_case = _find_pattern(re.compile(re.escape(text), re.IGNORECASE))

    def find(block: str) -> Iterator[int]:
        line = position = 0
        while (hit := block.find(text, position)) >= 0:
            line += block.count("\n", position, hit)
            yield line
            end = block.find("\n", hit)
            if end < 0:
                return
            line, position = line + 1, end + 1

    def find_in_any_case(block: str) -> Iterable[int]:
        # Lower case has the same length only for ASCII, where it is faster than the expression.
        return find(block.lower()) if text.isascii() and block.isascii() else any_case(block)

    if ignore_case and text.isascii():
        text = text.lower()
    return find_in_any_case if ignore_case else find


def find_expression(pattern: "re.Pattern[str]") -> Finder:
    """Return the finder of the lines in which this expression matches."""

    def find(block: str) -> Iterator[int]:
        for index, line in enumerate(_split(block)):
            if pattern.search(line):
                yield index

    return find


def find_levels(levels: Iterable[str]) -> Finder:
    """Return the finder of the lines with one of these levels. A traceback belongs to `ERROR`, with all its lines."""
    chosen = frozenset(levels)
    is_in_traceback = False

    def find(block: str) -> Iterator[int]:
        nonlocal is_in_traceback
        if not is_in_traceback and _TRACEBACK not in block and not any(word in block for word in _ANY_WORD):
            return
        for index, line in enumerate(_split(block)):
            level = level_of(line)
            if _TRACEBACK in line:
                is_in_traceback = True
            elif is_in_traceback:
                level = level or "ERROR"
                is_in_traceback = not line.strip() or line[:1] in " \t|"
            if level in chosen:
                yield index

    return find


def level_of(line: str) -> str | None:
    """Return the level of a line in the format of the run logger or another common one, such as `INFO:root:message`."""
    if _TRACEBACK in line:
        return "ERROR"
    match = _AT_START.match(line) or _BETWEEN_SEPARATORS.match(line) or _LOWER_CASE.match(line)
    if match is None:
        return None
    word = match[1].upper()
    return _WORDS.get(word, word)


def plain_text(text: str) -> str:
    """Return the text without escape sequences."""
    return _SEQUENCE.sub("", text)


def _find_pattern(pattern: "re.Pattern[str]") -> Finder:
    def find(block: str) -> Iterator[int]:
        line = position = 0
        while (match := pattern.search(block, position)) is not None:
            line += block.count("\n", position, match.start())
            yield line
            end = block.find("\n", match.end())
            if end < 0:
                return
            line, position = line + 1, end + 1

    return find


def _split(block: str) -> list[str]:
    lines = block.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _blocks(path: str, size: int) -> Iterator[str]:
    """Yield complete lines of a log, about `BLOCK_BYTES` at a time; the last line may have no line feed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        pending = b""
        while size > 0 and (data := stream.read(min(BLOCK_BYTES, size))):
            size -= len(data)
            end = data.rfind(b"\n") + 1
            if end:
                yield (pending + data[:end]).decode("utf-8", "replace")
                pending = data[end:]
            elif len(pending) < MAX_LINE_BYTES:
                pending += data
        if pending:
            yield pending.decode("utf-8", "replace")


def main(cpu_seconds: int, memory_bytes: int) -> None:
    """Read a request from standard input, and print the hits or an error."""
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    request: dict[str, Any] = json.load(sys.stdin)
    try:
        pattern = re.compile(request["expression"], re.IGNORECASE if request["ignore_case"] else 0)
    except (re.error, OverflowError, RecursionError) as error:
        result: dict[str, Any] = {"error": str(error)}
    else:
        sections = [Section(*section) for section in request["sections"]]
        result = asdict(scan(sections, find_expression(pattern)))
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
