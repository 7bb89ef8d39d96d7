"""The list of everything in an exported tree, by which it is known again: names, kinds, modes, sizes and times.

`exports` writes it when a tree is complete and on disk, and compares the tree with it before the tree is used. Names
are bytes: what a file is called does not depend on the locale.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from itertools import zip_longest

from controller.sources.source import printable

_HEADER = b"controller export 1 "


def list_tree(tree: bytes) -> Iterator[bytes]:
    """One line for the tree and for each entry below it, always in the same order. Raises OSError."""
    yield _line(b".", os.lstat(tree))
    yield from _below(tree, b"")


def encode(lines: list[bytes]) -> bytes:
    """The list as a file, with a checksum: half of one is recognised as none."""
    body = b"\0".join(lines)
    return _HEADER + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def decode(content: bytes) -> list[bytes] | None:
    """The lines of such a file; None for anything else."""
    header, _, body = content.partition(b"\n")
    is_whole = header == _HEADER + hashlib.sha256(body).hexdigest().encode()
    return body.split(b"\0") if is_whole else None


def first_difference(recorded: list[bytes], found: Iterator[bytes]) -> str | None:
    """The first entry that is not as it was, in words; None if everything is. Raises OSError."""
    for before, now in zip_longest(recorded, found):
        if before != now:
            return _words(recorded, before, now)
    return None


def _below(directory: bytes, inside: bytes) -> Iterator[bytes]:
    with os.scandir(directory) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        path = inside + entry.name
        yield _line(path, entry.stat(follow_symlinks=False))
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, path + b"/")


def _line(path: bytes, found: os.stat_result) -> bytes:
    if stat.S_ISDIR(found.st_mode):
        # What is in a directory follows: a difference names that, and not the directory.
        return b"%o - - %s" % (found.st_mode, path)
    return b"%o %d %d %s" % (found.st_mode, found.st_size, found.st_mtime_ns, path)


def _words(recorded: list[bytes], before: bytes | None, now: bytes | None) -> str:
    if before is not None and now is not None and _path(before) == _path(now):
        return f"{_shown(now)} was changed"
    if now is not None and _path(now) not in {_path(line) for line in recorded}:
        return f"{_shown(now)} was added"
    assert before is not None
    return f"{_shown(before)} was removed"


def _path(line: bytes) -> bytes:
    return line.split(b" ", 3)[3]


def _shown(line: bytes) -> str:
    path = _path(line)
    return "the top directory" if path == b"." else printable(path.decode("utf-8", "surrogateescape"))
