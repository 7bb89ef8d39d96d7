"""The last good document of a deployment, to be committed again: for `controller restore`, the API and a page."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.errors import SourceError
from controller.manifests import Excerpt, as_yaml, excerpt
from controller.model.snapshots import is_json
from controller.model.status import InventoryEntry
from controller.sources.source import Source
from controller.store import Transaction, inventory
from controller.store.name_lookup import deleted_by, not_active


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedDeployment:
    """A deployment that left the repository: when, and with which revision, if that is still recorded."""

    entry: InventoryEntry
    at: datetime | None
    revision: str | None


def find_deleted(tx: Transaction, name: str) -> DeletedDeployment | None:
    """What was in force under this name until it left; None if it has not, or that is forgotten."""
    entry = inventory.find_removed(tx, name)
    if entry is None:
        return None
    return DeletedDeployment(entry=entry, at=inventory.removed_at(tx, name), revision=deleted_by(tx, name))


def last_entry(tx: Transaction, name: str) -> InventoryEntry:
    """What is in force under this name, or was until it left the repository. Raises NotFoundError."""
    found = inventory.find_removed(tx, name) or inventory.find(tx, name)
    if found is None:
        raise not_active(tx, name, others=inventory.removed_names(tx))
    return found


def last_document(entry: InventoryEntry, source: Source) -> Excerpt:
    """As its author wrote it, out of git; or as it was recorded, where git has it no more."""
    document: dict[str, Any] = dict(entry.document)
    recorded = Excerpt(document=document, text=as_yaml([document]), is_whole=False)
    if not source.is_pinned:
        return recorded
    try:
        content = source.read_file(entry.revision, entry.file)
    except SourceError:
        return recorded
    return excerpt(content, entry.name, json=is_json(entry.file)) or recorded
