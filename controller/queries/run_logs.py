"""What a run has printed, as one text of bytes from which stretches are read: the logs of its attempts in a row.

For the HTTP API. An offset counts bytes from the beginning of the first attempt's log. A piece of the text is a file,
or the bytes that stand between two.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

CHUNK_BYTES = 1 << 16
_LONGEST_CHARACTER = 4

Piece = Path | bytes
AnyPiece = TypeVar("AnyPiece", bound=Piece)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """A part of the output: `text` is what lies between `offset` and `next_offset`, of `size` bytes so far."""

    offset: int
    next_offset: int
    size: int
    text: str


def log_chunk(files: Iterable[Piece], offset: int, limit: int) -> LogChunk:
    """Up to `limit` bytes from `offset` on, whole characters; what is no UTF-8 is shown as such."""
    sizes = measured(files)
    total = sum(size for _, size in sizes)
    begin = min(max(offset, 0), total)
    content = part(sizes, begin, limit)
    whole = content if begin + len(content) >= total and len(content) < limit else _whole(content)
    return LogChunk(offset=begin, next_offset=begin + len(whole), size=total, text=whole.decode("utf-8", "replace"))


def tail_offset(files: Iterable[Piece], lines: int) -> int:
    """Where the last so many lines begin, as far as they fit into the last 256 KiB."""
    sizes = measured(files)
    total = sum(size for _, size in sizes)
    begin = max(0, total - 4 * CHUNK_BYTES)
    content = part(sizes, begin, 4 * CHUNK_BYTES)
    ends = [index for index in range(len(content) - 1) if content[index] == 10]
    return begin + ends[-lines] + 1 if 0 < lines <= len(ends) else begin if lines else total


def measured(files: Iterable[AnyPiece]) -> list[tuple[AnyPiece, int]]:
    """These files with their sizes in bytes; what is not there has none."""
    return [(piece, len(piece) if isinstance(piece, bytes) else _size(piece)) for piece in files]


def part(sizes: Sequence[tuple[Piece, int]], offset: int, limit: int) -> bytes:
    """Up to `limit` bytes from `offset` on, of files that have so many bytes each. It ends at a file that has gone."""
    return b"".join(_parts(sizes, offset, limit))


def _parts(sizes: Sequence[tuple[Piece, int]], offset: int, limit: int) -> Iterator[bytes]:
    for piece, size in sizes:
        if offset >= size:
            offset -= size
            continue
        if limit <= 0:
            return
        try:
            content = _content(piece, offset, min(limit, size - offset))
        except FileNotFoundError:
            return
        limit -= len(content)
        offset = 0
        yield content


def _content(piece: Piece, offset: int, limit: int) -> bytes:
    if isinstance(piece, bytes):
        return piece[offset : offset + limit]
    with piece.open("rb") as stream:
        stream.seek(offset)
        return stream.read(limit)


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
