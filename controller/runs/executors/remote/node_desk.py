"""Where the requests of runners and the handles of remote attempts meet, by the ids of their jobs. Thread-safe.

The routes of the node API call it from their threads, the handles from the engine's thread. A request that has to wait
for the engine gets a future. No method decides whether a flow may start: the handle does, after `running` is committed.
"""

import enum
import errno
import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controller.clock import Clock
from controller.errors import ConflictError, ControllerError, NotFoundError, UsageError, shortage
from controller.model.runs import RunOutcome, RunState
from controller.rate_limit import TokenBucket
from controller.runs.executors.attempt_files import exit_outcome, read_mark
from controller.runs.executors.remote import received_files
from controller.runs.executors.remote.attempt_records import AttemptRecords
from controller.runs.executors.remote.decision_table import SILENT_SECONDS
from controller.runs.executors.remote.order import Order
from controller.runs.executors.remote.packages import CodePackages
from controller.runs.executors.remote.wake_signal import WakeSignal
from controller.text import visible_lines

BEAT_SECONDS = 10
LATER_BEAT_SECONDS = 60
LATER = 600.0
"""After this many seconds, runners of long flows send their beats less often."""
MAX_LOOKUPS = 100
LOOKUPS_PER_SECOND = 20.0
"""How often records are read for requests about attempts that are not open here, whoever sends them."""
_REMEMBERED = 1000
_UNKNOWN = "outcome unknown: "

ReadSecrets = Callable[[Mapping[str, Mapping[str, str]]], Mapping[str, str | None]]
"""Returns the values of secrets by their places, `{"env": …}` or `{"file": …}`; None for one that is not available."""


class TicketError(ControllerError):
    """The request does not have the ticket of the attempt."""

    reason = "Unauthorized"


class NotReadyError(ControllerError):
    """The answer is not known yet. The runner repeats the request."""

    reason = "NotReady"


class Stage(enum.Enum):
    """How far an attempt has got.

    `OVER`: it never gets leave to start, or its outcome is committed. `SUSPENDED`: this controller stops, and another
    one takes over the attempt.
    """

    PREPARING = "preparing"
    ASKING = "asking"
    STARTED = "started"
    OVER = "over"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRequest:
    """Who sends a request: the runner process `instance`, with the ticket of the attempt of a job."""

    job_id: str
    ticket: str
    instance: str


