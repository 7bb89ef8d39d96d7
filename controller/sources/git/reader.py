"""Reads, exports and compares commits. The base class of all git sources."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from controller.errors import SourceError
from controller.model.commits import Commit, ListedCommit
from controller.model.snapshots import PROJECT_FILE, Code, ManifestFile, RefusedFile, Snapshot
from controller.sources.exports import Entry as Export
from controller.sources.exports import Exports
from controller.sources.git.blame import blame_lines
from controller.sources.git.cat_file import contents, in_chunks
from controller.sources.git.commands import Git, GitError, GitTimeoutError, OpenRepository, Work
from controller.sources.git.commit_log import list_commits
from controller.sources.git.flow_code import CodeIndex, GitCode
from controller.sources.git.manifests import ManifestTree, read_or_refuse
from controller.sources.git.revisions import commit_of
from controller.sources.git.tree_diff import MODES, Difference, Entry, find_words, list_changes, list_tree
from controller.sources.source import Change


class CommitReader:
    """The commits of the repository at `repo`, read from its object database and never from a checkout."""

    is_pinned = True

    def __init__(self, repo: Path, *, path: str, exports: Path) -> None:
        self._repo = repo
        self._path = path
        self._git = Git(repo)
        self._exports = Exports(exports)
        self._manifests = ManifestTree(path)
        self._index = CodeIndex()

    @property
    def work(self) -> Work:
        """The counters of what this source has done so far."""
        return self._git.work

    def interrupt(self) -> None:
        """Kill the running git commands; all later ones raise StoppingError. Called from any thread."""
        self._git.interrupt()

    def read(self, revision: str) -> Snapshot:
        """Return the manifests and the project file; only files that changed since the last call are read."""
        commit = commit_of(revision)
        with self._open(commit) as repo:
            return self._manifests.read(repo, commit, revision)

    def code(self, revision: str) -> Code:
        """Return access to the files of this commit; only paths that changed since the last commit are resolved."""
        commit = commit_of(revision)
        return GitCode(partial(self._open, commit), self._index, commit)

    def read_file(self, revision: str, path: str) -> bytes:
        """Return the content of a regular file, from the export if there is one: git may have lost the commit."""
        commit = commit_of(revision)
        if self._exports.has(commit):
            with contextlib.suppress(OSError):
                return self._exports.read(commit, path)
        with self._open(commit) as repo:
            file = next((entry for entry in list_tree(repo, commit, path) if entry.path == path), None)
            if file is None or not file.is_regular:
                raise SourceError(f"{path} is not a regular file at {revision}.")
            return contents(repo, [file.object_id])[file.object_id]

    def read_project(self, revision: str) -> ManifestFile | RefusedFile | None:
        """Return the project file, from the export if there is one: git may have lost the commit."""
        commit = commit_of(revision)
        if self._exports.has(commit):
            try:
                content = self._exports.read(commit, PROJECT_FILE)
            except FileNotFoundError:
                return None
            return ManifestFile(path=PROJECT_FILE, content=content, digest=commit)
        with self._open(commit) as repo:
            entries = [entry for entry in list_tree(repo, commit, PROJECT_FILE) if entry.path == PROJECT_FILE]
            return read_or_refuse(repo, entries, {}).get(PROJECT_FILE)

    def checkout(self, revision: str) -> Path:
        """Return the root of the immutable export of the commit, which is written if it is missing or was modified."""
        commit = commit_of(revision)
        if self._exports.verify(commit):
            return self._exports.root(commit)
        with self._open(commit) as repo:
            entries = [entry for entry in list_tree(repo, commit) if entry.mode in MODES]
            return self._exports.write(commit, _with_contents(repo, entries))

    def is_descendant(self, revision: str, earlier: str) -> bool | None:
        """Whether `earlier` is in the history of `revision`; None if a shallow clone lacks the history to decide."""
        new, old = commit_of(revision), commit_of(earlier)
        with self._open() as repo:
            try:
                repo.run("merge-base", "--is-ancestor", old, new)
            except GitTimeoutError:
                raise
            except GitError as error:
                repo.run("cat-file", "-e", f"{new}^{{commit}}")
                # Status 1 means no; any other status means that git no longer has the old commit.
                return None if error.status == 1 and (repo.common_dir / "shallow").exists() else False
        return True

    def committed_at(self, revision: str) -> datetime | None:
        """Return the time of the commit, as its committer recorded it."""
        commit = commit_of(revision)
        with self._open(commit) as repo:
            output = repo.run("show", "--no-patch", "--format=%ct", commit, "--")
        return datetime.fromtimestamp(int(output), UTC)

    def commits(self, revision: str, since: str | None, limit: int) -> list[ListedCommit]:
        """Return the commits since an earlier revision, newest first, with the manifests that each of them changed."""
        commit = commit_of(revision)
        with self._open(commit) as repo:
            return list_commits(repo, self._path, commit, None if since is None else commit_of(since), limit)

    def blame(self, revision: str, path: str, lines: range) -> dict[int, Commit]:
        """Return the commit that last changed each of these lines of a file. Gives up after two seconds."""
        commit = commit_of(revision)
        with self._open(commit) as repo:
            return blame_lines(repo, commit, path, lines)

    def changed_files(self, revision: str, earlier: str) -> dict[str, Change] | None:
        """Return the sorted paths that differ between two commits, and how; None if git has lost the earlier one."""
        new = commit_of(revision)
        with self._open(new) as repo:
            changes = list_changes(repo, commit_of(earlier), new)
        if changes is None:
            return None
        return {change.path: _kind(change) for change in sorted(changes, key=lambda change: change.path)}

    def files_with_words(self, revision: str, words: Collection[str]) -> list[str]:
        """Return the Python files of this commit that contain one of the words, found by `git grep`."""
        commit = commit_of(revision)
        with self._open(commit) as repo:
            return find_words(repo, commit, words)

    def has_checkout(self, revision: str) -> bool:
        """Whether the export exists and has been verified."""
        return self._exports.is_ready(commit_of(revision))

    def collect(self, find_needed: Callable[[], Collection[str]]) -> None:
        """Remove the exports of all other commits."""
        self._exports.collect(lambda: {commit_of(revision) for revision in find_needed()})

    def _open(self, commit: str | None = None) -> AbstractContextManager[OpenRepository]:  # noqa: ARG002
        """Open the repository to read `commit`, if that is known."""
        return self._git.open()


def _kind(difference: Difference) -> Change:
    if difference.now is None:
        return Change.REMOVED
    return Change.ADDED if difference.is_new else Change.CHANGED


def _with_contents(repo: OpenRepository, entries: Collection[Entry]) -> Iterator[Export]:
    """Yield the entries with their contents, of which only one chunk is in memory at a time."""
    size_of = {entry.object_id: entry.size or 0 for entry in entries}
    entries_of: dict[str, list[Entry]] = {}
    for entry in entries:
        entries_of.setdefault(entry.object_id, []).append(entry)
    for chunk in in_chunks(size_of):
        for object_id, content in contents(repo, chunk).items():
            for entry in entries_of[object_id]:
                yield Export(path=entry.path, kind=MODES[entry.mode], content=content)
