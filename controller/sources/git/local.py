"""Follows the commits of a local git repository, without ever writing to it."""

import configparser
import re
from collections.abc import Collection
from pathlib import Path

from controller.errors import EmptyRepositoryError, GitUnavailableError, RefNotFoundError, SourceError
from controller.records import dataclass
from controller.sources.git.commands import (
    GitError,
    GitTimeoutError,
    OpenRepository,
    find_git,
    git_environment,
    reason,
    repair_hint,
    stderr_of,
)
from controller.sources.git.program import git
from controller.sources.git.reader import CommitReader
from controller.sources.git.ref_files import Layout, Trace, is_current, layout_of, trace
from controller.sources.git.repository import check_files
from controller.sources.git.revisions import COMMIT, check_ref, revision_of
from controller.sources.source import WatchedPath


@dataclass(frozen=True, slots=True)
class _Tip:
    """The target of the followed ref. `object_id` may be that of a tag; `name` is empty if the ref is a commit id."""

    label: str
    name: str
    object_id: str
    commit: str


@dataclass(frozen=True, slots=True)
class _CachedRevision:
    """A revision, and the traces of refs for which it is valid."""

    traces: tuple[Trace, ...]
    revision: str


class GitSource(CommitReader):
    """A local repository at one ref: a branch, a tag or a commit, or the checked-out branch if `ref` is None."""

    def __init__(self, repo: Path, *, ref: str | None, path: str, exports: Path) -> None:
        super().__init__(repo, path=path, exports=exports)
        self._ref = check_ref(ref)
        self._layout: Layout | None = None
        self._cached: _CachedRevision | None = None

    def observe(self) -> str:
        """Return `main@sha1:<commit>` for a branch or tag, `sha1:<commit>` for a commit or a detached HEAD."""
        traces = self._traces()
        if self._cached is not None and traces is not None and traces == self._cached.traces:
            return self._cached.revision
        if self._ref is not None:
            check_files(self._repo, (f"refs/heads/{self._ref}", f"refs/tags/{self._ref}"))
        with self._open() as repo:
            self._layout = layout_of(self._repo, repo.git_dir, repo.common_dir)
            # Read before git resolves the ref: git's answer is cached for these traces only if both agree.
            traces = self._traces()
            tip = self._head(repo) if self._ref is None else self._resolve(repo, self._ref)
        revision = revision_of(tip.label, tip.commit)
        agrees = traces is not None and _agrees(traces, tip, self._ref)
        self._cached = _CachedRevision(traces, revision) if agrees and traces is not None else None
        return revision

    def watched_paths(self) -> tuple[WatchedPath, ...]:
        """Return the directories that git writes to when a ref or HEAD moves."""
        layout = self._layout
        if layout is None or not is_current(layout, self._repo):
            with self._open() as repo:
                layout = self._layout = layout_of(self._repo, repo.git_dir, repo.common_dir)
        own, common = layout.git_dir, layout.common_dir
        places = [WatchedPath(path=own, recursive=False), WatchedPath(path=common / "refs", recursive=True)]
        if common != own:
            places.append(WatchedPath(path=common, recursive=False))
        return tuple(places)

    def _traces(self) -> tuple[Trace, ...] | None:
        layout = self._layout
        if layout is None or not is_current(layout, self._repo):
            return None
        names = ("HEAD",) if self._ref is None else (f"refs/heads/{self._ref}", f"refs/tags/{self._ref}")
        traces = [trace(layout, name) for name in names]
        certain = tuple(ref_trace for ref_trace in traces if ref_trace is not None)
        return certain if len(certain) == len(traces) else None

    def _head(self, repo: OpenRepository) -> _Tip:
        try:
            commit, name = repo.run("rev-parse", "HEAD", "--symbolic-full-name", "HEAD").decode().split()
        except GitTimeoutError:
            raise
        except GitError as error:
            if _unborn(repo) is None:
                raise
            raise EmptyRepositoryError(
                f"The checked-out branch of {self._repo} has no commits yet.", hint="Commit a deployment."
            ) from error
        return _Tip("" if name == "HEAD" else name.removeprefix("refs/heads/"), name, commit, commit)

    def _resolve(self, repo: OpenRepository, ref: str) -> _Tip:
        names = [f"refs/heads/{ref}", f"refs/tags/{ref}", *([ref] if re.fullmatch(r"[0-9a-f]{7,64}", ref) else [])]
        queries = "".join(f"{name}\n{name}^{{commit}}\n" for name in names)
        output = repo.run("cat-file", "--batch-check", stdin=queries.encode())
        headers = [line.split(b" ") for line in output.splitlines()]
        for name, unpeeled, peeled in zip(names, headers[::2], headers[1::2], strict=True):
            object_id, commit = unpeeled[0].decode(), peeled[0].decode()
            if COMMIT.fullmatch(commit) and peeled[1] == b"commit":
                return _Tip("" if name == ref else ref, "" if name == ref else name, object_id, commit)
        if repo.is_broken(*names[:2]):
            raise SourceError(f"git could not read {self._repo}: {ref} is damaged.", hint=repair_hint(self._repo))
        raise RefNotFoundError(
            f"{self._repo} has no branch, tag or commit {ref}.", hint="Check --ref; see `git branch` and `git tag`."
        )


def _unborn(repo: OpenRepository) -> str | None:
    """Return the branch that HEAD names if it has no commits, else None. Raises GitError if git can't read it."""
    name = repo.run("symbolic-ref", "--quiet", "HEAD").decode().strip()
    has_commit = bool(repo.run("for-each-ref", "--count=1", "--format=%(refname)", name))
    return None if has_commit or repo.is_broken(name) else name


def _agrees(traces: tuple[Trace, ...], tip: _Tip, ref: str | None) -> bool:
    """Whether the files of the repository resolve the ref to the same object as git did."""
    resolved = [ref_trace for ref_trace in traces if ref_trace.object_id is not None]
    if not tip.name:
        # A full commit id always resolves to the same commit; an abbreviated one may become ambiguous.
        return not resolved and COMMIT.fullmatch(ref or "") is not None
    return bool(resolved) and resolved[0].object_id == tip.object_id and resolved[0].name == tip.name


def start_repository(directory: Path, files: Collection[str], *, message: str) -> None:
    """Create a git repository in `directory`, with `files` in its first commit. Raises SourceError.

    The author is git's configured user, or `controller` if none is configured.
    """
    try:
        find_git()
        with git.Repo.init(directory, initial_branch="main", env=git_environment()) as repo:
            repo.git.update_environment(**git_environment())
            with repo.config_reader() as config:
                name = config.get_value("user", "name", "controller")
                email = config.get_value("user", "email", "controller@localhost")
            repo.index.add([str(file) for file in files])
            author = git.Actor(str(name), str(email))
            repo.index.commit(message, author=author, committer=author, skip_hooks=True)
    except GitUnavailableError:
        raise
    except git.GitCommandError as error:
        raise SourceError(f"git could not create a repository in {directory}: {stderr_of(error)}.") from error
    except (git.GitError, configparser.Error, OSError, ValueError) as error:
        raise SourceError(f"git could not create a repository in {directory}: {reason(error)}.") from error
