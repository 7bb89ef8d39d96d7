"""The state, the clock and the parts of the running controller that operations use. `app` creates the context."""

from collections.abc import Callable
from concurrent.futures import Future

from controller.clock import Clock
from controller.errors import NotFoundError, UsageError
from controller.model.notifications import Message, NotifySettings
from controller.model.runs import Run, RunId, RunState
from controller.model.status import Event, EventSeverity, InventoryEntry
from controller.operations.parameter_check import Parameters
from controller.reconcile.reconciler import PassResult
from controller.records import dataclass
from controller.runs.admission import Admission
from controller.store import Store, Transaction, events, inventory, runs
from controller.store.name_lookup import not_active

MAX_REASON = 500
_MAX_MESSAGE = 1000
_STARTS_LATER = "The controller is stopping and starts no more runs; the next controller will start this run."


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationContext:
    """The parts of the controller that operations use. Thread-safe.

    `wake` wakes the engine, and `notify_due` also tells it that a deployment may have due runs. `request_pass` requests
    a reconcile pass. `test_channel` sends a test message to a channel, and returns a future with its result.
    `notify_settings` returns the channels and rules of the operator. `is_stopping` returns whether the engine starts no
    more runs.
    """

    store: Store
    clock: Clock
    admission: Admission
    parameters: Parameters
    wake: Callable[[], None]
    notify_due: Callable[[str], None]
    request_pass: Callable[[], Future[PassResult]]
    test_channel: Callable[[str], Future[Message]]
    notify_settings: Callable[[], NotifySettings] = NotifySettings
    is_stopping: Callable[[], bool] = lambda: False

    def find_delay(self, run: Run) -> str | None:
        """Return a sentence that says when a run starts, if this controller will not start it; otherwise None."""
        return _STARTS_LATER if run.state is RunState.PENDING and self.is_stopping() else None

    def record_event(
        self,
        tx: Transaction,
        reason: str,
        message: str,
        deployment: str | None,
        severity: EventSeverity = EventSeverity.INFO,
        *,
        run_id: RunId | None = None,
    ) -> None:
        """Record an event about a deployment, or about the source if it is None. A long message is cut off."""
        event = Event(
            time=self.clock.now(),
            severity=severity,
            reason=reason,
            message=message[:_MAX_MESSAGE],
            about=deployment or "source",
            deployment=deployment,
            run_id=run_id,
        )
        events.append(tx, [event])


def get_entry(tx: Transaction, name: str) -> InventoryEntry:
    """Return the active deployment of this name. Raises NotFoundError."""
    entry = inventory.find(tx, name)
    if entry is None:
        raise not_active(tx, name)
    return entry


def get_run(tx: Transaction, run_id: str) -> Run:
    """Return the run with exactly this id. Raises NotFoundError."""
    run = runs.find(tx, run_id)
    if run is None:
        raise NotFoundError(f"There is no run {run_id!r}.", hint="See `controller runs list`.")
    return run


def clean_reason(text: str) -> str:
    """Return a reason without surrounding spaces. Raises UsageError if it is not one printable line."""
    reason = text.strip()
    if not reason or len(reason) > MAX_REASON or not reason.isprintable():
        raise UsageError(f"The reason must be one line of 1 to {MAX_REASON} characters, without control characters.")
    return reason
