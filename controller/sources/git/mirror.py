"""Our own bare copy of a remote repository in the state directory: a cache that may be deleted at any time.

It is made without templates, so without hooks, and holds one ref of ours. Used by one thread at a time.
"""

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.errors import SourceError
from controller.sources.durability import sync, sync_file_system
from controller.sources.git.commands import GitError, OpenRepository, find_git, hardened, stderr_of
from controller.sources.git.program import git

FOLLOWED = "refs/controller/followed"
"""What was fetched last: a commit, or the tag that leads to one."""

_MAX_PACKS = 50
_REPACK_SECONDS = 600.0


class Mirror:
    """The repository at `path`, made when it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ensure(self) -> bool:
        """Make it if it is not there; whether it had to be made. Raises SourceError."""
        files, directories = ("HEAD", "config"), ("objects", "refs")
        has_files = all((self.path / part).is_file() for part in files)
        if has_files and all((self.path / part).is_dir() for part in directories):
            return False
        with self.replaced("sha1"):
            return True

    @contextmanager
    def replaced(self, algorithm: str) -> Iterator[None]:
        """Within, an empty one for ids of this kind stands in its place; if that fails, the old one again."""
        new, old = (self.path.with_name(f".{self.path.name}-{secrets.token_hex(4)}-{word}") for word in ("new", "old"))
        try:
            for left in self.path.parent.glob(f".{self.path.name}-*"):
                shutil.rmtree(left, ignore_errors=True)
            _make(new, algorithm)
            sync_file_system(new)
            with contextlib.suppress(FileNotFoundError):
                self.path.rename(old)
            new.rename(self.path)
            sync(self.path.parent)
        except OSError as error:
            raise SourceError(f"The mirror {self.path} could not be made: {error.strerror}.") from error
        try:
            yield
        except BaseException:
            if old.exists():
                shutil.rmtree(self.path, ignore_errors=True)
                old.rename(self.path)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def tidy(self) -> None:
        """Remove what a fetch left that was killed. No other process writes here: the state directory is held."""
        objects = self.path / "objects"
        left = [*objects.glob("pack/tmp_*"), *objects.glob("tmp_*"), *self.path.glob("*.lock")]
        left += (self.path / "refs").rglob("*.lock")
        for path in left:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def compact(self, look: OpenRepository) -> None:
        """Make one pack of many; what no ref leads to any more is kept, a run may need it."""
        if len(list((self.path / "objects" / "pack").glob("*.pack"))) <= _MAX_PACKS:
            return
        with contextlib.suppress(GitError):
            look.run("repack", "-a", "-d", "-k", "-q", timeout=_REPACK_SECONDS)

    @staticmethod
    def followed(look: OpenRepository) -> tuple[str, str] | None:
        """The id of what was fetched last, and of the commit that it leads to; None if there is nothing."""
        asked = f"{FOLLOWED}\n{FOLLOWED}^{{commit}}\n".encode()
        lines = [line.split(b" ") for line in look.run("cat-file", "--batch-check", stdin=asked).splitlines()]
        if len(lines) != 2 or any(len(line) != 3 for line in lines):
            return None
        return lines[0][0].decode(), lines[1][0].decode()


def _make(path: Path, algorithm: str) -> None:
    find_git()
    path.mkdir(parents=True, mode=0o700)
    options = ("--bare", "--quiet", "--template=", "--initial-branch=none", f"--object-format={algorithm}")
    try:
        git.Git(path).execute(["git", "init", *options], env=hardened())
    except git.GitCommandError as error:
        raise SourceError(f"The mirror {path} could not be made: {stderr_of(error)}.") from error
    except git.GitCommandNotFound as error:
        raise SourceError(f"The mirror {path} could not be made: git is gone.") from error
