"""One commit of a local repository, named as people name commits to git: `HEAD~1`, `origin/main`, a tag, an id."""

import re
from pathlib import Path

from controller.errors import RefNotFoundError, SourceError
from controller.settings import default_state_directory
from controller.sources.git.commands import GitError, GitTimeoutError, OpenRepository, repair_hint
from controller.sources.git.reader import CommitReader
from controller.sources.git.revisions import COMMIT, is_ref_name, revision_of
from controller.sources.source import WatchedPath

_ID = re.compile(r"[0-9a-f]{7,64}")
_LONGEST = 1000


class NamedCommit(CommitReader):
    """The commit that `name` means in the repository at `repo`. Nothing is written, not even an export."""

    def __init__(self, repo: Path, name: str, *, path: str) -> None:
        super().__init__(repo, path=path, exports=default_state_directory(repo) / "exports")
        self._name = name

    def observe(self) -> str:
        """`main@sha1:<commit>`; without the name if that is an id or an expression. Raises RefNotFoundError."""
        name = self._name
        if not _is_expression(name):
            raise RefNotFoundError(f"{name!r} does not name a commit.", hint="Name a branch, a tag or a commit.")
        with self._look() as look:
            commit = _parse(look, f"{name}^{{commit}}")
            if not COMMIT.fullmatch(commit):
                raise self._not_found(look)
        is_label = is_ref_name(name) and not _ID.fullmatch(name) and name != "HEAD"
        return revision_of(name if is_label else "", commit)

    def watched(self) -> tuple[WatchedPath, ...]:
        """A commit does not change."""
        return ()

    def _refs(self) -> tuple[str, ...]:
        """The refs that the name can stand for, in full."""
        return ("HEAD",) if self._name == "HEAD" else (f"refs/heads/{self._name}", f"refs/tags/{self._name}")

    def _not_found(self, look: OpenRepository) -> SourceError:
        """The name is unknown, or what it leads to is missing or damaged."""
        object_id = _parse(look, self._name)
        if COMMIT.fullmatch(object_id) and object_id != self._name:
            # Says what is wrong with the object, if anything is.
            look.run("cat-file", "-e", object_id)
            look.run("cat-file", "-e", f"{object_id}^{{}}")
        elif is_ref_name(self._name) and look.is_broken(*self._refs()):
            return SourceError(
                f"git could not read {self._repo}: {self._name} is damaged.", hint=repair_hint(self._repo)
            )
        is_cut_off = (look.common_dir / "shallow").exists()
        return RefNotFoundError(
            f"{self._repo} has no branch, tag or commit {self._name}.",
            hint="This clone is shallow and may have left it out: `git fetch --unshallow`."
            if is_cut_off
            else "See `git branch --all` and `git tag`.",
        )


def _is_expression(name: str) -> bool:
    """Whether this may be given to `git rev-parse` (gitrevisions(7)): one commit, neither a range nor an option."""
    is_plain = name.isprintable() and 0 < len(name) <= _LONGEST
    return is_plain and name[0] not in "-^:" and ".." not in name and "::" not in name


def _parse(look: OpenRepository, name: str) -> str:
    """The id that `name` has; empty if there is none. Raises GitError for a repository that can't be read."""
    try:
        return look.run("rev-parse", "--verify", "--quiet", "--end-of-options", name).decode().strip()
    except GitTimeoutError:
        raise
    except GitError:
        # Git ends with 128 for some names that mean nothing, and where nothing at all can be read.
        look.check()
        return ""
