"""Cancels a run."""

import logging

from controller.errors import ConflictError
from controller.model.runs import Run, RunState
from controller.operations.context import OperationContext, clean_reason, get_run
from controller.runs.backfill_runs import BackfillRuns
from controller.runs.outcomes import cancel

log = logging.getLogger(__name__)


def cancel_run(context: OperationContext, run_id: str, reason: str, *, author: str) -> Run:
    """Cancel a run: immediately if it waits, otherwise as soon as its flow has ended. Idempotent.

    Raises NotFoundError, UsageError, and ConflictError if the run has finished with another outcome.
    """
    reason = clean_reason(reason)
    with context.store.write() as tx:
        run = get_run(tx, run_id)
        if run.state.is_terminal and run.state is not RunState.CANCELLED:
            raise ConflictError(
                f"Run {run.id} has already finished: {run.state}.", hint="Finished runs cannot be changed."
            )
        if run.state.is_terminal or run.cancel_reason is not None:
            return run
        message = f"{author} cancelled run {run.id}: {reason}"
        context.record_event(tx, "CancelRequested", message, run.deployment, run_id=run.id)
        now = context.clock.now()
        ended = cancel(tx, run, reason, now)
        if ended is not None and ended.backfill_id is not None:
            BackfillRuns(context.admission).advance(tx, ended.backfill_id, now)
        run = get_run(tx, run_id)
    log.info("Run cancellation requested", extra={"deployment": run.deployment, "run": run.id, "author": author})
    context.wake()
    return run
