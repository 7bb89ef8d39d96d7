"""Finds the source lines of findings, with lines counted as editors count them. `cli` passes the validated bytes."""

import re
from collections.abc import Callable
from functools import lru_cache

SourceLine = Callable[[str, int], str | None]
"""Takes a file and a line number (from 1) and returns the line without its line break; None if it does not exist."""

_BREAK = re.compile("\r\n|[\n\r]")
_FILES_KEPT = 8


def source_lines(content: Callable[[str], bytes | None]) -> SourceLine:
    """Return a function that looks up lines in the files that `content` returns. Bytes that are not UTF-8 are escaped.

    `content` must return the validated bytes and not read the disk: a file may have changed since, be a pipe, or be a
    link that leads out of the repository.
    """

    @lru_cache(_FILES_KEPT)
    def lines(file: str) -> list[str]:
        text = content(file)
        return [] if text is None else _BREAK.split(text.decode("utf-8", "backslashreplace").removeprefix("\ufeff"))

    def source_line(file: str, line: int) -> str | None:
        numbered = lines(file)
        return numbered[line - 1] if 0 < line <= len(numbered) else None

    return source_line
