"""What a run has printed, as one text of bytes from which stretches are read: the logs of its attempts in a row.

For the HTTP API. An offset counts bytes from the beginning of the first attempt's log.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK_BYTES = 1 << 16
_LONGEST_CHARACTER = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of the output: `text` is what lies between `offset` and `next_offset`, of `size` bytes so far."""

    offset: int
    next_offset: int
    size: int
    text: str


def stretch(files: Iterable[Path], offset: int, limit: int) -> Stretch:
    """Up to `limit` bytes from `offset` on, whole characters; what is no UTF-8 is shown as such."""
    sizes = measured(files)
    total = sum(size for _, size in sizes)
    begin = min(max(offset, 0), total)
    content = part(sizes, begin, limit)
    whole = content if begin + len(content) >= total and len(content) < limit else _whole(content)
    return Stretch(offset=begin, next_offset=begin + len(whole), size=total, text=whole.decode("utf-8", "replace"))


def tail_offset(files: Iterable[Path], lines: int) -> int:
    """Where the last so many lines begin, as far as they fit into the last 256 KiB."""
    sizes = measured(files)
    total = sum(size for _, size in sizes)
    begin = max(0, total - 4 * CHUNK_BYTES)
    content = part(sizes, begin, 4 * CHUNK_BYTES)
    ends = [index for index in range(len(content) - 1) if content[index] == 10]
    return begin + ends[-lines] + 1 if 0 < lines <= len(ends) else begin if lines else total


def measured(files: Iterable[Path]) -> list[tuple[Path, int]]:
    """These files with their sizes in bytes; what is not there has none."""
    return [(path, _size(path)) for path in files]


def part(sizes: list[tuple[Path, int]], offset: int, limit: int) -> bytes:
    """Up to `limit` bytes from `offset` on, of files that have so many bytes each. It ends at a file that has gone."""
    return b"".join(_parts(sizes, offset, limit))


def _parts(sizes: list[tuple[Path, int]], offset: int, limit: int) -> Iterator[bytes]:
    for path, size in sizes:
        if offset >= size:
            offset -= size
            continue
        if limit <= 0:
            return
        try:
            with path.open("rb") as stream:
                stream.seek(offset)
                content = stream.read(min(limit, size - offset))
        except FileNotFoundError:
            return
        limit -= len(content)
        offset = 0
        yield content


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _whole(content: bytes) -> bytes:
    """Without the beginning of a character whose rest is still to come."""
    for back in range(1, min(_LONGEST_CHARACTER, len(content)) + 1):
        byte = content[-back]
        if byte & 0xC0 != 0x80:
            length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return content if length <= back or len(content) == back else content[:-back]
    return content
