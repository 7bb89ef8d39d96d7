"""The list of all entries of an exported tree, with their modes, sizes and times, to detect later modifications.

`exports` writes the list when a tree is complete and on disk, and compares the tree with it before the tree is used.
Names are bytes, because the name of a file does not depend on the locale.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from itertools import zip_longest

from controller.sources.source import printable

_HEADER = b"controller export 1 "


def list_tree(tree: bytes) -> Iterator[bytes]:
    """Yield a line for the tree itself and for each entry below it, always in the same order. Raises OSError."""
    yield _line(b".", os.lstat(tree))
    yield from _below(tree, b"")


def encode(lines: list[bytes]) -> bytes:
    """Return the content of the list file. It has a checksum, so that `decode` detects an incomplete file."""
    body = b"\0".join(lines)
    return _HEADER + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode(content: bytes) -> list[bytes] | None:
    """Return the lines of a list file; None if it is incomplete or damaged."""
    header, _, body = content.partition(b"\n")
    is_whole = header == _HEADER + hashlib.sha256(body).hexdigest().encode()
    return body.split(b"\0") if is_whole else None


def first_difference(recorded: list[bytes], current: Iterator[bytes]) -> str | None:
    """Describe the first entry that was changed, added or removed; None if the tree is unchanged. Raises OSError."""
    for before, now in zip_longest(recorded, current):
        if before != now:
            return _describe(recorded, before, now)
    return None


def _below(directory: bytes, inside: bytes) -> Iterator[bytes]:
    with os.scandir(directory) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        path = inside + entry.name
        yield _line(path, entry.stat(follow_symlinks=False))
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, path + b"/")


def _line(path: bytes, status: os.stat_result) -> bytes:
    if stat.S_ISDIR(status.st_mode):
        # Without size and time, so that a difference names the entry in the directory and not the directory.
        return b"%o - - %s" % (status.st_mode, path)
    return b"%o %d %d %s" % (status.st_mode, status.st_size, status.st_mtime_ns, path)


def _describe(recorded: list[bytes], before: bytes | None, now: bytes | None) -> str:
    if before is not None and now is not None and _path(before) == _path(now):
        return f"{_display_name(now)} was changed"
    if now is not None and _path(now) not in {_path(line) for line in recorded}:
        return f"{_display_name(now)} was added"
    assert before is not None
    return f"{_display_name(before)} was removed"


def _path(line: bytes) -> bytes:
    return line.split(b" ", 3)[3]


def _display_name(line: bytes) -> str:
    path = _path(line)
    return "the top directory" if path == b"." else printable(path.decode("utf-8", "surrogateescape"))
