"""A local git repository, followed at its committed state and never written to."""

import configparser
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from controller.errors import EmptyRepositoryError, GitUnavailableError, RefNotFoundError, SourceError
from controller.sources.git.commands import (
    GitError,
    GitTimeoutError,
    OpenRepository,
    find_git,
    hardened,
    reason,
    repair_hint,
    stderr_of,
)
from controller.sources.git.program import git
from controller.sources.git.reader import CommitReader
from controller.sources.git.ref_files import Layout, Trace, holds, layout_of, trace
from controller.sources.git.repository import check_files
from controller.sources.git.revisions import COMMIT, check_ref, revision_of
from controller.sources.source import WatchedPath


@dataclass(frozen=True, slots=True)
class _Tip:
    """Where git says the followed ref leads to: `object_id` may be a tag's, `name` is empty for a bare commit."""

    label: str
    name: str
    object_id: str
    commit: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """A revision, and the traces of refs that it holds for."""

    traces: tuple[Trace, ...]
    revision: str


class GitSource(CommitReader):
    """One ref of one local repository: `ref` is a branch, a tag or a commit; None is the checked-out branch."""

    def __init__(self, repo: Path, *, ref: str | None, path: str, exports: Path) -> None:
        super().__init__(repo, path=path, exports=exports)
        self._ref = check_ref(ref)
        self._layout: Layout | None = None
        self._answer: _Answer | None = None

    def observe(self) -> str:
        """`main@sha1:<commit>` for a branch or tag, `sha1:<commit>` for a commit or a detached HEAD."""
        traces = self._traces()
        if self._answer is not None and traces is not None and traces == self._answer.traces:
            return self._answer.revision
        if self._ref is not None:
            check_files(self._repo, (f"refs/heads/{self._ref}", f"refs/tags/{self._ref}"))
        with self._look() as look:
            self._layout = layout_of(self._repo, look.git_dir, look.common_dir)
            # Read before git is asked: only if they say what git says then does the answer belong to them.
            traces = self._traces()
            tip = self._head(look) if self._ref is None else self._resolve(look, self._ref)
        revision = revision_of(tip.label, tip.commit)
        agrees = traces is not None and _agrees(traces, tip, self._ref)
        self._answer = _Answer(traces, revision) if agrees and traces is not None else None
        return revision

    def watched(self) -> tuple[WatchedPath, ...]:
        """Where git writes when a ref or HEAD moves."""
        layout = self._layout
        if layout is None or not holds(layout, self._repo):
            with self._look() as look:
                layout = self._layout = layout_of(self._repo, look.git_dir, look.common_dir)
        own, common = layout.git_dir, layout.common_dir
        places = [WatchedPath(path=own, recursive=False), WatchedPath(path=common / "refs", recursive=True)]
        if common != own:
            places.append(WatchedPath(path=common, recursive=False))
        return tuple(places)

    def _traces(self) -> tuple[Trace, ...] | None:
        layout = self._layout
        if layout is None or not holds(layout, self._repo):
            return None
        names = ("HEAD",) if self._ref is None else (f"refs/heads/{self._ref}", f"refs/tags/{self._ref}")
        found = [trace(layout, name) for name in names]
        sure = tuple(one for one in found if one is not None)
        return sure if len(sure) == len(found) else None

    def _head(self, look: OpenRepository) -> _Tip:
        try:
            commit, name = look.run("rev-parse", "HEAD", "--symbolic-full-name", "HEAD").decode().split()
        except GitTimeoutError:
            raise
        except GitError as error:
            if _unborn(look) is None:
                raise
            raise EmptyRepositoryError(
                f"The checked-out branch of {self._repo} has no commit yet.", hint="Commit a deployment."
            ) from error
        return _Tip("" if name == "HEAD" else name.removeprefix("refs/heads/"), name, commit, commit)

    def _resolve(self, look: OpenRepository, ref: str) -> _Tip:
        names = [f"refs/heads/{ref}", f"refs/tags/{ref}", *([ref] if re.fullmatch(r"[0-9a-f]{7,64}", ref) else [])]
        asked = "".join(f"{name}\n{name}^{{commit}}\n" for name in names)
        said = [line.split(b" ") for line in look.run("cat-file", "--batch-check", stdin=asked.encode()).splitlines()]
        for name, found, peeled in zip(names, said[::2], said[1::2], strict=True):
            object_id, commit = found[0].decode(), peeled[0].decode()
            if COMMIT.fullmatch(commit) and peeled[1] == b"commit":
                return _Tip("" if name == ref else ref, "" if name == ref else name, object_id, commit)
        if look.is_broken(*names[:2]):
            raise SourceError(f"git could not read {self._repo}: {ref} is damaged.", hint=repair_hint(self._repo))
        raise RefNotFoundError(
            f"{self._repo} has no branch, tag or commit {ref}.", hint="Check --ref; see `git branch` and `git tag`."
        )


def _unborn(look: OpenRepository) -> str | None:
    """The branch that HEAD names, if nothing was ever committed to it. Raises GitError where git can't read it."""
    name = look.run("symbolic-ref", "--quiet", "HEAD").decode().strip()
    has_commit = bool(look.run("for-each-ref", "--count=1", "--format=%(refname)", name))
    return None if has_commit or look.is_broken(name) else name


def _agrees(traces: tuple[Trace, ...], tip: _Tip, ref: str | None) -> bool:
    """Whether these files lead to what git has found, and nowhere before."""
    there = [one for one in traces if one.object_id is not None]
    if not tip.name:
        # A commit by its whole id leads nowhere else for ever; a shortened one may.
        return not there and COMMIT.fullmatch(ref or "") is not None
    return bool(there) and there[0].object_id == tip.object_id and there[0].name == tip.name


def start_repository(directory: Path, files: Collection[str], *, message: str) -> None:
    """Make `directory` a git repository whose first commit holds `files`. Raises SourceError.

    The commit is by git's configured user, or by `controller` where none is configured.
    """
    try:
        find_git()
        with git.Repo.init(directory, initial_branch="main", env=hardened()) as repo:
            repo.git.update_environment(**hardened())
            with repo.config_reader() as config:
                name = config.get_value("user", "name", "controller")
                email = config.get_value("user", "email", "controller@localhost")
            repo.index.add([str(file) for file in files])
            author = git.Actor(str(name), str(email))
            repo.index.commit(message, author=author, committer=author, skip_hooks=True)
    except GitUnavailableError:
        raise
    except git.GitCommandError as error:
        raise SourceError(f"git could not start a repository in {directory}: {stderr_of(error)}.") from error
    except (git.GitError, configparser.Error, OSError, ValueError) as error:
        raise SourceError(f"git could not start a repository in {directory}: {reason(error)}.") from error
