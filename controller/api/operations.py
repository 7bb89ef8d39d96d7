"""What a person or program may ask of the running controller: one implementation, whatever way the question came.

A request names declared deployments, runs, digests and parameters; it can't carry code, a command, a path or a
specification. Every change is recorded as an event with its author. All methods raise ControllerError.
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
from controller.reconcile import PassResult
from controller.runs.admission import Request
from controller.runs.operations import Backfill, Backfilled, RunOperations
from controller.store import Store, Transaction, events, holds, inventory, source_status
from controller.store.name_lookup import not_active
from controller.time_format import in_utc

MAX_REASON = 500
MAX_KEY = 200
MIN_DIGEST = 12
"""How many characters of a digest are enough to approve it, if no other one begins with them."""
_ALGORITHM = "sha256:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """What became of the deletions that were approved. `pending`: they go as soon as a revision can be applied."""

    digest: str
    deleted: tuple[str, ...]
    remaining: tuple[str, ...]
    pending: bool
    revision: str | None


class Operations:
    """Carries out requests. Safe to use from several threads; none waits for a pass.

    `runs` grants the wishes about runs, and `look_at` tells the engine that a deployment may have something due.
    `reconcile` asks for a pass. `check` raises for parameters that the flow of a deployment can't be called with.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        runs: RunOperations,
        look_at: Callable[[str], None],
        reconcile: Callable[[], Future[PassResult]],
        check: Callable[[str, Mapping[str, Any]], None] = lambda _name, _parameters: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._runs = runs
        self._look_at = look_at
        self._check = check
        self.reconcile = reconcile

    def trigger(self, name: str, parameters: Mapping[str, Any], *, key: str | None, author: str) -> Run:
        """Queue a run now. The same idempotency `key` gives the same run."""
        self._check(name, parameters)
        request = Request(deployment=name, parameters=parameters, idempotency_key=_key_of(key))
        return self._runs.trigger(request, author=author)

    def cancel(self, run_id: str, reason: str, *, author: str) -> Run:
        """End a run: at once if it waits, else as soon as its flow has ended."""
        return self._runs.cancel(run_id, _reason_of(reason), author=author)

    def retry(self, run_id: str, *, key: str | None, author: str) -> Run:
        """Queue a new run that does the same again."""
        return self._runs.retry(run_id, _key_of(key), author=author)

    def backfill(self, wanted: Backfill, *, author: str) -> Backfilled:
        """Queue a run for each due time of a past range that has none."""
        return self._runs.backfill(wanted, author=author)

    def hold(self, name: str, reason: str, until: datetime | None, *, author: str) -> None:
        """Fire no schedules of this deployment until then, or until it is resumed."""
        now = self._clock.now()
        words = _reason_of(reason)
        if until is not None and until <= now:
            raise UsageError("The hold would have ended already.", hint="Give a time to come with --until.")
        hold = Hold(deployment=name, reason=words, author=author, since=now, until=until)
        with self._store.write() as tx:
            _check_known(tx, name)
            holds.save(tx, hold)
            limit = "" if until is None else f" until {in_utc(until)}"
            self._tell(tx, "Held", f"{author} holds its schedules{limit}: {words}", name, EventSeverity.WARNING)

    def resume(self, name: str, *, author: str) -> None:
        """End its hold."""
        with self._store.write() as tx:
            _check_known(tx, name)
            if not holds.remove(tx, name):
                raise ConflictError(
                    f"{name} is not held.", hint="What git suspends is resumed in git: `suspend: false`."
                )
            self._tell(tx, "Resumed", f"{author} ended the hold of its schedules.", name)
        self._look_at(name)

    def approve(self, digest: str, *, author: str) -> tuple[Withheld, Future[PassResult]]:
        """Release the withheld deletions of this digest, or of the only one that begins so.

        After the pass that is asked for, `approval` says more.
        """
        with self._store.write() as tx:
            status = source_status.find(tx)
            withheld = None if status is None else status.withheld
            if withheld is None:
                raise NotFoundError("No deletions are withheld.", hint="See `controller status`.")
            _check_digest(digest, withheld)
            source_status.approve(tx, withheld.digest)
            names = ", ".join(withheld.deployments)
            self._tell(tx, "PruneApproved", f"{author} approved {withheld.digest}: {names}"[:1000], "source")
        return withheld, self.reconcile()

    def approval(self, withheld: Withheld, result: PassResult | None) -> Approved:
        """What became of deletions that were approved, after a pass; None if that did not come to its end."""
        with self._store.read() as tx:
            remaining = tuple(name for name in withheld.deployments if inventory.find(tx, name) is not None)
            pending = (known := source_status.find(tx)) is not None and known.approved == withheld.digest
        return Approved(
            digest=withheld.digest,
            deleted=tuple(name for name in withheld.deployments if name not in remaining),
            remaining=remaining,
            pending=pending,
            revision=None if result is None else result.status.last_applied_revision,
        )

    def end_holds(self) -> None:
        """Forget the holds that have expired. What fell due meanwhile is the engine's."""
        now = self._clock.now()
        with self._store.read() as tx:
            over = [name for name, hold in holds.find_all(tx).items() if hold.is_over(now)]
        if not over:
            return
        with self._store.write() as tx:
            for name in over:
                holds.remove(tx, name)
                self._tell(tx, "HoldExpired", "Its hold has expired: its schedules fire again.", name)

    def _tell(
        self,
        tx: Transaction,
        reason: str,
        message: str,
        about: str,
        severity: EventSeverity = EventSeverity.INFO,
    ) -> None:
        event = Event(time=self._clock.now(), severity=severity, reason=reason, message=message, about=about)
        events.append(tx, [event])


def _check_digest(given: str, withheld: Withheld) -> None:
    """Raises UsageError if this is too short to name one digest, and NotFoundError if it names another one."""
    begins = given.strip().lower().removeprefix(_ALGORITHM)
    known = {one.removeprefix(_ALGORITHM) for one in (withheld.digest, withheld.plan_digest)}
    if begins in known:
        return
    review = f"The digest of what is withheld is {withheld.digest}. Review it with `controller status`."
    if len(begins) < MIN_DIGEST:
        raise UsageError(
            f"{given!r} is too short for a digest: at least {MIN_DIGEST} characters after {_ALGORITHM} are needed.",
            hint=review,
        )
    found = [one for one in known if one.startswith(begins)]
    if len(found) > 1:
        raise UsageError(f"More than one digest begins with {given}.", hint=review)
    if not found:
        raise NotFoundError(f"No deletions are withheld under {given}.", hint=review)


def _check_known(tx: Transaction, name: str) -> None:
    if inventory.find(tx, name) is None:
        raise not_active(tx, name)


def _reason_of(text: str) -> str:
    """Why somebody wants something: one line, which logs, terminals and pages can show. Raises UsageError."""
    words = text.strip()
    if not words or len(words) > MAX_REASON or not words.isprintable():
        raise UsageError(f"A reason is one line of 1 to {MAX_REASON} characters, without control characters.")
    return words


def _key_of(given: str | None) -> str | None:
    if given is not None and (not 0 < len(given.strip()) == len(given) <= MAX_KEY or not given.isprintable()):
        raise UsageError(f"An idempotency key is a line of 1 to {MAX_KEY} characters, without spaces around it.")
    return given
