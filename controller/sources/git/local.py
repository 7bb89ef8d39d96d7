"""A local git repository, followed at its committed state and never written to."""

import re
from collections.abc import Collection
from pathlib import Path

import git

from controller.errors import SourceError
from controller.sources.git.commits import check_ref, revision_of
from controller.sources.git.process import GitError, Look, reason
from controller.sources.git.reader import CommitReader
from controller.sources.source import Watched


class GitSource(CommitReader):
    """One ref of one local repository: `ref` is a branch, a tag or a commit; None is the checked-out branch."""

    def __init__(self, repo: Path, *, ref: str | None, path: str, exports: Path) -> None:
        super().__init__(repo, path=path, exports=exports)
        self._ref = check_ref(ref)

    def observe(self) -> str:
        """`main@sha1:<commit>` for a branch or tag, `sha1:<commit>` for a commit or a detached HEAD."""
        with self._look() as look:
            label, commit = self._head(look) if self._ref is None else self._resolve(look, self._ref)
        return revision_of(label, commit)

    def watched(self) -> tuple[Watched, ...]:
        """Where git writes when a ref or HEAD moves."""
        with self._look() as look:
            own, common = look.git_dir, look.common_dir
        places = [Watched(path=own, recursive=False), Watched(path=common / "refs", recursive=True)]
        if common != own:
            places.append(Watched(path=common, recursive=False))
        return tuple(places)

    def _head(self, look: Look) -> tuple[str, str]:
        try:
            commit, name = look.run("rev-parse", "HEAD", "--symbolic-full-name", "HEAD").decode().split()
        except GitError as error:
            raise SourceError(
                f"The checked-out branch of {self._repo} has no commit yet.", hint="Commit a deployment."
            ) from error
        return ("" if name == "HEAD" else name.removeprefix("refs/heads/")), commit

    def _resolve(self, look: Look, ref: str) -> tuple[str, str]:
        for label, name in ((ref, f"refs/heads/{ref}"), (ref, f"refs/tags/{ref}"), ("", ref)):
            if name == ref and not re.fullmatch(r"[0-9a-f]{7,64}", ref):
                continue
            try:
                commit = look.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
            except GitError:
                continue
            return label, commit.decode().strip()
        raise SourceError(
            f"{self._repo} has no branch, tag or commit {ref}.", hint="Check --ref; see `git branch` and `git tag`."
        )


def start_repository(directory: Path, files: Collection[str], *, message: str) -> None:
    """Make `directory` a git repository whose first commit holds `files`. Raises SourceError.

    The commit is by git's configured user, or by `controller` where none is configured.
    """
    try:
        with git.Repo.init(directory, initial_branch="main") as repo:
            repo.index.add([str(file) for file in files])
            with repo.config_reader() as config:
                name = config.get_value("user", "name", "controller")
                email = config.get_value("user", "email", "controller@localhost")
            author = git.Actor(str(name), str(email))
            repo.index.commit(message, author=author, committer=author, skip_hooks=True)
    except (git.GitError, OSError) as error:
        raise SourceError(f"git could not start a repository in {directory}: {reason(error)}.") from error
