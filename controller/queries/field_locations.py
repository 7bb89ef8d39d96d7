"""What a deployment in force declares, field by field, each with the file and the line where git says it.

The page of a deployment shows it. Read from the text of the manifest at the revision that counts; where that can't be
read, a field is where its document begins.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.clock import Clock
from controller.errors import ControllerError
from controller.manifests import SourceLocation, field_places
from controller.model.status import InventoryEntry
from controller.sources.source import Source

_REMEMBERED = 256
_Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredField:
    """One field of a document, its value as plain JSON, and where it is written."""

    name: str
    value: Any
    file: str
    line: int


class Fields:
    """Remembers places by revision. Safe to use from several threads."""

    def __init__(self, source: Source, environment: str | None, clock: Clock) -> None:
        self._source = source
        self._environment = environment
        self._clock = clock
        self._lock = threading.Lock()
        self._memory: OrderedDict[_Key, Mapping[str, SourceLocation]] = OrderedDict()

    def of(self, entry: InventoryEntry, revision: str) -> tuple[DeclaredField, ...]:
        """The fields of this entry, of which `revision` has the text, in the order of the document."""
        places = self._places(entry, revision)
        start = SourceLocation(entry.file, entry.line)
        found = ((key, value, places.get(key, start)) for key, value in entry.document.items())
        return tuple(DeclaredField(name=key, value=value, file=at.file, line=at.line) for key, value, at in found)

    def _places(self, entry: InventoryEntry, revision: str) -> Mapping[str, SourceLocation]:
        key = (revision, entry.file, entry.name)
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
                return self._memory[key]
        if not self._source.is_pinned and not entry.is_valid:
            return {}  # the file as it was is gone
        try:
            content = self._source.read_file(revision, entry.file)
            project = self._source.read_project(revision)
        except (ControllerError, OSError):
            return {}
        now = self._clock.now()
        places = field_places(content, entry.file, entry.name, project=project, environment=self._environment, now=now)
        with self._lock:
            self._memory[key] = places
            while len(self._memory) > _REMEMBERED:
                self._memory.popitem(last=False)
        return places
