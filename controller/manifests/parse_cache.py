"""A cache of parsed files, for several readers of the same files: `plan` reads a commit once per environment."""

from collections import OrderedDict
from dataclasses import replace

from controller.manifests.flow_references import ModuleCache
from controller.manifests.rendered_specs import load_rendered
from controller.manifests.short_forms import is_ignored
from controller.manifests.yaml.loader import Loaded, load, load_values
from controller.model.snapshots import ManifestFile, is_json, is_python

MAX_BYTES = 4 << 20
"""Limit for the size of the files on disk. Parsed, they take many times as much memory."""


class ParsedFiles:
    """The most recently used parsed files, by path and digest. `count` is the number of files parsed.

    `modules` caches the Python files that were searched for flows. Not thread-safe.
    """

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self.count = 0
        self.modules = ModuleCache()
        self._limit = limit
        self._entries: OrderedDict[tuple[str, str], tuple[Loaded, int]] = OrderedDict()
        self._bytes = 0

    def load(self, file: ManifestFile) -> Loaded:
        """Return the contents of the file, from the cache if possible."""
        key = (file.path, file.digest)
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
            return entry[0]
        self.count += 1
        loaded = load_file(file)
        self._entries[key] = loaded, len(file.content)
        self._bytes += len(file.content)
        while self._bytes > self._limit:
            _, (_, evicted) = self._entries.popitem(last=False)
            self._bytes -= evicted
        return loaded


def load_file(file: ManifestFile) -> Loaded:
    """Return the contents of the file. For a Python spec, these are the documents it was rendered to.

    Valid documents that have only keys to ignore are left out: they hold anchors for others of the same list.
    """
    if is_python(file.path):
        return load_rendered(file.content)
    return _without_ignored(load(file.content, json=is_json(file.path)))


def load_file_values(file: ManifestFile) -> Loaded | None:
    """Return the contents of the file without positions; None if only `load_file` can read it."""
    loaded = None if is_python(file.path) else load_values(file.content, json=is_json(file.path))
    return None if loaded is None else _without_ignored(loaded)


def _without_ignored(loaded: Loaded) -> Loaded:
    documents = tuple(each for each in loaded.documents if each.problems or not is_ignored(each.root.value))
    return loaded if len(documents) == len(loaded.documents) else replace(loaded, documents=documents)
