"""The manifests of one commit, updated to the next commit by the differences: the cost depends on the change only.

A manifest that did not change stays the same object, so that the manifest reader does not parse it again.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Any

from controller.errors import PathNotFoundError
from controller.model.snapshots import (
    PROJECT_FILE,
    ManifestFile,
    RefusedFile,
    Snapshot,
    is_manifest,
    is_python,
    is_spec,
)
from controller.sources.git.cat_file import contents, in_chunks, sizes
from controller.sources.git.commands import OpenRepository
from controller.sources.git.tree_diff import LINK, Difference, Entry, list_changes, list_tree
from controller.sources.source import MAX_MANIFEST_BYTES, is_text, printable
from controller.sources.symlink_messages import link_message

Entries = Mapping[str, ManifestFile | RefusedFile]


class ManifestTree:
    """The manifests below the deployments path (empty for the whole repository), and the project file.

    Used by one thread at a time.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._commit: str | None = None
        self._entries: dict[str, ManifestFile | RefusedFile] = {}
        self._order: list[str] = []
        self._listed: list[Any] = []
        self._refused: dict[str, RefusedFile] = {}

    def read(self, repo: OpenRepository, commit: str, revision: str) -> Snapshot:
        """Return all manifests of this commit. Raises GitError, PathNotFoundError."""
        self._move(repo, commit)
        if not self._order:
            self._check_path(repo, commit)
        listed, refused = self._listed, []
        if self._refused:
            listed = [file for path, file in zip(self._order, listed, strict=True) if path not in self._refused]
            refused = [self._refused[path] for path in sorted(self._refused)]
        return Snapshot(
            revision=revision,
            files=tuple(listed),
            refused=tuple(file for file in refused if not is_python(file.path)),
            project=self._entries.get(PROJECT_FILE),
        )

    def _move(self, repo: OpenRepository, commit: str) -> None:
        if commit == self._commit:
            return
        places = (self._path, PROJECT_FILE) if self._path else ()
        changes = None if self._commit is None else list_changes(repo, self._commit, commit, *places)
        if changes is None:
            tree = [entry for entry in list_tree(repo, commit, *places) if self._is_relevant(entry.path)]
            entries = read_or_refuse(repo, tree, self._entries)
            self._entries, self._order = entries, sorted(entries.keys() - {PROJECT_FILE})
            self._listed = [entries[path] for path in self._order]
            refused = {path: file for path, file in entries.items() if isinstance(file, RefusedFile)}
            self._refused = {path: file for path, file in refused.items() if path != PROJECT_FILE}
        else:
            self._apply(repo, [change for change in changes if self._is_relevant(change.path)])
        self._commit = commit

    def _apply(self, repo: OpenRepository, changes: Iterable[Difference]) -> None:
        removed = [change.path for change in changes if change.now is None]
        changed = read_or_refuse(repo, [change.now for change in changes if change.now is not None], self._entries)
        for path in removed:
            if self._entries.pop(path, None) is not None and path != PROJECT_FILE:
                self._refused.pop(path, None)
                index = bisect_left(self._order, path)
                del self._order[index], self._listed[index]
        for path, file in changed.items():
            if path != PROJECT_FILE:
                self._list(path, file)
        self._entries.update(changed)

    def _list(self, path: str, file: ManifestFile | RefusedFile) -> None:
        """Add or replace a manifest, which keeps the order of the paths."""
        index = bisect_left(self._order, path)
        if path not in self._entries:
            self._order.insert(index, path)
            self._listed.insert(index, file)
        self._listed[index] = file
        self._refused.pop(path, None)
        if isinstance(file, RefusedFile):
            self._refused[path] = file

    def _is_relevant(self, path: str) -> bool:
        if path == PROJECT_FILE:
            return True
        if path == self._path and not is_manifest(path):
            # git never lists a directory by its own name: this is a link, a submodule or another file.
            return True
        below = not self._path or path == self._path or path.startswith(f"{self._path}/")
        return below and is_manifest(path)

    def _check_path(self, repo: OpenRepository, commit: str) -> None:
        """Raise PathNotFoundError if the deployments path never existed, as opposed to one that a commit emptied.

        A mistake in --path must not prune anything.
        """
        self._check_links(repo, commit)
        if self._path and not repo.run("rev-list", "-1", commit, "--", f":(literal){self._path}"):
            raise PathNotFoundError(
                f"Neither {commit[:12]} nor any commit before it contains {self._path}/.",
                hint="Commit a manifest there, or check --path.",
            )

    def _check_links(self, repo: OpenRepository, commit: str) -> None:
        """Raise PathNotFoundError if the path leads through a link."""
        parts = self._path.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts))]
        for entry in list_tree(repo, commit, *above) if above else ():
            if entry.mode == LINK and entry.path in above:
                raise PathNotFoundError(link_message(self._path, entry.path, _target(repo, entry)))


def read_or_refuse(
    repo: OpenRepository, entries: Iterable[Entry], previous: Entries
) -> dict[str, ManifestFile | RefusedFile]:
    """Read the entries of a tree, or refuse those that can't be manifests; return both by path.

    Files of `previous` whose content is the same are not read again.
    """
    unread: dict[str, Entry] = {}
    files: dict[str, ManifestFile | RefusedFile] = {}
    for entry in entries:
        before = previous.get(entry.path)
        refusal = _refusal(repo, entry)
        if refusal is not None:
            files[entry.path] = refusal
        elif isinstance(before, ManifestFile) and before.digest == entry.object_id:
            files[entry.path] = before
        else:
            unread[entry.path] = entry
    size_of = {entry.object_id: entry.size for entry in unread.values() if entry.size is not None}
    size_of |= sizes(repo, [entry.object_id for entry in unread.values() if entry.size is None])
    readable = {object_id: size for object_id, size in size_of.items() if size <= MAX_MANIFEST_BYTES}
    content_of = {key: value for chunk in in_chunks(readable) for key, value in contents(repo, chunk).items()}
    for path, entry in unread.items():
        if entry.object_id in content_of:
            content = _manifest_content(path, content_of[entry.object_id])
            files[path] = ManifestFile(path=path, content=content, digest=entry.object_id)
        else:
            message = f"A manifest can have up to 1 MiB; this one has {size_of[entry.object_id]} bytes."
            files[path] = RefusedFile(path=path, message=message)
    return files


def _manifest_content(path: str, content: bytes) -> bytes:
    """Return the content to hold in memory: nothing for a Python file that is not a spec, as there can be many."""
    return b"" if is_python(path) and not is_spec(path, content) else content


def _target(repo: OpenRepository, entry: Entry) -> str:
    return contents(repo, [entry.object_id])[entry.object_id].decode("utf-8", "backslashreplace")


def _refusal(repo: OpenRepository, entry: Entry) -> RefusedFile | None:
    if not is_text(entry.path):
        return RefusedFile(path=printable(entry.path), message="The file name of a manifest must be UTF-8.")
    if not is_manifest(entry.path) and entry.mode == LINK:
        return RefusedFile(path=entry.path, message=link_message(entry.path, entry.path, _target(repo, entry)))
    if not is_manifest(entry.path) and not entry.is_regular:
        return RefusedFile(path=entry.path, message="The deployments path is a submodule; submodules are not read.")
    if not entry.is_regular:
        return RefusedFile(path=entry.path, message="A manifest must be a regular file, not a link or a submodule.")
    if not is_manifest(entry.path):
        return RefusedFile(path=entry.path, message="The deployments path is neither a directory nor a manifest.")
    return None
