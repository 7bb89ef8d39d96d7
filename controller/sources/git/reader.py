"""What can be done with a commit, wherever it came from: read it, export it, compare it with another."""

import contextlib
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from controller.errors import SourceError
from controller.model.snapshots import PROJECT_FILE, Code, ManifestFile, RefusedFile, Snapshot
from controller.sources.exports import Entry as Export
from controller.sources.exports import Exports
from controller.sources.git.cat_file import contents, in_chunks
from controller.sources.git.commands import Git, GitError, GitTimeoutError, OpenRepository, Work
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
        self._git = Git(repo)
        self._exports = Exports(exports)
        self._manifests = ManifestTree(path)
        self._index = CodeIndex()

    @property
    def work(self) -> Work:
        """How much it has done."""
        return self._git.work

    def interrupt(self) -> None:
        """End what git reads now; nothing more is read."""
        self._git.interrupt()

    def read(self, revision: str) -> Snapshot:
        """The manifests below the deployments path, and the project; only what changed since the last is read."""
        commit = commit_of(revision)
        with self._look(commit) as look:
            return self._manifests.read(look, commit, revision)

    def code(self, revision: str) -> Code:
        """The files of this commit; only what changed since the last commit that was asked for is looked up."""
        commit = commit_of(revision)
        return GitCode(partial(self._look, commit), self._index, commit)

    def read_file(self, revision: str, path: str) -> bytes:
        """The content of a regular file of this commit; from its export, if there is one, whatever git has kept."""
        commit = commit_of(revision)
        if self._exports.has(commit):
            with contextlib.suppress(OSError):
                return self._exports.read(commit, path)
        with self._look(commit) as look:
            found = next((entry for entry in list_tree(look, commit, path) if entry.path == path), None)
            if found is None or not found.is_regular:
                raise SourceError(f"{path} is not a regular file at {revision}.")
            return contents(look, [found.object_id])[found.object_id]

    def read_project(self, revision: str) -> ManifestFile | RefusedFile | None:
        """The project of this commit; from its export, if there is one, whatever git has kept."""
        commit = commit_of(revision)
        if self._exports.has(commit):
            try:
                content = self._exports.read(commit, PROJECT_FILE)
            except FileNotFoundError:
                return None
            return ManifestFile(path=PROJECT_FILE, content=content, digest=commit)
        with self._look(commit) as look:
            entries = [entry for entry in list_tree(look, commit, PROJECT_FILE) if entry.path == PROJECT_FILE]
            return read_or_refuse(look, entries, {}).get(PROJECT_FILE)

    def checkout(self, revision: str) -> Path:
        """An immutable export of the commit, written once, and again if it is not as it was written."""
        commit = commit_of(revision)
        if self._exports.verify(commit):
            return self._exports.root(commit)
        with self._look(commit) as look:
            entries = [entry for entry in list_tree(look, commit) if entry.mode in MODES]
            return self._exports.write(commit, _with_contents(look, entries))

    def is_descendant(self, revision: str, earlier: str) -> bool | None:
        """Whether `earlier` is in the history of `revision`; None where history is cut off and it can't be told."""
        new, old = commit_of(revision), commit_of(earlier)
        with self._look() as look:
            try:
                look.run("merge-base", "--is-ancestor", old, new)
            except GitTimeoutError:
                raise
            except GitError as error:
                look.run("cat-file", "-e", f"{new}^{{commit}}")
                # 1 says no; anything else, that the old commit is gone.
                return None if error.status == 1 and (look.common_dir / "shallow").exists() else False
        return True

    def changed_files(self, revision: str, earlier: str) -> dict[str, Change] | None:
        """The paths that differ between these commits, and how; None if the earlier one is gone."""
        new = commit_of(revision)
        with self._look(new) as look:
            found = list_changes(look, commit_of(earlier), new)
        if found is None:
            return None
        return {one.path: _kind(one) for one in sorted(found, key=lambda one: one.path)}

    def files_with_words(self, revision: str, words: Collection[str]) -> list[str]:
        """The Python files of this commit in which one of these words stands; git looks, and nothing is read here."""
        commit = commit_of(revision)
        with self._look(commit) as look:
            return find_words(look, commit, words)

    def has_checkout(self, revision: str) -> bool:
        """Whether the export is there, and known to be as it was written."""
        return self._exports.is_ready(commit_of(revision))

    def collect(self, keep: Collection[str]) -> None:
        """Remove the exports of all other commits."""
        self._exports.collect({commit_of(revision) for revision in keep})

    def _look(self, commit: str | None = None) -> AbstractContextManager[OpenRepository]:  # noqa: ARG002
        """Open the repository, to read this commit if it is known which."""
        return self._git.look()


def _kind(difference: Difference) -> Change:
    if difference.now is None:
        return Change.REMOVED
    return Change.ADDED if difference.is_new else Change.CHANGED


def _with_contents(look: OpenRepository, entries: Collection[Entry]) -> Iterator[Export]:
    """Each entry with its content, a bounded part of them in memory at a time."""
    size_of = {entry.object_id: entry.size or 0 for entry in entries}
    at: dict[str, list[Entry]] = {}
    for entry in entries:
        at.setdefault(entry.object_id, []).append(entry)
    for chunk in in_chunks(size_of):
        for object_id, content in contents(look, chunk).items():
            for entry in at[object_id]:
                yield Export(path=entry.path, kind=MODES[entry.mode], content=content)
