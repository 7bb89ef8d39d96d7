"""The ledger as every surface shows it: due times and what became of them."""

from dataclasses import dataclass
from datetime import datetime

from controller.store import Transaction, occurrences
from controller.store.name_lookup import is_recorded, not_active


@dataclass(frozen=True, slots=True, kw_only=True)
class OccurrenceView:
    """One due time: `outcome` is `run` or `skipped`, for `reason`. A skip names the run that has waited in vain."""

    deployment: str
    schedule: str
    scheduled_for: datetime
    outcome: str
    run_id: str | None
    reason: str | None


def list_occurrences(
    tx: Transaction, name: str, limit: int, *, since: datetime | None = None, until: datetime | None = None
) -> list[OccurrenceView]:
    """The newest `limit` due times in [since, until], newest first. Raises NotFoundError for an unknown name."""
    found = occurrences.of(tx, name, limit, since=since, until=until)
    if not found and not is_recorded(tx, name):
        raise not_active(tx, name)
    return [
        OccurrenceView(
            deployment=one.deployment,
            schedule=one.schedule,
            scheduled_for=one.scheduled_for,
            outcome=one.outcome.value,
            run_id=one.run_id,
            reason=one.reason,
        )
        for one in found
    ]
