"""Operations that users and programs can request from the running controller, over HTTP or the dashboard.

A request refers to declared deployments, runs, digests and parameters; it cannot contain code, commands, paths or
specifications. Every change is recorded as an event with its author. All methods raise ControllerError.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.clock import Clock
from controller.errors import ConflictError, NotFoundError, UsageError
from controller.model.runs import Run
from controller.model.status import Event, EventSeverity, Hold, Withheld
from controller.reconcile.reconciler import PassResult
from controller.runs.admission import Request
from controller.runs.operations import Backfill, Backfilled, RunOperations
from controller.store import Store, Transaction, events, holds, inventory, source_status
from controller.store.name_lookup import not_active
from controller.time_format import in_utc

MAX_REASON = 500
MAX_KEY = 200
MIN_DIGEST = 12
"""Minimum number of characters of a digest prefix that identifies withheld deletions."""
_ALGORITHM = "sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """The result of an approval. `pending`: the deletions happen as soon as a revision can be applied."""

    digest: str
    deleted: tuple[str, ...]
    remaining: tuple[str, ...]
    pending: bool
    revision: str | None


class Operations:
    """Carries out requests. Thread-safe; no method waits for a reconcile pass.

    `runs` carries out operations on runs. `notify_due` notifies the engine that a deployment may have due runs.
    `reconcile` requests a pass. `check` raises an error for parameters that the flow of a deployment does not accept.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        runs: RunOperations,
        notify_due: Callable[[str], None],
        reconcile: Callable[[], Future[PassResult]],
        check: Callable[[str, Mapping[str, Any]], None] = lambda _name, _parameters: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._runs = runs
        self._notify_due = notify_due
        self._check = check
        self.reconcile = reconcile

    def trigger(self, name: str, parameters: Mapping[str, Any], *, key: str | None, author: str) -> Run:
        """Queue a run now. The same idempotency `key` returns the same run."""
        self._check(name, parameters)
        request = Request(deployment=name, parameters=parameters, idempotency_key=_key_of(key))
        return self._runs.trigger(request, author=author)

    def cancel(self, run_id: str, reason: str, *, author: str) -> Run:
        """Cancel a run: at once if it is waiting, else as soon as its flow has stopped."""
        return self._runs.cancel(run_id, _reason_of(reason), author=author)

    def retry(self, run_id: str, *, key: str | None, author: str) -> Run:
        """Queue a new run with the commit and parameters of a finished run."""
        return self._runs.retry(run_id, _key_of(key), author=author)

    def backfill(self, due_range: Backfill, *, author: str) -> Backfilled:
        """Queue a run for each due time of a past range that has no run."""
        return self._runs.backfill(due_range, author=author)

    def hold(self, name: str, reason: str, until: datetime | None, *, author: str) -> None:
        """Hold the schedules of a deployment until a time, or until it is resumed."""
        now = self._clock.now()
        reason = _reason_of(reason)
        if until is not None and until <= now:
            raise UsageError("The end of the hold is in the past.", hint="Pass a future time as --until.")
        hold = Hold(deployment=name, reason=reason, author=author, since=now, until=until)
        with self._store.write() as tx:
            _check_declared(tx, name)
            holds.save(tx, hold)
            limit = "" if until is None else f" until {in_utc(until)}"
            self._record(tx, "Held", f"{author} held the schedules{limit}: {reason}", name, EventSeverity.WARNING)

    def resume(self, name: str, *, author: str) -> None:
        """End the hold of a deployment."""
        with self._store.write() as tx:
            _check_declared(tx, name)
            if not holds.remove(tx, name):
                raise ConflictError(f"{name} is not held.", hint="To end a suspension in git, set `suspend: false`.")
            self._record(tx, "Resumed", f"{author} resumed the schedules.", name)
        self._notify_due(name)

    def approve(self, digest: str, *, author: str) -> tuple[Withheld, Future[PassResult]]:
        """Approve the withheld deletions with this digest or digest prefix, and request a reconcile pass.

        After the pass, `approval` returns the result.
        """
        with self._store.write() as tx:
            status = source_status.find(tx)
            withheld = None if status is None else status.withheld
            if withheld is None:
                raise NotFoundError("No deletions are withheld.", hint="See `controller status`.")
            _check_digest(digest, withheld)
            source_status.approve(tx, withheld.digest)
            names = ", ".join(withheld.deployments)
            self._record(tx, "PruneApproved", f"{author} approved {withheld.digest}: {names}"[:1000], "source")
        return withheld, self.reconcile()

    def approval(self, withheld: Withheld, result: PassResult | None) -> Approved:
        """Return the result of approved deletions after a pass; `result` is None if the pass failed."""
        with self._store.read() as tx:
            remaining = tuple(name for name in withheld.deployments if inventory.find(tx, name) is not None)
            pending = (status := source_status.find(tx)) is not None and status.approved == withheld.digest
        return Approved(
            digest=withheld.digest,
            deleted=tuple(name for name in withheld.deployments if name not in remaining),
            remaining=remaining,
            pending=pending,
            revision=None if result is None else result.status.last_applied_revision,
        )

    def end_holds(self) -> None:
        """Remove expired holds. The engine handles the due times that were missed during the hold."""
        now = self._clock.now()
        with self._store.read() as tx:
            expired = [name for name, hold in holds.find_all(tx).items() if hold.is_over(now)]
        if not expired:
            return
        with self._store.write() as tx:
            for name in expired:
                holds.remove(tx, name)
                self._record(tx, "HoldExpired", "The hold has expired; the schedules fire again.", name)

    def _record(
        self,
        tx: Transaction,
        reason: str,
        message: str,
        about: str,
        severity: EventSeverity = EventSeverity.INFO,
    ) -> None:
        event = Event(time=self._clock.now(), severity=severity, reason=reason, message=message, about=about)
        events.append(tx, [event])


def _check_digest(text: str, withheld: Withheld) -> None:
    """Raise UsageError if the text is too short or ambiguous as a digest, NotFoundError if it is another digest."""
    prefix = text.strip().lower().removeprefix(_ALGORITHM)
    digests = {digest.removeprefix(_ALGORITHM) for digest in (withheld.digest, withheld.plan_digest)}
    if prefix in digests:
        return
    hint = f"The digest of the withheld deletions is {withheld.digest}. Review them with `controller status`."
    if len(prefix) < MIN_DIGEST:
        raise UsageError(
            f"{text!r} is too short for a digest: give at least {MIN_DIGEST} characters after {_ALGORITHM}.",
            hint=hint,
        )
    matches = [digest for digest in digests if digest.startswith(prefix)]
    if len(matches) > 1:
        raise UsageError(f"More than one digest begins with {text}.", hint=hint)
    if not matches:
        raise NotFoundError(f"No withheld deletions have the digest {text}.", hint=hint)


def _check_declared(tx: Transaction, name: str) -> None:
    if inventory.find(tx, name) is None:
        raise not_active(tx, name)


def _reason_of(text: str) -> str:
    """Return a reason without surrounding spaces. Raises UsageError if it is not one printable line."""
    reason = text.strip()
    if not reason or len(reason) > MAX_REASON or not reason.isprintable():
        raise UsageError(f"The reason must be one line of 1 to {MAX_REASON} characters, without control characters.")
    return reason


def _key_of(key: str | None) -> str | None:
    if key is not None and (not 0 < len(key.strip()) == len(key) <= MAX_KEY or not key.isprintable()):
        raise UsageError(f"An idempotency key must be a line of 1 to {MAX_KEY} characters, without surrounding spaces.")
    return key
