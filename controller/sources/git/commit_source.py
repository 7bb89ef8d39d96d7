"""One commit of a local repository, named in git's own notation: `HEAD~1`, `origin/main`, a tag or an id."""

import re
from pathlib import Path

from controller.errors import EmptyRepositoryError, RefNotFoundError, SourceError
from controller.settings import default_state_directory
from controller.sources.git.commands import GitError, GitTimeoutError, OpenRepository, repair_hint
from controller.sources.git.reader import CommitReader
from controller.sources.git.revisions import COMMIT, is_ref_name, revision_of
from controller.sources.source import WatchedPath

_ID = re.compile(r"[0-9a-f]{7,64}")
_MAX_LENGTH = 1000


class NamedCommit(CommitReader):
    """The commit that `name` resolves to in the repository at `repo`. Nothing is written, not even an export."""

    def __init__(self, repo: Path, name: str, *, path: str) -> None:
        super().__init__(repo, path=path, exports=default_state_directory(repo) / "exports")
        self._name = name

    def observe(self) -> str:
        """Return `main@sha1:<commit>`, or `sha1:<commit>` if the name is an id or an expression.

        Raises RefNotFoundError.
        """
        name = self._name
        if not _is_expression(name):
            raise RefNotFoundError(f"{name!r} does not name a commit.", hint="Name a branch, a tag or a commit.")
        with self._open() as repo:
            commit = _parse(repo, f"{name}^{{commit}}")
            if not COMMIT.fullmatch(commit):
                raise self._not_found_error(repo)
        is_label = is_ref_name(name) and not _ID.fullmatch(name) and name != "HEAD"
        return revision_of(name if is_label else "", commit)

    def watched_paths(self) -> tuple[WatchedPath, ...]:
        """Return nothing, because a commit does not change."""
        return ()

    def _refs(self) -> tuple[str, ...]:
        """Return the full names of the refs that the name may mean."""
        return ("HEAD",) if self._name == "HEAD" else (f"refs/heads/{self._name}", f"refs/tags/{self._name}")

    def _not_found_error(self, repo: OpenRepository) -> SourceError:
        """Return the error for a name that is unknown. Raises GitError if the object that it names can't be read."""
        object_id = _parse(repo, self._name)
        if COMMIT.fullmatch(object_id) and object_id != self._name:
            # Both commands fail if the object is missing or damaged, with a message that says so.
            repo.run("cat-file", "-e", object_id)
            repo.run("cat-file", "-e", f"{object_id}^{{}}")
        elif is_ref_name(self._name) and repo.is_broken(*self._refs()):
            return SourceError(
                f"git could not read {self._repo}: {self._name} is damaged.", hint=repair_hint(self._repo)
            )
        elif not repo.run("for-each-ref", "--count=1"):
            return EmptyRepositoryError(f"{self._repo} has no commits yet.", hint="Commit a deployment.")
        is_cut_off = (repo.common_dir / "shallow").exists()
        return RefNotFoundError(
            f"{self._repo} has no branch, tag or commit {self._name}.",
            hint="This clone is shallow and may lack it. Run `git fetch --unshallow`."
            if is_cut_off
            else "See `git branch --all` and `git tag`.",
        )


def _is_expression(name: str) -> bool:
    """Whether `git rev-parse` may get this name (gitrevisions(7)): it is neither a range nor an option."""
    is_plain = name.isprintable() and 0 < len(name) <= _MAX_LENGTH
    return is_plain and name[0] not in "-^:" and ".." not in name and "::" not in name


def _parse(repo: OpenRepository, name: str) -> str:
    """Return the id that `name` resolves to, or an empty string. Raises GitError if the repository can't be read."""
    try:
        return repo.run("rev-parse", "--verify", "--quiet", "--end-of-options", name).decode().strip()
    except GitTimeoutError:
        raise
    except GitError:
        # Git exits with 128 for some unknown names, but also if it can't read the repository at all.
        repo.check()
        return ""
