"""One commit of a local repository, named as people name commits to git: `HEAD~1`, `origin/main`, a tag, an id."""

import re
from pathlib import Path

from controller.errors import RefNotFoundError
from controller.settings import default_state_directory
from controller.sources.git.commits import revision_of
from controller.sources.git.process import GitError
from controller.sources.git.reader import CommitReader
from controller.sources.source import Watched

_NAME = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_./+@~^-]*")
_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")
_ID = re.compile(r"[0-9a-f]{7,64}")


class NamedCommit(CommitReader):
    """The commit that `name` means in the repository at `repo`. Nothing is written, not even an export."""

    def __init__(self, repo: Path, name: str, *, path: str) -> None:
        super().__init__(repo, path=path, exports=default_state_directory(repo) / "exports")
        self._name = name

    def observe(self) -> str:
        """`main@sha1:<commit>`; without the name if that is an id or an expression. Raises RefNotFoundError."""
        if not _NAME.fullmatch(self._name) or ".." in self._name:
            raise RefNotFoundError(f"{self._name!r} does not name a commit.", hint="Name a branch, a tag or a commit.")
        wanted = f"{self._name}^{{commit}}"
        with self._look() as look:
            try:
                commit = look.run("rev-parse", "--verify", "--quiet", "--end-of-options", wanted).decode().strip()
            except GitError as error:
                is_cut_off = (look.common_dir / "shallow").exists()
                raise RefNotFoundError(
                    f"{self._repo} has no branch, tag or commit {self._name}.",
                    hint="This clone is shallow and may have left it out: `git fetch --unshallow`."
                    if is_cut_off
                    else "See `git branch --all` and `git tag`.",
                ) from error
        is_label = _LABEL.fullmatch(self._name) and not _ID.fullmatch(self._name) and self._name != "HEAD"
        return revision_of(self._name if is_label else "", commit)

    def watched(self) -> tuple[Watched, ...]:
        """A commit does not change."""
        return ()
