"""Finds the git directory of a repository without starting git.

`settings` places the state directory there, and commands and sources ask it whether a directory is a repository.
"""

import os
from pathlib import Path

_MOST_LINK_BYTES = 4096


def is_git_repository(root: Path) -> bool:
    """Return whether this directory is the top of a git repository, bare or not."""
    return (root / ".git").exists() or all((root / part).exists() for part in ("HEAD", "objects", "refs"))


def git_directory(root: Path) -> Path | None:
    """Return the git directory of the repository at `root`, or None if `root` is not the top of a repository.

    It is `.git`, or the directory that the file `.git` of a linked worktree names, or `root` itself if it is bare.
    """
    dot_git = root / ".git"
    if dot_git.is_dir():
        return dot_git
    if not dot_git.exists():
        return root if is_git_repository(root) else None
    if not dot_git.is_file():
        return None  # opening a FIFO would block
    try:
        with dot_git.open(encoding="utf-8", errors="surrogateescape") as stream:
            content = stream.read(_MOST_LINK_BYTES)
    except OSError:
        return None
    kind, _, target = content.partition(":")
    directory = Path(os.path.normpath(root / target.strip()))
    return directory if kind == "gitdir" and target.strip() and directory.is_dir() else None
