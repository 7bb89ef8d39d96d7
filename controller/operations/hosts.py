"""Ends the runs of a host that will not come back."""

import logging

from controller.errors import ConflictError, NotFoundError
from controller.model.hosts import Host, HostState, LostHost
from controller.model.runs import RunOutcome, RunState
from controller.model.status import EventSeverity
from controller.operations.context import OperationContext
from controller.runs.outcomes import log_outcome, record_outcomes
from controller.store import Transaction
from controller.store.hosts import find_hosts, running_on
from controller.text import format_count

log = logging.getLogger(__name__)


def declare_lost(context: OperationContext, name: str, *, author: str) -> LostHost:
    """End the runs in progress on a host as crashed. Their retries may start at once. Idempotent.

    Raises NotFoundError, and ConflictError if a controller on that host was seen in the last 30 seconds.
    """
    with context.store.write() as tx:
        host = _find(tx, name)
        if host.state is not HostState.AWAY:
            raise ConflictError(
                f"Host {name} is not lost: a controller there was seen in the last 30 seconds.",
                hint="That controller finds out how its runs end. If the host is lost, try again in 30 seconds.",
            )
        running = running_on(tx, name)
        outcome = RunOutcome(state=RunState.CRASHED, reason=f"outcome unknown: host {name} was declared lost")
        ended = record_outcomes(tx, [(run, outcome) for run, _ in running], context.clock.now())
        count = format_count(len(ended), "run")
        message = f"{author} declared host {name} lost; {count} ended as crashed"
        context.record_event(tx, "HostLost", message, None, EventSeverity.WARNING)
    for run in ended:
        log_outcome(run)
    log.warning("Host declared lost", extra={"host": name, "runs": len(ended), "author": author})
    context.wake()
    return LostHost(host=name, run_ids=tuple(run.id for run in ended))


def _find(tx: Transaction, name: str) -> Host:
    found = {host.name: host for host in find_hosts(tx)}
    if name not in found:
        known = ", ".join(found) or "none"
        raise NotFoundError(f"There is no host {name!r}.", hint=f"Hosts of this state: {known}.")
    return found[name]
