"""What somebody may ask of the runs: run it now, end it, do it again, do what a past range has missed.

Each is one transaction and an answer, and an event that names its author. Safe to call from any thread. Nothing here
starts or ends a process: the engine is woken and does.
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
from controller.runs.admission import Admission, Request, foreign_key, occurrence
from controller.runs.admission_policy import Decision, DueTime
from controller.runs.outcomes import cancel
from controller.schedules import find_due_up_to
from controller.store import Store, Transaction, events, inventory, occurrences, runs
from controller.store.name_lookup import not_active
from controller.time_format import in_utc

log = logging.getLogger(__name__)

BACKFILL_PRIORITY = -10_000
"""Below everything that a deployment can declare."""
_FIRST = datetime(1, 1, 2, tzinfo=UTC)
_LOOKED_AT = 10_000
"""How many due times a backfill looks at, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """The due times in [since, until] that have no run are to be run, the last `most` of them."""

    deployment: str
    since: datetime
    until: datetime
    most: int = 100
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """The runs that were made, or with `dry_run` would be, by their times.

    `known` due times have a run already, and `left_out` earlier ones were more than was asked for.
    """

    runs: tuple[Run, ...]
    times: tuple[datetime, ...]
    known: int
    left_out: int


class RunOperations:
    """The wishes that the running controller grants."""

    def __init__(self, store: Store, admission: Admission, clock: Clock, wake: Callable[[], None]) -> None:
        self._store = store
        self._admission = admission
        self._clock = clock
        self._wake = wake

    def trigger(self, request: Request, *, author: str) -> Run:
        """Queue a run now. Raises NotFoundError, UsageError, StateError."""
        with self._store.write() as tx:
            known = self._admission.known(tx, request)
            if known is not None:
                return known
            run = self._admission.request(tx, request)
            self._tell(tx, "Triggered", f"{author} triggered run {run.id}.", run.deployment)
        log.info("Run requested", extra={"deployment": run.deployment, "run": run.id, "author": author})
        self._wake()
        return run

    def cancel(self, run_id: str, reason: str, *, author: str) -> Run:
        """End a run: at once if it waits, else as soon as its flow has ended. That may be asked for more than once.

        Raises NotFoundError, and ConflictError if it has ended otherwise.
        """
        with self._store.write() as tx:
            run = _find(tx, run_id)
            if run.state.is_terminal and run.state is not RunState.CANCELLED:
                raise ConflictError(
                    f"Run {run.id} has already finished: {run.state}.", hint="Finished runs cannot be changed."
                )
            if run.state.is_terminal or run.cancel_reason is not None:
                return run
            self._tell(tx, "CancelRequested", f"{author} cancelled run {run.id}: {reason}", run.deployment)
            cancel(tx, run, reason, self._clock.now())
            run = _find(tx, run_id)
        log.info("Run cancellation requested", extra={"deployment": run.deployment, "run": run.id, "author": author})
        self._wake()
        return run

    def retry(self, run_id: str, idempotency_key: str | None = None, *, author: str) -> Run:
        """Queue a new run that does the same again, at the same pin. Raises NotFoundError, UsageError."""
        with self._store.write() as tx:
            old = _find(tx, run_id)
            known = idempotency_key and runs.find_by_key(tx, old.deployment, idempotency_key)
            if known:
                if known.retry_of != old.id:
                    raise foreign_key(known, f"That run is not a retry of run {run_id}")
                return known
            if not old.state.is_terminal:
                raise ConflictError(
                    f"Run {run_id} has not finished: {old.state}.", hint="Wait until it finishes, or cancel it first."
                )
            now = self._clock.now()
            run = _again(old, self._admission.ids.new(now), now, idempotency_key)
            runs.insert_all(tx, [run])
            self._tell(tx, "Retried", f"{author} retried run {old.id} as run {run.id}.", run.deployment)
        log.info(
            "Run retried",
            extra={"deployment": run.deployment, "run": run.id, "retry_of": old.id, "author": author},
        )
        self._wake()
        return run

    def backfill(self, wanted: Backfill, *, author: str) -> Backfilled:
        """Queue a run for each due time of a past range that has none. Raises NotFoundError, UsageError.

        What is missing is found out without keeping others from writing, and looked at again when it is written down.
        """
        with self._store.read() as tx:
            entry = self._in_force(tx, wanted)
        times = self._times(entry, wanted)
        with self._store.read() as tx:
            have = occurrences.times_with_run(tx, entry.name, wanted.since, wanted.until)
        missing = [time for time in times if time[0] not in have]
        kept = missing[max(0, len(missing) - wanted.most) :]
        made = () if wanted.dry_run or not kept else self._make(entry, kept, author)
        done = {run.scheduled_for for run in made}
        queued = kept if wanted.dry_run else [time for time in kept if time[0] in done]
        self._wake()
        return Backfilled(
            runs=made,
            times=tuple(time for time, _ in queued),
            known=len(times) - len(missing) + len(kept) - len(queued),
            left_out=len(missing) - len(kept),
        )

    def _in_force(self, tx: Transaction, wanted: Backfill) -> InventoryEntry:
        entry = inventory.find(tx, wanted.deployment)
        if entry is None:
            raise not_active(tx, wanted.deployment)
        if not wanted.since <= wanted.until <= self._clock.now():
            raise UsageError("A backfill needs a past range: the start comes first, and the end is not after now.")
        return entry

    def _times(self, entry: InventoryEntry, wanted: Backfill) -> list[DueTime]:
        """The due times of the range, oldest first. Takes no transaction: it may take a second."""
        schedules = self._admission.deployment(entry).schedules
        after = max(wanted.since, _FIRST) - timedelta(microseconds=1)
        found = find_due_up_to(schedules, after, wanted.until, _LOOKED_AT)
        if found is None:
            message = f"{entry.name} has more than {_LOOKED_AT} due times in this range."
            raise UsageError(message, hint="Choose a shorter range.")
        return found

    def _make(self, known: InventoryEntry, kept: Sequence[DueTime], author: str) -> tuple[Run, ...]:
        """Queue runs for those of these times that nobody has run meanwhile."""
        with self._store.write() as tx:
            entry = inventory.find(tx, known.name)
            if entry is None or entry.spec_digest != known.spec_digest:
                raise ConflictError(
                    f"{known.name} changed while the backfill was being prepared.", hint="Repeat the backfill."
                )
            have = occurrences.times_with_run(tx, entry.name, kept[0][0], kept[-1][0])
            made = tuple(self._fill(tx, entry, time) for time in kept if time[0] not in have)
            if made:
                times = [run.scheduled_for for run in made if run.scheduled_for is not None]
                span = f"from {in_utc(times[0])} to {in_utc(times[-1])}"
                count = "1 due time" if len(made) == 1 else f"{len(made)} due times"
                message = f"{author} backfilled {count} {span}."
                self._tell(tx, "Backfill", message, entry.name)
        return made

    def _fill(self, tx: Transaction, entry: InventoryEntry, time: DueTime) -> Run:
        serial = self._admission.deployment(entry).overlap is not Overlap.ALLOW
        decision = Decision(instant=time[0], schedule=time[1], reason=None, delay=timedelta(), serial=serial)
        run = replace(
            self._admission.due_run(tx, entry, decision, Trigger.BACKFILL), priority=BACKFILL_PRIORITY, start_by=None
        )
        runs.insert_all(tx, [run])
        occurrences.replace_with_run(tx, occurrence(entry.name, decision, run))
        return run

    def _tell(self, tx: Transaction, reason: str, message: str, about: str) -> None:
        event = Event(
            time=self._clock.now(), severity=EventSeverity.INFO, reason=reason, message=message[:1000], about=about
        )
        events.append(tx, [event])


def _find(tx: Transaction, run_id: str) -> Run:
    run = runs.find(tx, run_id)
    if run is None:
        raise NotFoundError(f"There is no run {run_id!r}.", hint="See `controller runs list`.")
    return run


def _again(old: Run, run_id: RunId, now: datetime, idempotency_key: str | None) -> Run:
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
