"""What the files of a repository say about a ref, read without starting git, to see that nothing has moved.

It never decides where a ref leads to: git does. But while the few small files on the way from a name to an object say
the same as they did when they agreed with git's answer, that answer holds. They are read, not judged by their times.
Where it is not plain how git reads them (another way of storing refs, links, odd contents) the answer is None.
"""

import errno
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from controller.sources.git.revisions import COMMIT

_MAX_STEPS = 5
_MAX_BYTES = 1 << 20
_PLAIN = re.compile(r"refs/(?:heads|tags)/[^\0-\x20\x7f~^:?*\[\\]+")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a repository's parts are, and the signs (what `.git` and `commondir` say) that it was found by."""

    git_dir: Path
    common_dir: Path
    signs: tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Trace:
    """The way from a name: each name and what stands there (None for nothing), to the object's id if there is one."""

    steps: tuple[tuple[str, str | None], ...]

    @property
    def name(self) -> str:
        """The last name on the way."""
        return self.steps[-1][0]

    @property
    def object_id(self) -> str | None:
        """The object at its end."""
        return self.steps[-1][1]


def layout_of(root: Path, git_dir: Path, common_dir: Path) -> Layout:
    """The layout as git has told it, with its signs."""
    return Layout(git_dir, common_dir, _signs(root, git_dir))


def holds(layout: Layout, root: Path) -> bool:
    """Whether the repository's parts are still where they were."""
    return layout.signs == _signs(root, layout.git_dir)


def trace(layout: Layout, name: str) -> Trace | None:
    """The way from `HEAD`, or a branch or tag by its full name; None where git has to be asked."""
    if (layout.common_dir / "reftable").exists():
        return None
    steps: list[tuple[str, str | None]] = []
    try:
        for _ in range(_MAX_STEPS):
            said = _loose(layout, name)
            if said is None and name != "HEAD":
                said = _packed(layout, name)
            steps.append((name, said))
            if said is None or COMMIT.fullmatch(said):
                return Trace(tuple(steps))
            name = said.removeprefix("ref:").strip()
            if not said.startswith("ref:") or not is_plain(name):
                return None
    except (OSError, ValueError):
        return None
    return None


def is_plain(name: str) -> bool:
    """Whether this is the full name of a branch or tag, with nothing odd in it."""
    parts = name.split("/")
    return _PLAIN.fullmatch(name) is not None and not any(
        not part or part.startswith(".") or part.endswith((".lock", ".")) or ".." in part for part in parts
    )


def _loose(layout: Layout, name: str) -> str | None:
    try:
        content = _read((layout.git_dir if name == "HEAD" else layout.common_dir) / name)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise
    return content.decode().strip()


def _packed(layout: Layout, name: str) -> str | None:
    try:
        content = _read(layout.common_dir / "packed-refs")
    except FileNotFoundError:
        return None
    before, found, _ = f"\n{content.decode()}".partition(f" {name}\n")
    return before.rpartition("\n")[2] if found else None


def _read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError
        content = stream.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError
    return content


def _signs(root: Path, git_dir: Path) -> tuple[str | None, str | None]:
    dot_git = root / ".git"
    first = "/" if dot_git.is_dir() else _text(dot_git)
    return first, _text(git_dir / "commondir")


def _text(path: Path) -> str | None:
    try:
        return _read(path).decode("utf-8", "surrogateescape")
    except (OSError, ValueError):
        return None
