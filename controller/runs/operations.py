"""The operations on runs that clients can request: trigger, cancel, retry and backfill.

Each operation is one transaction and records an event with its author. Thread-safe. No operation starts or stops a
process; the engine does that when it is woken.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from controller.clock import Clock
from controller.errors import ConflictError, NotFoundError, UsageError
from controller.model.policies import Overlap
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.model.status import Event, EventSeverity, InventoryEntry
from controller.runs.admission import Admission, Request, key_conflict, ledger_entry
from controller.runs.admission_policy import Decision, DueTime
from controller.runs.outcomes import cancel
from controller.schedules import find_due_up_to
from controller.store import Store, Transaction, events, inventory, occurrences, runs
from controller.store.name_lookup import not_active
from controller.time_format import in_utc

log = logging.getLogger(__name__)

BACKFILL_PRIORITY = -10_000
"""A priority below every priority that a deployment can declare."""
_FIRST = datetime(1, 1, 2, tzinfo=UTC)
_MAX_DUE_TIMES = 10_000
"""The maximum number of due times in the range of a backfill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """A request to run the due times in [since, until] that have no run, and of those the last `most`."""

    deployment: str
    since: datetime
    until: datetime
    most: int = 100
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """The result of a backfill: the runs that were created and their due times; with `dry_run` only the due times.

    `known` is the number of due times that already have a run, and `left_out` the number of earlier ones beyond `most`.
    """

    runs: tuple[Run, ...]
    times: tuple[datetime, ...]
    known: int
    left_out: int


