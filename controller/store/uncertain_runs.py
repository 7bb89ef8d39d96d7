"""Marks runs in progress of which it is unknown whether they are still running. The end of a run removes the mark."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import func, update

from controller.model.runs import RunId
from controller.store.schema import Instant, runs
from controller.store.store import Transaction


def mark(tx: Transaction, reasons: Mapping[RunId, str], now: datetime) -> None:
    """Record why it is unknown whether these runs are running. Later marks keep the time of the first one."""
    since = func.coalesce(runs.c.uncertain_since, now, type_=Instant)
    for run_id, reason in reasons.items():
        is_running = (runs.c.id == run_id, runs.c.finished_at.is_(None))
        tx.connection.execute(update(runs).where(*is_running).values(uncertain_since=since, uncertain_reason=reason))


def clear(tx: Transaction, run_ids: Collection[RunId]) -> None:
    """Record that these runs are no longer uncertain."""
    if run_ids:
        values = {"uncertain_since": None, "uncertain_reason": None}
        tx.connection.execute(update(runs).where(runs.c.id.in_(list(run_ids))).values(values))
