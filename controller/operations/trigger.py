"""Triggers a run of a deployment now."""

import logging
from collections.abc import Mapping
from typing import Any

from controller.model.runs import Run
from controller.operations.context import OperationContext
from controller.operations.idempotency import find_run_by_key

log = logging.getLogger(__name__)


def trigger_run(
    context: OperationContext, name: str, parameters: Mapping[str, Any], *, key: str | None = None, author: str
) -> Run:
    """Queue a run now. The same idempotency `key` returns the same run. Raises NotFoundError, UsageError."""

    def difference(run: Run) -> str | None:
        if run.retry_of is not None:
            return "That run is a retry of another run"
        is_different = any(run.parameters.get(parameter) != value for parameter, value in parameters.items())
        return "That run has different parameters" if is_different else None

    context.parameters.check(name, parameters)
    with context.store.write() as tx:
        existing = find_run_by_key(tx, name, key, difference)
        if existing is not None:
            return existing
        run = context.admission.create_run(tx, name, parameters, key)
        context.record_event(tx, "Triggered", f"{author} triggered run {run.id}.", name)
    log.info("Run requested", extra={"deployment": name, "run": run.id, "author": author})
    context.wake()
    return run