@dataclass(slots=True, kw_only=True)
class Seat:
    """What the desk knows about one attempt.

    - `ticket`: its SHA-256. `order`: None until the code is packed.
    - `instance`: the runner process that has asked to start, and no other may start. `node`: where it runs.
    - `heard_at`: when a runner was last heard. `is_cancelled`: its flow must end.
    - `failure`: why the attempt could not be prepared. `ending`: the outcome that the runner reported.
    """

    job_id: str
    nonce: str
    ticket: str
    directory: Path
    signal: WakeSignal
    heard_at: float
    order: Order | None = None
    stage: Stage = Stage.PREPARING
    instance: str | None = None
    node: str | None = None
    started_at: float = 0.0
    is_cancelled: bool = False
    failure: str | None = None
    ending: RunOutcome | None = None
    starts: list["Future[None]"] = field(default_factory=list)
    ends: list["Future[None]"] = field(default_factory=list)
    files: threading.Lock = field(default_factory=threading.Lock)

    def beat_seconds(self, now: float) -> int:
        """Return the seconds between two beats."""
        is_later = self.stage is Stage.STARTED and now - self.started_at > LATER and not self.is_cancelled
        return LATER_BEAT_SECONDS if is_later else BEAT_SECONDS

    def silent_at(self, now: float) -> float:
        """Return when the runner counts as silent, unless it is heard before."""
        return self.heard_at + SILENT_SECONDS + self.beat_seconds(now) - BEAT_SECONDS


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
        self._late: set[str] = set()
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
        """Let the runner that has asked start the flow: `running` and its instance are committed."""
        with self._lock:
            seat.stage = Stage.STARTED
            seat.started_at = self._clock.monotonic()
            waiting, seat.starts = seat.starts, []
        for future in waiting:
            _resolve(future)

    def void(self, seat: Seat) -> None:
        """Never let this attempt start. Not after `go`."""
        with self._lock:
            seat.stage = Stage.OVER
            waiting, seat.starts = seat.starts, []
        for future in waiting:
            _resolve(future, _over())

    def close(self, seat: Seat, *, is_final: bool) -> None:
        """Accept no more requests. With `is_final`, the outcome of the attempt is committed."""
        with self._lock:
            if self._seats.get(seat.job_id) is seat:
                del self._seats[seat.job_id]
            if is_final:
                self._over[seat.job_id] = seat.ticket
                while len(self._over) > _REMEMBERED:
                    self._over.popitem(last=False)
            starts, ends, seat.starts, seat.ends = seat.starts, seat.ends, [], []
            seat.stage = Stage.OVER if is_final else Stage.SUSPENDED
        for future in starts:
            _resolve(future, _over() if is_final else _suspended())
        for future in ends:
            _resolve(future, None if is_final else _suspended())

    def seats(self) -> list[Seat]:
        """Return all attempts that are open."""
        with self._lock:
            return list(self._seats.values())

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
        """Ask for leave to start the flow. The future is done after `running` and this instance are committed."""
        seat = self._find(request)
        self._check_proof(request, proof)
        future: Future[None] = Future()
        with self._lock:
            self._hear(seat, request)
            if seat.stage is Stage.STARTED:
                _resolve(future)
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
            _resolve(future, _over())
        seat.signal.set()

    def append(self, request: NodeRequest, name: str, offset: int, data: bytes) -> int:
        """Append to the log or the events if they have this size now; return their size."""
        seat = self._find(request)
        with self._lock:
            self._hear_started(seat, request)
        with seat.files:
            try:
                return received_files.append(seat.directory, name, offset, data)
            except OSError as error:
                raise _not_stored(error) from error

    def beat(self, request: NodeRequest) -> dict[str, Any]:
        """Return whether the flow must end, and when the next beat is expected."""
        seat = self._find(request)
        with self._lock:
            self._hear_started(seat, request)
            return {"cancel": seat.is_cancelled, "next": seat.beat_seconds(self._clock.monotonic())}

    def end(self, request: NodeRequest, ending: Mapping[str, Any]) -> "Future[None]":
        """Report how the attempt ended. The future is done after the outcome is committed."""
        future: Future[None] = Future()
        try:
            seat = self._find(request)
            with self._lock:
                self._hear_started(seat, request)
        except ConflictError:
            if self._is_recorded(request, ending):
                _resolve(future)
                return future
            raise
        outcome = _outcome_of(ending, seat.nonce)
        with seat.files:
            try:
                if outcome.state is not RunState.CRASHED:
                    received_files.write_mark(seat.directory, "exit", ending)
            except OSError as error:
                raise _not_stored(error) from error
        with self._lock:
            if seat.stage is not Stage.STARTED:
                raise _suspended()  # the next request finds out how it ended
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
        if not _has_ticket(seat.ticket, request.ticket):
            raise _wrong_ticket()
        return seat

    def _hear(self, seat: Seat, request: NodeRequest) -> None:
        """Note that the runner was heard. Raises ConflictError if the attempt is over or belongs to another one."""
        if seat.stage is Stage.SUSPENDED:
            raise _suspended()
        if seat.stage is Stage.OVER:
            raise _over()
        if seat.instance not in (None, request.instance):
            raise ConflictError("This attempt belongs to another runner.")
        seat.heard_at = self._clock.monotonic()

    def _hear_started(self, seat: Seat, request: NodeRequest) -> None:
        """Note that a runner was heard whose flow may run. Raises ConflictError for any other."""
        self._hear(seat, request)
        if seat.stage is not Stage.STARTED:
            raise ConflictError("The flow of this attempt has no leave to start.")

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
            return _over() if _has_ticket(ticket, request.ticket) else _wrong_ticket()
        if self._lookups.take():
            return NotReadyError("Too many requests for attempts that are not open.")
        record = self._records.find(request.job_id)
        if record is None or record.attempt.ticket is None:
            return NotFoundError("There is no such attempt.")
        if not _has_ticket(record.attempt.ticket, request.ticket):
            return _wrong_ticket()
        return _over() if record.is_over else NotReadyError("The controller has not taken over this attempt yet.")

    def _is_recorded(self, request: NodeRequest, ending: Mapping[str, Any]) -> bool:
        """Whether this end was recorded before. If it comes too late, record that once."""
        record = self._records.find(request.job_id)
        if record is None or record.attempt.instance != request.instance:
            return False
        attempt = record.attempt
        directory = self._runs_directory / attempt.run_id / f"{attempt.number}-{attempt.nonce}"
        if read_mark(directory / "exit", attempt.nonce) is not None:
            return True
        with self._lock:
            is_new = request.job_id not in self._late
            self._late.add(request.job_id)
        if is_new:
            outcome = _outcome_of(ending, attempt.nonce)
            self._records.note_late_result(record, outcome.state.value.replace("_", " "))
        return False


def _outcome_of(ending: Mapping[str, Any], nonce: str) -> RunOutcome:
    """Return the outcome that a runner reports. Raises UsageError for the report of another attempt."""
    if ending.get("nonce") != nonce:
        raise UsageError("This is the report of another attempt.")
    if ending.get("outcome") == "crashed":
        why = visible_lines(str(ending.get("reason") or "its supervisor was killed")).removeprefix(_UNKNOWN)
        return RunOutcome(state=RunState.CRASHED, reason=f"{_UNKNOWN}{why}")
    try:
        return exit_outcome(dict(ending))
    except ValueError:
        return RunOutcome(state=RunState.CRASHED, reason=f"{_UNKNOWN}the report of its runner is not valid")


def _has_ticket(digest: str, ticket: str) -> bool:
    return hmac.compare_digest(hash_ticket(ticket), digest)


def hash_ticket(ticket: str) -> str:
    """Return what is recorded of a ticket."""
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).hexdigest()


def _resolve(future: "Future[None]", error: ControllerError | None = None) -> None:
    if not future.set_running_or_notify_cancel():
        return  # its request has ended
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _wrong_ticket() -> TicketError:
    return TicketError("The ticket is not that of this attempt.")


def _over() -> ConflictError:
    return ConflictError("This attempt is over.")


def _suspended() -> NotReadyError:
    return NotReadyError("The controller is stopping.")


def _not_stored(error: OSError) -> ControllerError:
    if error.errno == errno.EFBIG:
        return UsageError("The file would be larger than any that a supervisor writes.")
    return NotReadyError(f"The controller can't store it: {shortage(error) or error.strerror or error}.")