class RunOperations:
    """The operations that clients can request from the running controller."""

    def __init__(self, store: Store, admission: Admission, clock: Clock, wake: Callable[[], None]) -> None:
        self._store = store
        self._admission = admission
        self._clock = clock
        self._wake = wake

    def trigger(self, request: Request, *, author: str) -> Run:
        """Queue a run now. Raises NotFoundError, UsageError, StateError."""
        with self._store.write() as tx:
            existing = self._admission.find_existing(tx, request)
            if existing is not None:
                return existing
            run = self._admission.create_run(tx, request)
            self._record_event(tx, "Triggered", f"{author} triggered run {run.id}.", run.deployment)
        log.info("Run requested", extra={"deployment": run.deployment, "run": run.id, "author": author})
        self._wake()
        return run

    def cancel(self, run_id: str, reason: str, *, author: str) -> Run:
        """Cancel a run: immediately if it waits, otherwise as soon as its flow has ended. Idempotent.

        Raises NotFoundError, and ConflictError if the run has finished with another outcome.
        """
        with self._store.write() as tx:
            run = _find(tx, run_id)
            if run.state.is_terminal and run.state is not RunState.CANCELLED:
                raise ConflictError(
                    f"Run {run.id} has already finished: {run.state}.", hint="Finished runs cannot be changed."
                )
            if run.state.is_terminal or run.cancel_reason is not None:
                return run
            self._record_event(tx, "CancelRequested", f"{author} cancelled run {run.id}: {reason}", run.deployment)
            cancel(tx, run, reason, self._clock.now())
            run = _find(tx, run_id)
        log.info("Run cancellation requested", extra={"deployment": run.deployment, "run": run.id, "author": author})
        self._wake()
        return run

    def retry(self, run_id: str, idempotency_key: str | None = None, *, author: str) -> Run:
        """Queue a new run with the same pin, parameters and due time. Raises NotFoundError, UsageError."""
        with self._store.write() as tx:
            old = _find(tx, run_id)
            existing = idempotency_key and runs.find_by_key(tx, old.deployment, idempotency_key)
            if existing:
                if existing.retry_of != old.id:
                    raise key_conflict(existing, f"That run is not a retry of run {run_id}")
                return existing
            if not old.state.is_terminal:
                raise ConflictError(
                    f"Run {run_id} has not finished: {old.state}.", hint="Wait until it finishes, or cancel it first."
                )
            now = self._clock.now()
            run = _new_retry(old, self._admission.ids.new(now), now, idempotency_key)
            runs.insert_all(tx, [run])
            self._record_event(tx, "Retried", f"{author} retried run {old.id} as run {run.id}.", run.deployment)
        log.info(
            "Run retried",
            extra={"deployment": run.deployment, "run": run.id, "retry_of": old.id, "author": author},
        )
        self._wake()
        return run

    def backfill(self, request: Backfill, *, author: str) -> Backfilled:
        """Queue a run for each due time of a past range that has none. Raises NotFoundError, UsageError.

        The missing due times are computed without a lock on the store, and checked again in the writing transaction.
        """
        with self._store.read() as tx:
            entry = self._find_entry(tx, request)
        times = self._due_times(entry, request)
        with self._store.read() as tx:
            with_run = occurrences.times_with_run(tx, entry.name, request.since, request.until)
        missing = [time for time in times if time[0] not in with_run]
        selected = missing[max(0, len(missing) - request.most) :]
        created = () if request.dry_run or not selected else self._create_runs(entry, selected, author)
        created_times = {run.scheduled_for for run in created}
        queued = selected if request.dry_run else [time for time in selected if time[0] in created_times]
        self._wake()
        return Backfilled(
            runs=created,
            times=tuple(time for time, _ in queued),
            known=len(times) - len(missing) + len(selected) - len(queued),
            left_out=len(missing) - len(selected),
        )

    def _find_entry(self, tx: Transaction, request: Backfill) -> InventoryEntry:
        entry = inventory.find(tx, request.deployment)
        if entry is None:
            raise not_active(tx, request.deployment)
        if not request.since <= request.until <= self._clock.now():
            raise UsageError("A backfill needs a past range: the start comes first, and the end is not after now.")
        return entry

    def _due_times(self, entry: InventoryEntry, request: Backfill) -> list[DueTime]:
        """Return the due times of the range, oldest first. Uses no transaction, because it may take a second."""
        schedules = self._admission.deployment(entry).schedules
        after = max(request.since, _FIRST) - timedelta(microseconds=1)
        times = find_due_up_to(schedules, after, request.until, _MAX_DUE_TIMES)
        if times is None:
            message = f"{entry.name} has more than {_MAX_DUE_TIMES} due times in this range."
            raise UsageError(message, hint="Choose a shorter range.")
        return times

    def _create_runs(self, expected: InventoryEntry, times: Sequence[DueTime], author: str) -> tuple[Run, ...]:
        """Queue runs for those of these due times that still have none. Raises ConflictError if the entry changed."""
        with self._store.write() as tx:
            entry = inventory.find(tx, expected.name)
            if entry is None or entry.spec_digest != expected.spec_digest:
                raise ConflictError(
                    f"{expected.name} changed while the backfill was being prepared.", hint="Repeat the backfill."
                )
            with_run = occurrences.times_with_run(tx, entry.name, times[0][0], times[-1][0])
            created = tuple(self._create_run(tx, entry, time) for time in times if time[0] not in with_run)
            if created:
                instants = [run.scheduled_for for run in created if run.scheduled_for is not None]
                count = "1 due time" if len(created) == 1 else f"{len(created)} due times"
                message = f"{author} backfilled {count} from {in_utc(instants[0])} to {in_utc(instants[-1])}."
                self._record_event(tx, "Backfill", message, entry.name)
        return created

    def _create_run(self, tx: Transaction, entry: InventoryEntry, time: DueTime) -> Run:
        serial = self._admission.deployment(entry).overlap is not Overlap.ALLOW
        decision = Decision(instant=time[0], schedule=time[1], reason=None, delay=timedelta(), serial=serial)
        run = replace(
            self._admission.due_run(tx, entry, decision, Trigger.BACKFILL), priority=BACKFILL_PRIORITY, start_by=None
        )
        runs.insert_all(tx, [run])
        occurrences.replace_with_run(tx, ledger_entry(entry.name, decision, run))
        return run

    def _record_event(self, tx: Transaction, reason: str, message: str, about: str) -> None:
        event = Event(
            time=self._clock.now(), severity=EventSeverity.INFO, reason=reason, message=message[:1000], about=about
        )
        events.append(tx, [event])


def _find(tx: Transaction, run_id: str) -> Run:
    run = runs.find(tx, run_id)
    if run is None:
        raise NotFoundError(f"There is no run {run_id!r}.", hint="See `controller runs list`.")
    return run


def _new_retry(old: Run, run_id: RunId, now: datetime, idempotency_key: str | None) -> Run:
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
        idempotency_key=idempotency_key,
        attempts=old.attempts,
        version=old.version,
        tags=old.tags,
        parameters=old.parameters,
        queue=old.queue,
        priority=old.priority,
        serial=old.serial,
        retries=old.retries,
        retry_of=old.id,
    )
