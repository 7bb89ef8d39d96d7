"""Compares two versions of controller.yaml: queues, defaults and project settings.

Pure; called by `commit_comparison` and `state_comparison`.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from controller.manifests.project_file import project_document
from controller.model.snapshots import ManifestFile, RefusedFile
from controller.reconcile.diff import MAX_FIELDS, FieldChange, differences
from controller.records import dataclass

ProjectFile = ManifestFile | RefusedFile | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueChange:
    """A queue that is `added`, `removed` or `changed`, and its limits: None for no limit or no queue."""

    action: str
    queue: str
    before: int | None
    after: int | None


def queue_changes(before: Mapping[str, int | None], after: Mapping[str, int | None]) -> tuple[QueueChange, ...]:
    """Return the queues that differ; both mappings hold the limits by the names of the queues."""
    return tuple(
        QueueChange(
            action="added" if name not in before else "removed" if name not in after else "changed",
            queue=name,
            before=before.get(name),
            after=after.get(name),
        )
        for name in sorted({**before, **after})
        if name not in before or name not in after or before[name] != after[name]
    )


def declared_queues(file: ProjectFile) -> Mapping[str, int | None] | None:
    """Return the limits of the queues that the file declares, by name; None if the file is invalid."""
    document = project_document(file)
    if document is None:
        return None
    queues = document.get("queues") or {}
    return {name: (settings or {}).get("limit") for name, settings in queues.items()}


def project_changes(before: ProjectFile, after: ProjectFile) -> tuple[FieldChange, ...]:
    """Return the fields of the file that differ, except for the queues; none if either version is invalid."""
    old, new = project_document(before), project_document(after)
    if old is None or new is None:
        return ()
    return tuple(islice(differences(_without_queues(old), _without_queues(new)), MAX_FIELDS))


def _without_queues(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in document.items() if key != "queues"}
