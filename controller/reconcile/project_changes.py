"""What does a commit change in controller.yaml: queues, defaults, the project itself? Pure. The plans ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from controller.manifests import project_document
from controller.model.snapshots import ManifestFile, RefusedFile
from controller.reconcile.diff import MOST, FieldChange, differences

ProjectFile = ManifestFile | RefusedFile | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueChange:
    """A queue that is `added`, `removed` or `changed`. The limits are None where there is no limit, or no queue."""

    action: str
    queue: str
    before: int | None
    after: int | None


def queue_changes(before: Mapping[str, int | None], after: Mapping[str, int | None]) -> tuple[QueueChange, ...]:
    """What differs between these queues, each with its limit."""
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
    """The queues that the file declares, with their limits; None if the file is not valid."""
    document = project_document(file)
    if document is None:
        return None
    queues = document.get("queues") or {}
    return {name: (said or {}).get("limit") for name, said in queues.items()}


def project_changes(before: ProjectFile, after: ProjectFile) -> tuple[FieldChange, ...]:
    """The fields of the file that differ, but for the queues; none where either is not valid."""
    old, new = project_document(before), project_document(after)
    if old is None or new is None:
        return ()
    return tuple(islice(differences(_others(old), _others(new)), MOST))


def _others(document: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in document.items() if key != "queues"}
