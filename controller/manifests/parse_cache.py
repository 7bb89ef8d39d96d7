"""Files that were parsed already, for several readers of the same files: `plan` reads a commit once per environment."""

from collections import OrderedDict

from controller.manifests.flow_references import Modules
from controller.manifests.rendered_specs import load_rendered
from controller.manifests.yaml.loader import Loaded, load
from controller.model.snapshots import ManifestFile, is_json, is_python

MAX_BYTES = 4 << 20
"""Of the files as they are written: in memory they are many times larger."""


class ParsedFiles:
    """The files that were parsed last, by path and digest. `count` is how many were parsed.

    `modules` are the Python files that flows were looked for in. Not for use by two threads at once.
    """

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self.count = 0
        self.modules = Modules()
        self._limit = limit
        self._kept: OrderedDict[tuple[str, str], tuple[Loaded, int]] = OrderedDict()
        self._bytes = 0

    def load(self, file: ManifestFile) -> Loaded:
        """What the file holds, parsed now or before."""
        key = (file.path, file.digest)
        known = self._kept.get(key)
        if known is not None:
            self._kept.move_to_end(key)
            return known[0]
        self.count += 1
        loaded = load_file(file)
        self._kept[key] = loaded, len(file.content)
        self._bytes += len(file.content)
        while self._bytes > self._limit:
            _, (_, forgotten) = self._kept.popitem(last=False)
            self._bytes -= forgotten
        return loaded


def load_file(file: ManifestFile) -> Loaded:
    """What the file holds; of a Python spec, what it was rendered to."""
    if is_python(file.path):
        return load_rendered(file.content)
    return load(file.content, json=is_json(file.path))
