"""Finds the last traceback in the output of a failed run, for the first screen of the run's page.

Called by `controller.api.dashboard.run_pages`, which passes the logs of the run's attempts. Only the end of the output
is searched. Tracebacks are recognized in the format of Python's `traceback` module, with all exceptions of a chain.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from controller.queries.run_logs import Piece, read_range, with_sizes
from controller.records import dataclass
from controller.text import visible

SEARCHED_BYTES = 1 << 18
MOST_LINES = 15
_COUNTED_BYTES = 1 << 20
_MAX_MESSAGE_LINES = 20
_MAX_LINE = 2000
_MAX_COMPARED = 100

_HEADER = re.compile(r"[ +|]*(?:Exception Group )?Traceback \(most recent call last\):$")
_CHAINED = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_SEQUENCE = re.compile(r"\x1b(?:\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\))")
_EXPORT = re.compile(r'(?<=File ")[^"]*/exports/[0-9a-f]{40,64}/tree/')
"""The directory of the code of a commit. Without it, a path is the one in the repository."""
_OTHER_LINE = re.compile(r"\[?\d{1,4}[-:/]\d\d|\[controller: ")
"""The beginning of a line of a logger, or of the line between two attempts: it is not a part of an error message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogExcerpt:
    """The end of a traceback, or of the output if it has none.

    `lines` are printable; `first_line` is the line number of the first of them in the whole output, from 1. `start` is
    that of the traceback, and `left_out` the number of its lines before these.
    """

    lines: tuple[str, ...]
    first_line: int
    start: int
    left_out: int
    is_traceback: bool


def find_traceback(pieces: Sequence[Piece], cause: str = "") -> LogExcerpt | None:
    """Return the end of the last traceback in the output, or the end of the output; None if there is no output.

    If a traceback ends with the error that `cause` names, the last one of these is returned. `pieces` are those of
    `controller.runs.log_files.log_pieces`.
    """
    sizes = with_sizes(pieces)
    total = sum(size for _, size in sizes)
    begin = max(0, total - SEARCHED_BYTES)
    content = read_range(sizes, begin, SEARCHED_BYTES)
    if begin:  # the first line may be incomplete
        begin += content.find(b"\n") + 1
        content = content[content.find(b"\n") + 1 :]
    lines = [_plain(text) for text in content.decode("utf-8", "replace").removesuffix("\n").split("\n")]
    if not any(lines):
        return None
    span = last_traceback(lines, cause)
    first, end = span or (max(0, len(lines) - MOST_LINES), len(lines))
    visible_from = max(first, end - MOST_LINES)
    before = _count_lines(tuple(sizes), begin)
    return LogExcerpt(
        lines=tuple(lines[visible_from:end]),
        first_line=before + visible_from + 1,
        start=before + first + 1,
        left_out=visible_from - first if span else 0,
        is_traceback=span is not None,
    )


def last_traceback(lines: Sequence[str], cause: str = "") -> tuple[int, int] | None:
    """Return the begin and the end of the last traceback, with the exceptions before it in its chain; None if none.

    One that ends with the error in `cause` is preferred, even if others follow in its chain: they are consequences.
    """
    spans: list[tuple[int, int]] = []
    for index, line in enumerate(lines):
        if not _HEADER.match(line) or (spans and index < spans[-1][1]):
            continue
        begin = index
        if spans and _is_chained(lines[spans[-1][1] : index]):
            begin = spans[-1][0]
        spans.append((begin, _end_of(lines, index)))
    explaining = [span for span in spans if (error := _error(lines, span)) and error in cause]
    return next(reversed(explaining or spans), None)


def _end_of(lines: Sequence[str], index: int) -> int:
    """Return the end of the traceback that begins at this line: after the message of the exception."""
    is_group = lines[index].startswith(" ")
    index += 1
    while index < len(lines) and lines[index].startswith(" "):
        index += 1
    end = index
    while not is_group and end < min(len(lines), index + _MAX_MESSAGE_LINES):
        if not lines[end].strip() or _HEADER.match(lines[end]) or (end > index and _OTHER_LINE.match(lines[end])):
            break
        end += 1
    return end


def _is_chained(between: Sequence[str]) -> bool:
    return any(line in _CHAINED for line in between) and all(not line or line in _CHAINED for line in between)


def _error(lines: Sequence[str], span: tuple[int, int]) -> str:
    """Return the first line of the message of the last exception, without the module of its class."""
    message = ""
    for line in reversed(lines[span[0] : span[1]]):
        if line.startswith(" "):
            break
        message = line
    name, separator, text = message.partition(":")
    return f"{name.rpartition('.')[2]}{separator}{text}"[:_MAX_COMPARED]


def _plain(text: str) -> str:
    """Return a line without colours, with other control characters escaped; of what was overwritten, the last text."""
    shown = _SEQUENCE.sub("", text).rstrip("\r").rpartition("\r")[2]
    shortened = shown if len(shown) <= _MAX_LINE else f"{shown[:_MAX_LINE]}…"
    return visible(_EXPORT.sub("", shortened.replace("\t", "    ")))


@lru_cache(maxsize=256)
def _count_lines(sizes: tuple[tuple[Path | bytes, int], ...], end: int) -> int:
    """Return the number of line feeds before this offset. Cached, since the output of a finished run stays as it is."""
    count = 0
    for offset in range(0, end, _COUNTED_BYTES):
        count += read_range(sizes, offset, min(_COUNTED_BYTES, end - offset)).count(b"\n")
    return count
