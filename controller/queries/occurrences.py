"""The ledger of due times, each with its outcome, as all user interfaces show it."""

from datetime import datetime

from controller.model.runs import Occurrence
from controller.store import Transaction, occurrences
from controller.store.name_lookup import is_recorded, not_active


def list_occurrences(
    tx: Transaction, name: str, limit: int, *, since: datetime | None = None, until: datetime | None = None
) -> list[Occurrence]:
    """Return the newest `limit` due times in [since, until], newest first. Raises NotFoundError."""
    entries = occurrences.find_newest(tx, name, limit, since=since, until=until)
    if not entries and not is_recorded(tx, name):
        raise not_active(tx, name)
    return entries
