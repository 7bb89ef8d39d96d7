"""Idempotency keys: a request that is repeated with the same key returns the run that the first one created."""

from collections.abc import Callable

from controller.client.idempotency_keys import KEY_RULE, is_valid_key
from controller.errors import UsageError
from controller.model.runs import Run
from controller.store import Transaction, runs


def find_run_by_key(
    tx: Transaction, deployment: str, key: str | None, difference: Callable[[Run], str | None]
) -> Run | None:
    """Return the run of this deployment that an earlier request with this key created; None if there is none.

    `difference` says how such a run differs from the one that is requested now; None if it does not. Raises UsageError
    for such a difference, and for an invalid key.
    """
    if key is None:
        return None
    if not is_valid_key(key):
        raise UsageError(KEY_RULE)
    run = runs.find_by_key(tx, deployment, key)
    if run is not None and (text := difference(run)) is not None:
        message = f"The idempotency key {key} is already used by run {run.id}."
        raise UsageError(message, hint=f"{text}; use a new key to create a new run.")
    return run
