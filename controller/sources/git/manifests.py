"""The manifests of one commit, moved to the next by what differs: the cost is that of the change, not of the whole.

What did not change stays the same object, and the reader parses it no second time.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping

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

Found = ManifestFile | RefusedFile


class ManifestTree:
    """What stands below the deployments path (empty for everything), and the project. Used by one thread at a time."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._commit: str | None = None
        self._found: dict[str, Found] = {}
        self._order: list[str] = []

    def read(self, look: OpenRepository, commit: str, revision: str) -> Snapshot:
        """All of it at this commit. Raises GitError, PathNotFoundError; then it is as it was."""
        self._move(look, commit)
        if not self._order:
            self._check_path(look, commit)
        found = [self._found[path] for path in self._order]
        return Snapshot(
            revision=revision,
            files=tuple(file for file in found if isinstance(file, ManifestFile)),
            refused=tuple(file for file in found if isinstance(file, RefusedFile) and not is_python(file.path)),
            project=self._found.get(PROJECT_FILE),
        )

    def _move(self, look: OpenRepository, commit: str) -> None:
        if commit == self._commit:
            return
        places = (self._path, PROJECT_FILE) if self._path else ()
        changes = None if self._commit is None else list_changes(look, self._commit, commit, *places)
        if changes is None:
            entries = [entry for entry in list_tree(look, commit, *places) if self._is_wanted(entry.path)]
            found = read_or_refuse(look, entries, self._found)
            self._found, self._order = found, sorted(found.keys() - {PROJECT_FILE})
        else:
            self._apply(look, [change for change in changes if self._is_wanted(change.path)])
        self._commit = commit

    def _apply(self, look: OpenRepository, changes: Iterable[Difference]) -> None:
        gone = [change.path for change in changes if change.now is None]
        found = read_or_refuse(look, [change.now for change in changes if change.now is not None], self._found)
        for path in gone:
            if self._found.pop(path, None) is not None and path != PROJECT_FILE:
                del self._order[bisect_left(self._order, path)]
        for path in found:
            if path not in self._found and path != PROJECT_FILE:
                insort(self._order, path)
        self._found.update(found)

    def _is_wanted(self, path: str) -> bool:
        if path == PROJECT_FILE:
            return True
        if path == self._path and not is_manifest(path):
            # Only what is no directory is listed by its own name: a link or a submodule where one was.
            return True
        below = not self._path or path == self._path or path.startswith(f"{self._path}/")
        return below and is_manifest(path)

    def _check_path(self, look: OpenRepository, commit: str) -> None:
        """Tell a path that was emptied on purpose from one that never was there: a slip must not prune anything."""
        self._check_links(look, commit)
        if self._path and not look.run("rev-list", "-1", commit, "--", f":(literal){self._path}"):
            raise PathNotFoundError(
                f"No commit of {commit[:12]} has {self._path}/.", hint="Commit a manifest below it, or check --path."
            )

    def _check_links(self, look: OpenRepository, commit: str) -> None:
        """Raises PathNotFoundError if the path leads through a link."""
        parts = self._path.split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts))]
        for entry in list_tree(look, commit, *above) if above else ():
            if entry.mode == LINK and entry.path in above:
                raise PathNotFoundError(link_message(self._path, entry.path, _target(look, entry)))


def read_or_refuse(look: OpenRepository, entries: Iterable[Entry], known: Mapping[str, Found]) -> dict[str, Found]:
    """Each entry read or refused, by its path as people see it; what is known with the same content is kept."""
    wanted: dict[str, Entry] = {}
    found: dict[str, Found] = {}
    for entry in entries:
        before = known.get(entry.path)
        refusal = _refusal(look, entry)
        if refusal is not None:
            found[entry.path] = refusal
        elif isinstance(before, ManifestFile) and before.digest == entry.object_id:
            found[entry.path] = before
        else:
            wanted[entry.path] = entry
    size_of = {entry.object_id: entry.size for entry in wanted.values() if entry.size is not None}
    size_of |= sizes(look, [entry.object_id for entry in wanted.values() if entry.size is None])
    fit = {object_id: size for object_id, size in size_of.items() if size <= MAX_MANIFEST_BYTES}
    content = {key: value for chunk in in_chunks(fit) for key, value in contents(look, chunk).items()}
    for path, entry in wanted.items():
        if entry.object_id in content:
            found[path] = ManifestFile(path=path, content=_kept(path, content[entry.object_id]), digest=entry.object_id)
        else:
            size = size_of[entry.object_id]
            found[path] = RefusedFile(path=path, message=f"A manifest may have 1 MiB; this one has {size} bytes.")
    return found


def _kept(path: str, content: bytes) -> bytes:
    """Of Python files that are no specs nothing is kept: below the deployments path may be all of a repository's."""
    return b"" if is_python(path) and not is_spec(path, content) else content


def _target(look: OpenRepository, entry: Entry) -> str:
    return contents(look, [entry.object_id])[entry.object_id].decode("utf-8", "backslashreplace")


def _refusal(look: OpenRepository, entry: Entry) -> RefusedFile | None:
    if not is_text(entry.path):
        return RefusedFile(path=printable(entry.path), message="The name of a manifest must be UTF-8.")
    if not is_manifest(entry.path) and entry.mode == LINK:
        return RefusedFile(path=entry.path, message=link_message(entry.path, entry.path, _target(look, entry)))
    if not is_manifest(entry.path) and not entry.is_regular:
        return RefusedFile(path=entry.path, message="The deployments path is a submodule, and those are not read.")
    if not entry.is_regular:
        return RefusedFile(path=entry.path, message="A manifest must be a regular file, not a link or a submodule.")
    if not is_manifest(entry.path):
        return RefusedFile(path=entry.path, message="The deployments path is neither a directory nor a manifest.")
    return None
