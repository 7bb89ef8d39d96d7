"""Reads the schedules of recorded documents, without building their deployments.

The reconciler projects the schedules of all deployments after a start. A deployment is built when it is due.
"""

from collections.abc import Mapping
from typing import Any

from controller.errors import StateError
from controller.manifests.calendar_fields import CALENDARS
from controller.manifests.canonical_json import canonical_json
from controller.manifests.schedule_fields import read_schedules
from controller.manifests.schema_validation import accepts
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Node, Position
from controller.model.schedules import Schedule

_KEYS = ("schedule", "schedules", "timezone", CALENDARS)


def schedules_key(document: Mapping[str, Any]) -> bytes:
    """Return what the schedules of a document depend on. Equal keys mean equal schedules."""
    return canonical_json({key: document[key] for key in _KEYS if key in document})


class RecordedSchedules:
    """Reads documents. Equal declarations are read once, and have the same tuple. `count` is the number of those read.

    Use one for a single run over the inventory: it keeps all schedules that it has read.
    """

    def __init__(self) -> None:
        self._read: dict[bytes, tuple[Schedule, ...]] = {}

    @property
    def count(self) -> int:
        """The number of different declarations read."""
        return len(self._read)

    def find(self, document: Mapping[str, Any]) -> tuple[Schedule, ...]:
        """Return the schedules of a document, as `build_deployment` does. Raises StateError if it is not valid."""
        if not accepts(document):
            raise StateError(f"the document of {document.get('name')} is not valid")
        key = schedules_key(document)
        if key not in self._read:
            declared = {key: document[key] for key in _KEYS if key in document}
            context = ValidationContext(Node(declared, Position(1, 1)), ())
            schedules = read_schedules(context, None)
            if context.problems:
                raise StateError(context.problems[0].message)
            self._read[key] = schedules
        return self._read[key]
