"""The lines that findings point at, counted as editors do. `cli` makes it from the bytes that were validated."""

import re
from collections.abc import Callable
from functools import lru_cache

SourceLine = Callable[[str, int], str | None]
"""The text of a line of a file, from 1, without its line break; None if there is none to show."""

_BREAK = re.compile("\r\n|[\n\r]")
_FILES_KEPT = 8


def source_lines(content: Callable[[str], bytes | None]) -> SourceLine:
    """Looks lines up in the files that `content` returns; a byte that is not UTF-8 is shown as its escape.

    Give the bytes that were validated, not the disk's: a file may have changed, or be a pipe or a link outwards.
    """

    @lru_cache(_FILES_KEPT)
    def lines(file: str) -> list[str]:
        found = content(file)
        return [] if found is None else _BREAK.split(found.decode("utf-8", "backslashreplace").removeprefix("\ufeff"))

    def source_line(file: str, line: int) -> str | None:
        found = lines(file)
        return found[line - 1] if 0 < line <= len(found) else None

    return source_line
