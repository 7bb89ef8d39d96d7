"""Holds a deployment, so that only users start its runs, resumes it, and ends holds that have expired."""

from datetime import datetime

from controller.errors import ConflictError, UsageError
from controller.model.status import EventSeverity, Hold, InventoryEntry
from controller.operations.context import OperationContext, clean_reason, get_entry
from controller.store import holds
from controller.text import join_and
from controller.time_format import in_utc


def hold_deployment(context: OperationContext, name: str, reason: str, until: datetime | None, *, author: str) -> None:
    """Hold what starts runs of a deployment until a time, or until it is resumed. Raises NotFoundError, UsageError."""
    now = context.clock.now()
    reason = clean_reason(reason)
    if until is not None and until <= now:
        raise UsageError("The end of the hold is in the past.", hint="Pass a future time as --until.")
    hold = Hold(deployment=name, reason=reason, author=author, since=now, until=until)
    with context.store.write() as tx:
        entry = get_entry(tx, name)
        holds.save(tx, hold)
        limit = "" if until is None else f" until {in_utc(until)}"
        message = f"{author} held {_what_starts(entry)}{limit}: {reason}"
        context.record_event(tx, "Held", message, name, EventSeverity.WARNING)
    context.wake()  # so that the engine knows when the hold ends


def resume_deployment(context: OperationContext, name: str, *, author: str) -> None:
    """End the hold of a deployment. Raises NotFoundError, and ConflictError if it is not held."""
    with context.store.write() as tx:
        entry = get_entry(tx, name)
        if not holds.remove(tx, name):
            raise ConflictError(f"{name} is not held.", hint="To end a suspension in git, set `suspend: false`.")
        context.record_event(tx, "Resumed", f"{author} resumed {_what_starts(entry)}.", name)
    context.notify_due(name)


def end_expired_holds(context: OperationContext) -> None:
    """Remove expired holds, and let the engine decide the due times that were missed meanwhile. `app` calls it."""
    now = context.clock.now()
    with context.store.read() as tx:
        expired = [name for name, hold in holds.find_all(tx).items() if hold.is_over(now)]
    if not expired:
        return
    with context.store.write() as tx:
        for name in expired:
            holds.remove(tx, name)
            context.record_event(tx, "HoldExpired", "The hold has expired; the deployment starts runs again.", name)
    for name in expired:
        context.notify_due(name)


def _what_starts(entry: InventoryEntry) -> str:
    """Return what a hold of this deployment affects, such as `the schedules and webhooks`."""
    from controller.queries.deployments import build_entry

    deployment = build_entry(entry)
    if deployment is None:
        return "the deployment"
    kinds = {
        "schedules": deployment.schedules,
        "upstream triggers": () if deployment.schedules else deployment.after.upstreams,
        "file triggers": deployment.files,
        "webhooks": deployment.webhooks,
    }
    names = [kind for kind, declared in kinds.items() if declared]
    return f"the {join_and(names)}" if names else "the deployment"
