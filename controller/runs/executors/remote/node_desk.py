"""Where the requests of runners and the handles of remote attempts meet, by the ids of their jobs. Thread-safe.

The routes of the node API call it from their threads, the handles from the engine's thread. A request that has to wait
for the engine gets a future. No method decides whether a flow may start: the handle does, after `running` is committed.
"""

import errno
import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from controller.clock import Clock
from controller.errors import ConflictError, ControllerError, NotFoundError, UsageError, shortage
from controller.model.runs import RunOutcome, RunState
from controller.rate_limit import TokenBucket
from controller.runs.executors.attempt_files import MAX_REASON, attempt_directory, exit_outcome, read_mark
from controller.runs.executors.remote import received_files
from controller.runs.executors.remote.attempt_records import AttemptRecords
from controller.runs.executors.remote.packages import CodePackages
from controller.runs.executors.remote.seat import (
    NodeRequest,
    NotReadyError,
    Seat,
    Stage,
    TicketError,
    has_ticket,
    hash_ticket,
    over_error,
    resolve,
    stopping_error,
    ticket_error,
)
from controller.text import visible_lines

MAX_LOOKUPS = 100
LOOKUPS_PER_SECOND = 20.0
"""How often records are read for requests about attempts that are not open here."""
_REMEMBERED = 1000
_UNKNOWN = "outcome unknown: "
_NO_ORDER = "the controller that led before has allowed its start, and its parameters are not on this host"

ReadSecrets = Callable[[Mapping[str, Mapping[str, str]]], Mapping[str, str | None]]
"""Returns the values of secrets by their places, `{"env": …}` or `{"file": …}`; None for one that is not available."""


