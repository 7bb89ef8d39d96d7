"""The fields of an active deployment, each with the file and line where it is declared.

The dashboard shows them on the page of a deployment. Lines come from the text of the manifest at the active revision.
If it can't be read, every field gets the line where its document begins.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.clock import Clock
from controller.errors import ControllerError
from controller.manifests.field_locations import SourceLocation, field_places
from controller.model.status import InventoryEntry
from controller.sources.source import Source

_MAX_CACHED = 256
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredField:
    """One field of a document, its value as plain JSON, and its location."""

    name: str
    value: Any
    file: str
    line: int


class FieldLocations:
    """Finds locations of fields, and caches them by revision. Safe to use from several threads."""

    def __init__(self, source: Source, environment: str | None, clock: Clock) -> None:
        self._source = source
        self._environment = environment
        self._clock = clock
        self._lock = threading.Lock()
        self._memory: OrderedDict[_Key, Mapping[str, SourceLocation]] = OrderedDict()

    def locate(self, entry: InventoryEntry, revision: str) -> tuple[DeclaredField, ...]:
        """Return the fields of this entry in document order. `revision` is the one that contains its text."""
        locations = self._locations(entry, revision)
        start = SourceLocation(entry.file, entry.line)
        fields = ((key, value, locations.get(key, start)) for key, value in entry.document.items())
        return tuple(DeclaredField(name=key, value=value, file=at.file, line=at.line) for key, value, at in fields)

    def _locations(self, entry: InventoryEntry, revision: str) -> Mapping[str, SourceLocation]:
        key = (revision, entry.file, entry.name)
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
                return self._memory[key]
        if not self._source.is_pinned and not entry.is_valid:
            return {}  # a directory only has the current version of the file, which is not the active one
        try:
            content = self._source.read_file(revision, entry.file)
            project = self._source.read_project(revision)
        except (ControllerError, OSError):
            return {}
        now = self._clock.now()
        locations = field_places(
            content, entry.file, entry.name, project=project, environment=self._environment, now=now
        )
        with self._lock:
            self._memory[key] = locations
            while len(self._memory) > _MAX_CACHED:
                self._memory.popitem(last=False)
        return locations
