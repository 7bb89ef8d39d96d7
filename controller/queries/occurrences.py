"""The ledger of due times, each with its outcome, as all user interfaces show it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from controller.model.runs import DueRun, Occurrence, Outcome
from controller.store import Transaction, occurrences, runs
from controller.store.name_lookup import is_recorded, not_active


def list_occurrences(
    tx: Transaction,
    name: str,
    limit: int,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    before: datetime | None = None,
) -> list[Occurrence]:
    """Return the newest `limit` due times in [since, until] and earlier than `before`, newest first.

    Raises NotFoundError.
    """
    entries = occurrences.find_newest(tx, name, limit, since=since, until=until, before=before)
    if not entries and not is_recorded(tx, name):
        raise not_active(tx, name)
    if not entries:
        return []
    history = runs.history(tx, name, entries[-1].scheduled_for, entries[0].scheduled_for)
    return [_with_runs(entry, history.get(entry.scheduled_for, ())) for entry in entries]


def list_due_runs(tx: Transaction, name: str, due_time: datetime) -> Sequence[DueRun]:
    """Return all runs of this due time, oldest first."""
    return _public(runs.history(tx, name, due_time, due_time).get(due_time, ()))


def _with_runs(entry: Occurrence, history: Sequence[DueRun]) -> Occurrence:
    public = _public(history)
    unfinished = [run for run in public if not run.state.is_terminal]
    if not unfinished:
        return replace(entry, runs=public)
    [*_, latest] = unfinished
    return replace(entry, outcome=Outcome.RUN, reason=None, run_id=latest.run_id, state=latest.state, runs=public)


def _public(history: Sequence[DueRun]) -> tuple[DueRun, ...]:
    return tuple(replace(run, state=run.state.public) for run in history)
