"""The fields of an active deployment, each with the file and line where it is declared, and the commit that changed it.

The dashboard shows them on the page of a deployment, and the HTTP API returns them. Lines come from the text of the
manifest at the active revision. If it can't be read, every field gets the line where its document begins.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from controller.clock import Clock
from controller.errors import ControllerError
from controller.manifests.field_locations import SourceLocation, field_places
from controller.model.commits import Commit
from controller.model.status import InventoryEntry
from controller.queries.field_blame import FieldBlame
from controller.records import dataclass
from controller.sources.source import Source

_MAX_CACHED = 256
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredField:
    """One field of a document, its value as plain JSON, and its location.

    `changed_in` is the commit that last changed its lines, None if that is unknown.
    """

    name: str
    value: Any
    file: str
    line: int
    changed_in: Commit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where the fields of a document are, by their names, and the commits that last changed these places."""

    locations: Mapping[str, SourceLocation] = field(default_factory=dict)
    commits: Mapping[SourceLocation, Commit] = field(default_factory=dict)


class FieldLocations:
    """Finds locations and commits of fields, and caches them by revision. Safe to use from several threads."""

    def __init__(self, source: Source, environment: str | None, clock: Clock) -> None:
        self._source = source
        self._environment = environment
        self._clock = clock
        self._lock = threading.Lock()
        self._blame = FieldBlame(source)
        self._memory: OrderedDict[_Key, _Places] = OrderedDict()

    def locate(self, entry: InventoryEntry, revision: str) -> tuple[DeclaredField, ...]:
        """Return the fields of this entry in document order. `revision` is the one that contains its text."""
        places = self._find(entry, revision)
        start = SourceLocation(entry.file, entry.line)
        fields = ((key, value, places.locations.get(key, start)) for key, value in entry.document.items())
        return tuple(
            DeclaredField(name=key, value=value, file=at.file, line=at.line, changed_in=places.commits.get(at))
            for key, value, at in fields
        )

    def _find(self, entry: InventoryEntry, revision: str) -> "_Places":
        key = (revision, entry.file, entry.name)
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
                return self._memory[key]
        if not self._source.is_pinned and not entry.is_valid:
            return _Places()  # a directory only has the current version of the file, which is not the active one
        try:
            content = self._source.read_file(revision, entry.file)
            project = self._source.read_project(revision)
        except (ControllerError, OSError):
            return _Places()
        now = self._clock.now()
        locations = field_places(
            content, entry.file, entry.name, project=project, environment=self._environment, now=now
        )
        commits = self._blame.find_changes(revision, locations.values()) if self._source.is_pinned else {}
        places = _Places(locations=locations, commits=commits)
        with self._lock:
            self._memory[key] = places
            while len(self._memory) > _MAX_CACHED:
                self._memory.popitem(last=False)
        return places
