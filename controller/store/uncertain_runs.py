"""Marks runs in progress of which it is unknown whether they are still running. The end of a run removes the mark."""

import logging
from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import func, update

from controller.model.runs import RunId
from controller.store.schema import Instant, runs
from controller.store.store import Transaction

log = logging.getLogger(__name__)


def record(tx: Transaction, reasons: Mapping[RunId, str | None], now: datetime) -> None:
    """Mark these runs with the reasons, or remove the mark (None), and log it after the commit."""
    marked = {run_id: reason for run_id, reason in reasons.items() if reason is not None}
    mark(tx, marked, now)
    clear(tx, [run_id for run_id in reasons if run_id not in marked])
    tx.after_commit(lambda: _log(reasons))


def mark(tx: Transaction, reasons: Mapping[RunId, str], now: datetime) -> None:
    """Record why it is unknown whether these runs are running. Later marks keep the time of the first one."""
    since = func.coalesce(runs.c.uncertain_since, now, type_=Instant)
    for reason in set(reasons.values()):
        run_ids = [run_id for run_id, own in reasons.items() if own == reason]
        is_running = (runs.c.id.in_(run_ids), runs.c.finished_at.is_(None))
        tx.connection.execute(update(runs).where(*is_running).values(uncertain_since=since, uncertain_reason=reason))


def clear(tx: Transaction, run_ids: Collection[RunId]) -> None:
    """Record that these runs are no longer uncertain."""
    if run_ids:
        values = {"uncertain_since": None, "uncertain_reason": None}
        tx.connection.execute(update(runs).where(runs.c.id.in_(list(run_ids))).values(values))


def _log(reasons: Mapping[RunId, str | None]) -> None:
    for run_id, reason in reasons.items():
        if reason is None:
            log.info("A run is no longer uncertain", extra={"run": run_id})
        else:
            log.warning("It is unknown whether a run is running", extra={"run": run_id, "reason": reason})
