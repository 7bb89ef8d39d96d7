"""Triggers a run of a deployment: now, or for one of its due times."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controller.errors import UsageError
from controller.model.runs import Run
from controller.operations.context import OperationContext, get_entry
from controller.operations.due_times import check_finished, schedule_at
from controller.operations.idempotency import find_run_by_key
from controller.store import Transaction
from controller.time_format import in_utc

log = logging.getLogger(__name__)


def trigger_run(
    context: OperationContext,
    name: str,
    parameters: Mapping[str, Any],
    *,
    due_time: datetime | None = None,
    key: str | None = None,
    author: str,
) -> Run:
    """Queue a run now. The same idempotency `key` returns the same run.

    With `due_time`, the run is recorded for that due time, and repeats it if it has had a run. A due time of an older
    schedule is accepted if the ledger has it. A deployment without schedules accepts any past time. Raises
    NotFoundError, UsageError, and ConflictError if a run of the due time has not finished.
    """

    def difference(run: Run) -> str | None:
        if run.retry_of is not None:
            return "That run is a retry of another run"
        if run.scheduled_for != due_time:
            return "That run has another due time"
        recorded = run.parameters if run.overrides is None else run.overrides
        is_different = any(recorded.get(parameter) != value for parameter, value in parameters.items())
        return "That run has different parameters" if is_different else None

    context.parameters.check(name, parameters, due_time)
    if due_time is not None and due_time > context.clock.now():
        raise UsageError("The due time is in the future.", hint="Pass a past due time as --due-time.")
    with context.store.write() as tx:
        existing = find_run_by_key(tx, name, key, difference)
        if existing is not None:
            return existing
        run = _create(context, tx, name, parameters, due_time, key)
        at = "" if due_time is None else f" for the due time {in_utc(due_time)}"
        context.record_event(tx, "Triggered", f"{author} triggered run {run.id}{at}.", name, run_id=run.id)
    log.info("Run requested", extra={"deployment": name, "run": run.id, "author": author})
    context.wake()
    return run


def _create(
    context: OperationContext,
    tx: Transaction,
    name: str,
    parameters: Mapping[str, Any],
    due_time: datetime | None,
    key: str | None,
) -> Run:
    schedule = None
    if due_time is not None:
        deployment = context.admission.deployment(get_entry(tx, name))
        schedule = schedule_at(tx, deployment, due_time, context.clock.now())
        check_finished(tx, name, due_time)
    return context.admission.create_run(tx, name, parameters, key, due_time=due_time, schedule=schedule)