class NodeDesk:
    """The attempts of remote executors whose runners may send requests.

    `node_secret`: what nodes must know to start a flow, if there is one. `read_secrets`: reads the secrets of flows.
    `is_recovered`: the attempts of an earlier controller are open again.
    """

    def __init__(
        self,
        records: AttemptRecords,
        packages: CodePackages,
        clock: Clock,
        *,
        runs_directory: Path,
        read_secrets: ReadSecrets,
        node_secret: bytes | None = None,
    ) -> None:
        self._records = records
        self._packages = packages
        self._clock = clock
        self._runs_directory = runs_directory
        self._read_secrets = read_secrets
        self._node_secret = node_secret
        self._lock = threading.Lock()
        self._seats: dict[str, Seat] = {}
        self._over: OrderedDict[str, str] = OrderedDict()
        self._late: OrderedDict[str, str] = OrderedDict()
        self._lookups = TokenBucket(clock, MAX_LOOKUPS, LOOKUPS_PER_SECOND)
        self.is_recovered = False

    @property
    def has_node_secret(self) -> bool:
        """Whether nodes prove that they may get the secrets of flows."""
        return self._node_secret is not None

    # Called by handles.

    def open(self, seat: Seat) -> None:
        """Accept the requests of this attempt from now on."""
        with self._lock:
            self._seats[seat.job_id] = seat

    def go(self, seat: Seat) -> None:
        """Let the runner that has asked start the flow: `running` and its instance are committed.

        Not if it has reported a failure meanwhile.
        """
        with self._lock:
            if seat.stage is Stage.OVER:
                return
            seat.stage = Stage.STARTED
            seat.started_at = self._clock.monotonic()
            waiting, seat.starts = seat.starts, []
        for future in waiting:
            resolve(future)

    def void(self, seat: Seat) -> None:
        """Never let this attempt start. Not after `go`."""
        with self._lock:
            seat.stage = Stage.OVER
            waiting, seat.starts = seat.starts, []
        for future in waiting:
            resolve(future, over_error())

    def close(self, seat: Seat, *, is_final: bool) -> None:
        """Accept no more requests. With `is_final`, the outcome of the attempt is committed."""
        with self._lock:
            if self._seats.get(seat.job_id) is seat:
                del self._seats[seat.job_id]
            if is_final:
                _remember(self._over, seat.job_id, seat.ticket)
            starts, ends, seat.starts, seat.ends = seat.starts, seat.ends, [], []
            seat.stage = Stage.OVER if is_final else Stage.SUSPENDED
        for future in starts:
            resolve(future, over_error() if is_final else stopping_error())
        for future in ends:
            resolve(future, None if is_final else stopping_error())

    def seats(self) -> list[Seat]:
        """Return all attempts that are open."""
        with self._lock:
            return list(self._seats.values())

    def count_waiting(self) -> int:
        """Return how many attempts have no leave to start yet."""
        return sum(seat.stage in (Stage.PREPARING, Stage.ASKING) for seat in self.seats())

    # Called by the routes of the node API.

    def fetch(self, request: NodeRequest) -> dict[str, Any]:
        """Return the order of the attempt."""
        seat = self._find(request)
        with self._lock:
            self._hear(seat, request)
            if seat.order is None:
                raise NotReadyError("The code of this attempt is not ready yet.")
            order: dict[str, Any] = seat.order["order"]
            return order

    def find_package(self, request: NodeRequest, digest: str) -> Path:
        """Return the file of a package that the attempt with this ticket needs."""
        ticket = hash_ticket(request.ticket)
        with self._lock:
            known = [seat for seat in self._seats.values() if hmac.compare_digest(seat.ticket, ticket)]
            orders = [seat.order["order"] for seat in known if seat.order is not None]
        if not known:
            error = "The ticket is not that of an attempt in progress."
            raise TicketError(error) if self.is_recovered else NotReadyError("The controller is starting.")
        if not any(digest in (order["runner"], order["code"]["digest"]) for order in orders):
            raise NotFoundError("This attempt needs no such package.")
        path = self._packages.find(digest)
        if path is None:
            raise NotReadyError("The package is not ready.")
        return path

    def start(self, request: NodeRequest, *, node: str | None, proof: str | None) -> "Future[None]":
        """Ask for permission to start the flow. The future is done after `running` and this instance are committed."""
        seat = self._find(request)
        self._check_proof(request, proof)
        future: Future[None] = Future()
        with self._lock:
            self._hear(seat, request)
            if seat.stage is Stage.STARTED:
                self._check_order(seat)
                resolve(future)
                return future
            seat.starts = [one for one in seat.starts if not one.cancelled()] + [future]
            if seat.stage is Stage.PREPARING:
                seat.stage, seat.instance, seat.node = Stage.ASKING, request.instance, node
        seat.signal.set()
        return future

    def start_answer(self, request: NodeRequest) -> dict[str, Any]:
        """Return the parameters, the secrets and the upstream runs for a runner that may start."""
        seat = self._find(request)
        with self._lock:
            self._hear_started(seat, request)
            if seat.order is None:
                raise NotReadyError("The order of this attempt can't be read.")
            answer: dict[str, Any] = seat.order["start"]
        return {**answer, "secrets": dict(self._read_secrets(answer["secrets"]))}

    def fail(self, request: NodeRequest, reason: str) -> None:
        """Record that the runner can't prepare the attempt. Its flow never starts."""
        seat = self._find(request)
        with self._lock:
            self._hear(seat, request)
            if seat.stage is Stage.STARTED:
                raise ConflictError("The flow of this attempt was started.")
            seat.stage, seat.failure = Stage.OVER, reason
            waiting, seat.starts = seat.starts, []
        for future in waiting:
            resolve(future, over_error())
        seat.signal.set()

    def append(self, request: NodeRequest, name: str, offset: int, data: bytes) -> int:
        """Append to the log or the events if they have this size now; return their size."""
        seat = self._find(request)
        with self._lock:
            self._hear_started(seat, request)
        with seat.files:
            try:
                received_files.make_directory(seat.directory)
                return received_files.append(seat.directory, name, offset, data, self._clock.now())
            except OSError as error:
                raise _not_stored(error) from error

    def beat(self, request: NodeRequest) -> dict[str, Any]:
        """Return whether the flow must end, and when the next beat is expected."""
        seat = self._find(request)
        with self._lock:
            self._hear_started(seat, request)
            return {"cancel": seat.is_cancelled, "next": seat.plan_beat(self._clock.monotonic())}

    def end(self, request: NodeRequest, ending: Mapping[str, Any]) -> "Future[None]":
        """Report how the attempt ended. The future is done after the outcome is committed."""
        future: Future[None] = Future()
        try:
            seat = self._find(request)
            with self._lock:
                self._hear_started(seat, request)
        except ConflictError:
            if self._is_recorded(request, ending):
                resolve(future)
                return future
            raise
        outcome = _outcome_of(ending, seat.nonce)
        with seat.files:
            try:
                received_files.make_directory(seat.directory)
                if outcome.state is not RunState.CRASHED:
                    received_files.write_mark(seat.directory, "exit", ending)
            except OSError as error:
                raise _not_stored(error) from error
        with self._lock:
            if seat.stage is not Stage.STARTED:
                raise stopping_error()  # the next request finds out how it ended
            seat.ending = outcome
            seat.ends = [one for one in seat.ends if not one.cancelled()] + [future]
        seat.signal.set()
        return future

    def _find(self, request: NodeRequest) -> Seat:
        """Return the attempt. Raises ControllerError if it is not open here, or without its ticket."""
        with self._lock:
            seat = self._seats.get(request.job_id)
        if seat is None:
            raise self._why_closed(request)
        if not has_ticket(seat.ticket, request.ticket):
            raise ticket_error()
        return seat

    def _hear(self, seat: Seat, request: NodeRequest) -> None:
        """Note that the runner has sent something. Raises ConflictError if the attempt is over, or of another one."""
        if seat.stage is Stage.SUSPENDED:
            raise stopping_error()
        if seat.stage is Stage.OVER:
            raise over_error()
        if seat.instance not in (None, request.instance):
            raise ConflictError("This attempt belongs to another runner.")
        seat.heard_at = self._clock.monotonic()

    def _hear_started(self, seat: Seat, request: NodeRequest) -> None:
        """Note that a runner has sent something whose flow may run. Raises ConflictError for any other."""
        self._hear(seat, request)
        if seat.stage is not Stage.STARTED:
            raise ConflictError("The flow of this attempt has no permission to start.")
        seat.has_reported = True

    def _check_order(self, seat: Seat) -> None:
        """End an attempt whose runner asks again for permission to start, if its order is on another host.

        An earlier controller has given permission. The runner did not receive it, or this request was delayed, so
        the flow may have started. Raises ConflictError, after which the runner ends.
        """
        if seat.order is None:
            if not seat.has_reported and seat.ending is None:
                seat.ending = RunOutcome(state=RunState.CRASHED, reason=f"{_UNKNOWN}{_NO_ORDER}")
                seat.signal.set()
            raise over_error()

    def _check_proof(self, request: NodeRequest, proof: str | None) -> None:
        if self._node_secret is None:
            return
        text = f"{request.ticket}{request.instance}".encode("utf-8", "surrogatepass")
        expected = hmac.new(self._node_secret, text, hashlib.sha256).hexdigest()
        if proof is None or not hmac.compare_digest(expected.encode(), proof.encode("utf-8", "surrogatepass")):
            raise TicketError(
                "The node does not know the secret of this controller's nodes.",
                hint="Set CONTROLLER_NODE_SECRET_FILE on the node to a file with the content of --node-secret-file.",
            )

    def _why_closed(self, request: NodeRequest) -> ControllerError:
        """Return the error for an attempt that is not open here."""
        ticket = self._over.get(request.job_id)
        if ticket is not None:
            return over_error() if has_ticket(ticket, request.ticket) else ticket_error()
        if self._lookups.take():
            return NotReadyError("Too many requests for attempts that are not open.")
        record = self._records.find(request.job_id)
        if record is None or record.attempt.ticket is None:
            return NotFoundError("There is no such attempt.")
        if not has_ticket(record.attempt.ticket, request.ticket):
            return ticket_error()
        return over_error() if record.is_over else NotReadyError("The controller has not taken over this attempt yet.")

    def _is_recorded(self, request: NodeRequest, ending: Mapping[str, Any]) -> bool:
        """Whether this end was recorded before, maybe on another host. If it comes too late, record that once."""
        record = self._records.find(request.job_id)
        if record is None or record.attempt.instance != request.instance:
            return False
        attempt = record.attempt
        directory = attempt_directory(self._runs_directory, attempt)
        outcome = _outcome_of(ending, attempt.nonce)
        if outcome.state is attempt.state or read_mark(directory / "exit", attempt.nonce) is not None:
            return True
        result = outcome.state.value.replace("_", " ")
        with self._lock:
            is_new = request.job_id not in self._late
            _remember(self._late, request.job_id, result)
        if is_new:
            self._records.note_late_result(record, result)
        return False


def _remember(known: OrderedDict[str, str], job_id: str, value: str) -> None:
    """Add the job, and remove the oldest ones."""
    known[job_id] = value
    while len(known) > _REMEMBERED:
        known.popitem(last=False)


def _outcome_of(ending: Mapping[str, Any], nonce: str) -> RunOutcome:
    """Return the outcome that a runner reports. Raises UsageError for the report of another attempt."""
    if ending.get("nonce") != nonce:
        raise UsageError("This is the report of another attempt.")
    if ending.get("outcome") == "crashed":
        reason = str(ending.get("reason") or "its supervisor was killed")[:MAX_REASON]
        why = visible_lines(reason).removeprefix(_UNKNOWN)
        return RunOutcome(state=RunState.CRASHED, reason=f"{_UNKNOWN}{why}")
    try:
        return exit_outcome(dict(ending))
    except ValueError:
        return RunOutcome(state=RunState.CRASHED, reason=f"{_UNKNOWN}the report of its runner is not valid")


def _not_stored(error: OSError) -> ControllerError:
    if error.errno == errno.EFBIG:
        return UsageError("The file would be larger than any that a supervisor writes.")
    return NotReadyError(f"The controller can't store it: {shortage(error) or error.strerror or error}.")
