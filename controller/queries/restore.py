"""The last valid document of a deployment, for `controller restore`, the API and the dashboard."""

from datetime import datetime
from typing import Any

from controller.errors import SourceError
from controller.manifests.extract import Excerpt, excerpt
from controller.manifests.yaml.dump import as_yaml
from controller.model.commits import Commit
from controller.model.snapshots import is_json
from controller.model.status import InventoryEntry
from controller.records import dataclass
from controller.sources.source import Source
from controller.store import Transaction, commits, inventory
from controller.store.name_lookup import deleting_revision, not_active


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedDeployment:
    """A deployment that was deleted from the repository: when, and with which revision, if that is still recorded.

    `commit` is the one that removed the document, which can be older than the revision. None if it is not known.
    """

    entry: InventoryEntry
    at: datetime | None
    revision: str | None
    commit: Commit | None


def find_deleted(tx: Transaction, name: str) -> DeletedDeployment | None:
    """Return the deleted deployment of this name; None if it was not deleted, or its record has expired."""
    entry = inventory.find_removed(tx, name)
    if entry is None:
        return None
    return DeletedDeployment(
        entry=entry,
        at=inventory.removal_time(tx, name),
        revision=deleting_revision(tx, name),
        commit=commits.find(tx, entry.changed_in),
    )


def last_entry(tx: Transaction, name: str) -> InventoryEntry:
    """Return the entry of an active or deleted deployment. Raises NotFoundError."""
    entry = inventory.find_removed(tx, name) or inventory.find(tx, name)
    if entry is None:
        raise not_active(tx, name, others=inventory.tombstone_names(tx))
    return entry


def last_document(entry: InventoryEntry, source: Source) -> Excerpt:
    """Return the document as its author wrote it, read from git, or the recorded one if git no longer has the file."""
    document: dict[str, Any] = dict(entry.document)
    recorded = Excerpt(document=document, text=as_yaml([document]), is_whole=False)
    if not source.is_pinned:
        return recorded
    try:
        content = source.read_file(entry.revision, entry.file)
    except SourceError:
        return recorded
    return excerpt(content, entry.name, json=is_json(entry.file)) or recorded
