"""Opens a repository without blocking, although GitPython opens some of its files in this process.

A FIFO or a device in place of such a file would block the calling thread forever. `commands` and `local` check for
these before they open the repository. Reads by git itself are subject to a timeout.
"""

import io
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from controller.errors import SourceError
from controller.sources.git.program import git

_MAX_BYTES = 1 << 20
_OWN = ("HEAD", "commondir", "gitdir", "config", "config.worktree")
_SHARED = ("HEAD", "config", "packed-refs", "shallow", "objects/info/alternates")
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


class Repository(git.Repo):
    """A repository whose configuration is read without blocking, and without the files that it includes."""

    def _config_reader(self, config_level: Any = None, git_dir: Any = None) -> git.GitConfigParser:
        path = Path(self._get_config_path(config_level or "repository", git_dir))
        try:
            content = _NamedBytes(read_regular(path), path)
        except FileNotFoundError:
            content = _NamedBytes(b"", path)
        return git.GitConfigParser(content, read_only=True, merge_includes=False)


class _NamedBytes(io.BytesIO):
    """A byte stream with the name of its file, as the configuration parser requires."""

    def __init__(self, content: bytes, path: Path) -> None:
        super().__init__(content)
        self.name = str(path)


def check_files(repo: Path, refs: Iterable[str] = ()) -> None:
    """Raise SourceError if a FIFO, a socket or a device is in place of a file that must be read.

    Checks the files that GitPython opens, the ref that HEAD names, and `refs`, given by their full names. The error
    names the file and its kind.
    """
    own = _git_dir(repo)
    common = own / (_first_line(own / "commondir") or "")
    head = _first_line(own / "HEAD") or ""
    named = [head.removeprefix("ref:").strip()] if head.startswith("ref:") else []
    for path in (repo / ".git", *_below(own, _OWN), *_below(common, (*_SHARED, *named, *refs))):
        check_file(path)


def check_file(path: Path) -> None:
    """Raise SourceError if opening this file could block. A missing file is accepted."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return
    kind = _KINDS.get(stat.S_IFMT(mode))
    if kind is not None:
        raise SourceError(f"{path} is {kind}; git needs a regular file there.", hint="Replace it, or clone again.")


def read_regular(path: Path) -> bytes:
    """Return the content of a regular file of at most 1 MiB, without blocking.

    Raises OSError, and ValueError for a larger file or one of another kind.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{path} is not a regular file")
        content = stream.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"{path} has more than {_MAX_BYTES} bytes")
    return content


def _git_dir(repo: Path) -> Path:
    dot_git = repo / ".git"
    if dot_git.is_dir():
        return dot_git
    line = _first_line(dot_git) or ""
    return repo / line.removeprefix("gitdir:").strip() if line.startswith("gitdir:") else repo


def _first_line(path: Path) -> str | None:
    try:
        return os.fsdecode(read_regular(path)).partition("\n")[0].rstrip("\r")
    except (OSError, ValueError):
        return None


def _below(directory: Path, names: Iterable[str]) -> Iterator[Path]:
    return (directory / name for name in names)
