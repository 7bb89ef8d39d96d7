"""Reads chunks of a run's output for the HTTP API: the logs of all its attempts, joined.

Offsets are in bytes from the beginning of the first attempt's log. The output consists of pieces: files, and the bytes
of the separators between them.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from controller.records import dataclass
from controller.text import whole_characters

CHUNK_BYTES = 1 << 16

Piece = Path | bytes
AnyPiece = TypeVar("AnyPiece", bound=Piece)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogChunk:
    """A part of the output. `text` has the bytes from `offset` up to `next_offset`, out of `size` bytes so far."""

    offset: int
    next_offset: int
    size: int
    text: str


def log_chunk(files: Iterable[Piece], offset: int, limit: int) -> LogChunk:
    """Return up to `limit` bytes from `offset` on, without splitting characters; invalid UTF-8 becomes U+FFFD."""
    sizes = with_sizes(files)
    total = sum(size for _, size in sizes)
    begin = min(max(offset, 0), total)
    content = read_range(sizes, begin, limit)
    whole = content if begin + len(content) >= total and len(content) < limit else whole_characters(content)
    return LogChunk(offset=begin, next_offset=begin + len(whole), size=total, text=whole.decode("utf-8", "replace"))


def tail_offset(files: Iterable[Piece], lines: int) -> int:
    """Return the offset at which the last `lines` lines begin, but at most 256 KiB before the end."""
    sizes = with_sizes(files)
    total = sum(size for _, size in sizes)
    begin = max(0, total - 4 * CHUNK_BYTES)
    content = read_range(sizes, begin, 4 * CHUNK_BYTES)
    ends = [index for index in range(len(content) - 1) if content[index] == 10]
    return begin + ends[-lines] + 1 if 0 < lines <= len(ends) else begin if lines else total


def with_sizes(files: Iterable[AnyPiece]) -> list[tuple[AnyPiece, int]]:
    """Return these pieces with their sizes in bytes, 0 for a missing file."""
    return [(piece, len(piece) if isinstance(piece, bytes) else _size(piece)) for piece in files]


def read_range(sizes: Sequence[tuple[Piece, int]], offset: int, limit: int) -> bytes:
    """Read up to `limit` bytes from `offset` on, of pieces with the given sizes. Stops at a file that was deleted."""
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
