"""Retries a finished run as a new run: with its own commit, or with the latest applied one."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from controller.errors import ConflictError
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.operations.context import OperationContext, get_run
from controller.operations.due_times import check_finished
from controller.operations.idempotency import find_run_by_key
from controller.runs.backfills import reopen
from controller.store import Transaction, backfills, runs

log = logging.getLogger(__name__)


def retry_run(
    context: OperationContext, run_id: str, *, latest: bool = False, key: str | None = None, author: str
) -> Run:
    """Queue a new run with the commit, parameters and due time of a finished run.

    With `latest`, it executes the deployment as it is active now, with today's declared parameters and with those that
    were set when the run was requested. References in them keep the due time of the finished run. The same idempotency
    `key` returns the same run. Raises NotFoundError, UsageError, and ConflictError if the run, another run of its due
    time or another retry of it has not finished.
    """

    def difference(run: Run) -> str | None:
        return None if run.retry_of == run_id else f"That run is not a retry of run {run_id}"

    if latest:
        with context.store.read() as tx:
            requested = get_run(tx, run_id)
        context.parameters.check(requested.deployment, requested.overrides or {}, requested.scheduled_for)
    with context.store.write() as tx:
        old = get_run(tx, run_id)
        existing = find_run_by_key(tx, old.deployment, key, difference)
        if existing is not None:
            return existing
        if not old.state.is_terminal:
            raise ConflictError(
                f"Run {run_id} has not finished: {old.state}.", hint="Wait until it finishes, or cancel it first."
            )
        _check_retries(tx, old)
        if latest:
            run = replace(context.admission.retry_with_latest(tx, old), idempotency_key=key)
        else:
            now = context.clock.now()
            retry = _new_retry(old, context.admission.ids.new(now), now, key)
            run = context.admission.retry_with_upstream(tx, old, retry)
        runs.insert_all(tx, [run])
        backfills.record_runs(tx, [run])
        for backfill_id in {run.backfill_id, *backfills.replace_run(tx, old.id, run.id)}:
            reopen(tx, backfill_id)
        code = " with the latest code" if latest else ""
        message = f"{author} retried run {old.id} as run {run.id}{code}."
        context.record_event(tx, "Retried", message, run.deployment, run_id=run.id)
    fields = {"deployment": run.deployment, "run": run.id, "retry_of": old.id, "author": author}
    log.info("Run retried", extra=fields)
    context.wake()
    return run


def _check_retries(tx: Transaction, old: Run) -> None:
    """Raise ConflictError if a run of the same due time has not finished; without one, if a retry of this run has not.

    So the same run, or the same due time, is never retried twice at the same time.
    """
    if old.scheduled_for is not None:
        check_finished(tx, old.deployment, old.scheduled_for)
        return
    retries = runs.retries_without_due_time(tx, old.deployment)
    first = _first_run(old.id, retries)
    for run_id, (_, state) in retries.items():
        if not state.is_terminal and _first_run(run_id, retries) == first:
            raise ConflictError(
                f"Run {run_id}, a retry of this run, has not finished: {state.public}.",
                hint="Wait until it finishes, or cancel it first.",
            )


def _first_run(run_id: RunId, retries: Mapping[RunId, tuple[RunId, RunState]]) -> RunId:
    """Return the run that this one retries, directly or through other retries."""
    while run_id in retries:
        run_id = retries[run_id][0]
    return run_id


def _new_retry(old: Run, run_id: RunId, now: datetime, key: str | None) -> Run:
    return Run(
        id=run_id,
        deployment=old.deployment,
        state=RunState.PENDING,
        trigger=Trigger.RETRY,
        created_at=now,
        revision=old.revision,
        file=old.file,
        spec_digest=old.spec_digest,
        scheduled_for=old.scheduled_for,
        idempotency_key=key,
        attempts=old.attempts,
        name=old.name,
        version=old.version,
        tags=old.tags,
        parameters=old.parameters,
        queue=old.queue,
        priority=old.priority,
        serial=old.serial,
        overlap_limit=old.overlap_limit,
        retries=old.retries,
        retry_of=old.id,
        backfill_id=old.backfill_id,
        overrides=old.overrides,
        chain=None if old.scheduled_for is not None else old.chain or old.id,
    )
