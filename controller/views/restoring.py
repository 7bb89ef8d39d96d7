"""The last good document of a deployment, to be committed again. For `controller restore` and the HTTP API."""

from typing import Any

from controller.errors import SourceError, unknown_deployment
from controller.manifests import Excerpt, as_yaml, excerpt
from controller.model.status import InventoryEntry
from controller.sources.source import Source
from controller.store import Transaction, inventory


def last_entry(tx: Transaction, name: str) -> InventoryEntry:
    """What is in force under this name, or was until it left the repository. Raises NotFoundError."""
    found = inventory.find_removed(tx, name) or inventory.find(tx, name)
    if found is None:
        raise unknown_deployment(name, [*inventory.removed_names(tx), *inventory.entries(tx)])
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
    return excerpt(content, entry.name, json=entry.file.endswith(".json")) or recorded
