"""The ledger of due times, each with its outcome, as all user interfaces show it."""

from dataclasses import dataclass
from datetime import datetime

from controller.store import Transaction, occurrences
from controller.store.name_lookup import is_recorded, not_active


@dataclass(frozen=True, slots=True, kw_only=True)
class OccurrenceView:
    """One due time. `outcome` is `run` or `skipped`; `reason` says why.

    `run_id` is also set for a skipped due time whose run was created but expired before it could start.
    """

    deployment: str
    schedule: str
    scheduled_for: datetime
    outcome: str
    run_id: str | None
    reason: str | None


def list_occurrences(
    tx: Transaction, name: str, limit: int, *, since: datetime | None = None, until: datetime | None = None
) -> list[OccurrenceView]:
    """Return the newest `limit` due times in [since, until], newest first. Raises NotFoundError."""
    entries = occurrences.find_newest(tx, name, limit, since=since, until=until)
    if not entries and not is_recorded(tx, name):
        raise not_active(tx, name)
    return [
        OccurrenceView(
            deployment=entry.deployment,
            schedule=entry.schedule,
            scheduled_for=entry.scheduled_for,
            outcome=entry.outcome.value,
            run_id=entry.run_id,
            reason=entry.reason,
        )
        for entry in entries
    ]
