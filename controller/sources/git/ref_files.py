"""Reads the files of a repository that store a ref, to detect without starting git that the ref has not moved.

Only git decides what a ref resolves to. But if the few small files from the name to the object have the same contents
as when they agreed with git's answer, this answer is still valid. Contents are compared, not times. If it is uncertain
how git reads the files (another storage format of refs, links, unusual contents), the result is None.
"""

import errno
import os
import re
import stat
from pathlib import Path

from controller.records import dataclass
from controller.sources.git.revisions import COMMIT

_MAX_STEPS = 5
_MAX_BYTES = 1 << 20
_PLAIN = re.compile(r"refs/(?:heads|tags)/[^\0-\x20\x7f~^:?*\[\\]+")


@dataclass(frozen=True, slots=True)
class Layout:
    """The directories of a repository. `signs` are the contents of `.git` and `commondir`, which determine them."""

    git_dir: Path
    common_dir: Path
    signs: tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Trace:
    """The steps from the name of a ref to an object: each name with its content, None for one that does not exist."""

    steps: tuple[tuple[str, str | None], ...]

    @property
    def name(self) -> str:
        """The name of the last step, after all symbolic refs."""
        return self.steps[-1][0]

    @property
    def object_id(self) -> str | None:
        """The id of the object that the ref resolves to, None if it does not exist."""
        return self.steps[-1][1]


def layout_of(root: Path, git_dir: Path, common_dir: Path) -> Layout:
    """Return the layout with the directories that git has reported."""
    return Layout(git_dir, common_dir, _signs(root, git_dir))


def is_current(layout: Layout, root: Path) -> bool:
    """Whether the directories of the repository are still the same."""
    return layout.signs == _signs(root, layout.git_dir)


def trace(layout: Layout, name: str) -> Trace | None:
    """Return the trace of `HEAD`, or of a branch or tag by its full name; None if only git can resolve it."""
    if (layout.common_dir / "reftable").exists():
        return None
    steps: list[tuple[str, str | None]] = []
    try:
        for _ in range(_MAX_STEPS):
            content = _loose(layout, name)
            if content is None and name != "HEAD":
                content = _packed_ref(layout, name)
            steps.append((name, content))
            if content is None or COMMIT.fullmatch(content):
                return Trace(tuple(steps))
            name = content.removeprefix("ref:").strip()
            if not content.startswith("ref:") or not is_plain(name):
                return None
    except (OSError, ValueError):
        return None
    return None


def is_plain(name: str) -> bool:
    """Whether this is the full name of a branch or tag that git accepts."""
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


def _packed_ref(layout: Layout, name: str) -> str | None:
    try:
        content = _read(layout.common_dir / "packed-refs")
    except FileNotFoundError:
        return None
    before, separator, _ = f"\n{content.decode()}".partition(f" {name}\n")
    return before.rpartition("\n")[2] if separator else None


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
