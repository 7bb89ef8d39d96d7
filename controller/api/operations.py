"""What a person or program may ask of the running controller: one implementation, whatever way the question came.

The control socket calls `answer` with a request as JSON. A request names declared deployments, digests and parameters;
it can't carry code, a command, a path or a specification. Every change is recorded as an event with its author.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from controller.api import run_requests
from controller.clock import Clock, in_utc
from controller.errors import ConflictError, ControllerError, NotFoundError, UsageError, unknown_deployment
from controller.model.status import Event, EventSeverity, Hold
from controller.reconcile import PassResult
from controller.runs.requests import Requests
from controller.store import Store, Transaction, events, holds, inventory, sources

PASS_SECONDS = 600.0


class Operations:
    """Carries out requests. Safe to use from several threads.

    `runs` answers those about runs, and `look_at` tells the engine that a deployment may have something due.
    `reconcile` asks for a pass and returns what came of it, None after so many seconds without one. `check` raises for
    parameters that the flow of a deployment can't be called with.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        runs: Requests,
        look_at: Callable[[str], None],
        reconcile: Callable[[float], PassResult | None],
        check: Callable[[str, Mapping[str, Any]], None] = lambda _name, _parameters: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._runs = runs
        self._look_at = look_at
        self._reconcile = reconcile
        self._check = check

    def answer(self, request: Mapping[str, Any], author: str) -> Mapping[str, Any]:
        """What came of a request of `author`. Raises ControllerError."""
        match request:
            case {"command": "trigger", "deployment": str(name), "parameters": dict(parameters)}:
                self._check(name, parameters)
        about_runs = run_requests.answer(self._runs, request)
        if about_runs is not None:
            return about_runs
        match request:
            case {"command": "hold", "deployment": str(name), "reason": str(reason)}:
                return self._hold(name, reason, request.get("until"), author)
            case {"command": "resume", "deployment": str(name)}:
                return self._resume(name, author)
            case {"command": "approve", "digest": str(digest)}:
                return self._approve(digest, author)
            case {"command": "reconcile", "wait": bool(wait)}:
                return self._look(PASS_SECONDS if wait else 0.0)
        raise UsageError("The controller does not understand this request.", hint="Is it of another version?")

    def end_holds(self) -> None:
        """Forget the holds that have expired. What fell due meanwhile is the engine's."""
        now = self._clock.now()
        with self._store.read() as tx:
            over = [name for name, hold in holds.every(tx).items() if hold.is_over(now)]
        if not over:
            return
        with self._store.write() as tx:
            for name in over:
                holds.remove(tx, name)
                self._tell(tx, "HoldExpired", "Its hold has expired: its schedules fire again.", name)

    def _hold(self, name: str, reason: str, until: Any, author: str) -> Mapping[str, Any]:
        now = self._clock.now()
        words = run_requests.reason_of(reason)
        end = None if until is None else _instant(until)
        if end is not None and end <= now:
            raise UsageError("The hold would have ended already.", hint="Give a time to come with --until.")
        hold = Hold(deployment=name, reason=words, author=author, since=now, until=end)
        with self._store.write() as tx:
            _check_known(tx, name)
            holds.put(tx, hold)
            limit = "" if end is None else f" until {end:%Y-%m-%d %H:%M:%SZ}"
            self._tell(tx, "Held", f"{author} holds its schedules{limit}: {words}", name, EventSeverity.WARNING)
        return {"deployment": name, "held": True}

    def _resume(self, name: str, author: str) -> Mapping[str, Any]:
        with self._store.write() as tx:
            _check_known(tx, name)
            if not holds.remove(tx, name):
                raise ConflictError(
                    f"{name} is not held.", hint="What git suspends is resumed in git: `suspend: false`."
                )
            self._tell(tx, "Resumed", f"{author} ended the hold of its schedules.", name)
        self._look_at(name)
        return {"deployment": name, "held": False}

    def _approve(self, digest: str, author: str) -> Mapping[str, Any]:
        with self._store.write() as tx:
            status = sources.find(tx)
            withheld = None if status is None else status.withheld
            if withheld is None:
                raise NotFoundError("No deletions are withheld.", hint="See `controller status`.")
            if digest not in (withheld.digest, withheld.plan_digest):
                raise NotFoundError(
                    f"No deletions are withheld under {digest}.",
                    hint=f"Those that are have the digest {withheld.digest}. Look at them before you approve them.",
                )
            sources.approve(tx, withheld.digest)
            names = ", ".join(withheld.deployments)
            self._tell(tx, "PruneApproved", f"{author} approved {withheld.digest}: {names}"[:1000], "source")
        result = self._reconcile(PASS_SECONDS)
        with self._store.read() as tx:
            remaining = [name for name in withheld.deployments if inventory.find(tx, name) is not None]
            is_pending = (known := sources.find(tx)) is not None and known.approved == withheld.digest
        deleted = [name for name in withheld.deployments if name not in remaining]
        revision = None if result is None else result.status.last_applied_revision
        return {
            "digest": withheld.digest,
            "deleted": deleted,
            "remaining": remaining,
            "pending": is_pending,
            "revision": revision,
        }

    def _look(self, seconds: float) -> Mapping[str, Any]:
        result = self._reconcile(seconds)
        if result is None and seconds:
            raise ControllerError(
                "There was no pass.", hint="It takes long, or the controller ends: `controller status`."
            )
        if result is not None and result.error is not None:
            raise result.error
        return {"is_done": result is not None}

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


def _check_known(tx: Transaction, name: str) -> None:
    if inventory.find(tx, name) is None:
        raise unknown_deployment(name, inventory.entries(tx))


def _instant(text: Any) -> datetime:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise UsageError(f"{text!r} is not a time.") from error
    if found.tzinfo is None:
        raise UsageError(f"{text!r} has no offset.")
    return in_utc(found)
