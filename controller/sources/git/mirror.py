"""The bare mirror of a remote repository in the state directory: a cache that can be deleted at any time.

It is created without templates, and therefore without hooks, and contains one ref. Used by one thread at a time.
"""

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.errors import SourceError
from controller.sources.durability import sync, sync_file_system
from controller.sources.git.commands import GitError, OpenRepository, find_git, git_environment, stderr_of
from controller.sources.git.program import git

FOLLOWED = "refs/controller/followed"
"""The ref for the last fetch: a commit, or a tag that points to one."""

_MAX_PACKS = 50
_REPACK_SECONDS = 600.0


class Mirror:
    """The mirror at `path`, which is created when it is missing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def ensure(self) -> bool:
        """Create the mirror if it is missing or incomplete; return whether it was created. Raises SourceError."""
        files, directories = ("HEAD", "config"), ("objects", "refs")
        has_files = all((self.path / part).is_file() for part in files)
        if has_files and all((self.path / part).is_dir() for part in directories):
            return False
        with self.replace("sha1"):
            return True

    @contextmanager
    def replace(self, algorithm: str) -> Iterator[None]:
        """Replace the mirror by an empty one whose ids use `algorithm`; restore the old one if the context fails."""
        new, old = (self.path.with_name(f".{self.path.name}-{secrets.token_hex(4)}-{word}") for word in ("new", "old"))
        try:
            for leftover in self.path.parent.glob(f".{self.path.name}-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            _create(new, algorithm)
            sync_file_system(new)
            with contextlib.suppress(FileNotFoundError):
                self.path.rename(old)
            new.rename(self.path)
            sync(self.path.parent)
        except OSError as error:
            raise SourceError(f"The mirror {self.path} could not be created: {error.strerror}.") from error
        try:
            yield
        except BaseException:
            if old.exists():
                shutil.rmtree(self.path, ignore_errors=True)
                old.rename(self.path)
            raise
        shutil.rmtree(old, ignore_errors=True)

    def tidy(self) -> None:
        """Remove temporary files and locks of a fetch that was killed.

        This is safe because no other process writes here: this controller has locked the state directory.
        """
        objects = self.path / "objects"
        leftovers = [*objects.glob("pack/tmp_*"), *objects.glob("tmp_*"), *self.path.glob("*.lock")]
        leftovers += (self.path / "refs").rglob("*.lock")
        for path in leftovers:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def compact(self, repo: OpenRepository) -> None:
        """Combine many packs into one. Unreachable objects are kept, since a run may need them."""
        if len(list((self.path / "objects" / "pack").glob("*.pack"))) <= _MAX_PACKS:
            return
        with contextlib.suppress(GitError):
            repo.run("repack", "-a", "-d", "-k", "-q", timeout=_REPACK_SECONDS)

    @staticmethod
    def fetched_ids(repo: OpenRepository) -> tuple[str, str] | None:
        """Return the id of the object that was fetched last, and the id of its commit; None if there is none."""
        queries = f"{FOLLOWED}\n{FOLLOWED}^{{commit}}\n".encode()
        headers = [line.split(b" ") for line in repo.run("cat-file", "--batch-check", stdin=queries).splitlines()]
        if len(headers) != 2 or any(len(header) != 3 for header in headers):
            return None
        return headers[0][0].decode(), headers[1][0].decode()


def _create(path: Path, algorithm: str) -> None:
    find_git()
    path.mkdir(parents=True, mode=0o700)
    options = ("--bare", "--quiet", "--template=", "--initial-branch=none", f"--object-format={algorithm}")
    try:
        git.Git(path).execute(["git", "init", *options], env=git_environment())
    except git.GitCommandError as error:
        raise SourceError(f"The mirror {path} could not be created: {stderr_of(error)}.") from error
    except git.GitCommandNotFound as error:
        raise SourceError(f"The mirror {path} could not be created: git is missing.") from error
