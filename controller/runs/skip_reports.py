"""Reports the due times that admission has skipped: a log line for each batch, and an event if they were missed."""

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from controller.model.runs import Occurrence, Outcome
from controller.model.status import Event, EventSeverity
from controller.store import Transaction
from controller.time_format import in_utc

log = logging.getLogger("controller.runs.admission")


def report_skips(
    tx: Transaction, now: datetime, ledger: Sequence[Occurrence], dropped: int, first: datetime | None
) -> list[Event]:
    """Report the skipped ones of these due times, and `dropped` earlier ones since `first`, which have no row.

    Return the events, which the caller records.
    """
    reports = []
    skipped = [row for row in ledger if row.outcome is Outcome.SKIPPED]
    missed = len(skipped) + dropped
    for last in skipped[-1:]:
        fields = {"deployment": last.deployment, "reason": last.reason, "count": missed}
        tx.after_commit(partial(log.info, "Due times skipped", extra=fields))
        if dropped or any(row.reason == "catch-up" for row in skipped):
            count = "1 due time" if missed == 1 else f"{missed} due times"
            message = f"{count} missed since {in_utc(first or ledger[0].scheduled_for)} and skipped"
            message += f"; {dropped} of them are not in the ledger." if dropped else "."
            event = Event(
                time=now,
                severity=EventSeverity.WARNING,
                reason="MissedTimes",
                message=message,
                about=last.deployment,
                deployment=last.deployment,
            )
            reports.append(event)
    return reports
