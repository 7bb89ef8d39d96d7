"""An attempt at the node desk: what its runner has asked and reported, and what the handle has decided about it."""

import enum
import hashlib
import hmac
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from controller.errors import ConflictError, ControllerError
from controller.model.runs import RunOutcome
from controller.runs.executors.remote.decision_table import SILENT_SECONDS
from controller.runs.executors.remote.order import Order
from controller.runs.wake_signal import WakeSignal

BEAT_SECONDS = 10
LATER_BEAT_SECONDS = 60
LATER = 600.0
"""After this many seconds, runners of long flows send their beats less often."""


class TicketError(ControllerError):
    """The request does not have the ticket of the attempt."""

    reason = "Unauthorized"


class NotReadyError(ControllerError):
    """The answer is not known yet. The runner repeats the request."""

    reason = "NotReady"


class Stage(enum.Enum):
    """How far an attempt has got.

    `OVER`: it never gets permission to start, or its outcome is committed. `SUSPENDED`: this controller stops, and
    another one takes over the attempt.
    """

    PREPARING = "preparing"
    ASKING = "asking"
    STARTED = "started"
    OVER = "over"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRequest:
    """The sender of a request: the runner process `instance`, with the ticket of the attempt of a job."""

    job_id: str
    ticket: str = field(repr=False)
    instance: str


@dataclass(slots=True, kw_only=True)
class Seat:
    """The facts that the desk knows about one attempt.

    - `ticket`: its SHA-256. `order`: None until the code is packed.
    - `instance`: the runner process that has asked to start, and no other may start. `node`: where it runs.
    - `heard_at`: when a runner was last heard. `beat_seconds`: after how long it is expected again.
    - `has_reported`: its runner has sent something that only one sends whose flow was started.
    - `is_cancelled`: its flow must end.
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
    beat_seconds: int = BEAT_SECONDS
    has_reported: bool = False
    is_cancelled: bool = False
    failure: str | None = None
    ending: RunOutcome | None = None
    starts: list["Future[None]"] = field(default_factory=list)
    ends: list["Future[None]"] = field(default_factory=list)
    files: threading.Lock = field(default_factory=threading.Lock)

    def plan_beat(self, now: float) -> int:
        """Return the seconds until the next beat of the runner is expected."""
        is_later = now - self.started_at > LATER and not self.is_cancelled
        self.beat_seconds = LATER_BEAT_SECONDS if is_later else BEAT_SECONDS
        return self.beat_seconds

    @property
    def silent_at(self) -> float:
        """When the runner is treated as silent, unless it sends something."""
        return self.heard_at + SILENT_SECONDS + self.beat_seconds - BEAT_SECONDS


def has_ticket(digest: str, ticket: str) -> bool:
    """Return whether this is the ticket with that SHA-256, in constant time."""
    return hmac.compare_digest(hash_ticket(ticket), digest)


def hash_ticket(ticket: str) -> str:
    """Return what is recorded of a ticket."""
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).hexdigest()


def resolve(future: "Future[None]", error: ControllerError | None = None) -> None:
    """Answer a request that waits, unless it has been given up."""
    if not future.set_running_or_notify_cancel():
        return  # its request has ended
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def ticket_error() -> TicketError:
    """Return the error for the wrong ticket."""
    return TicketError("The ticket is not that of this attempt.")


def over_error() -> ConflictError:
    """Return the error after which a runner ends and removes its files."""
    return ConflictError("This attempt is over.")


def stopping_error() -> NotReadyError:
    """Return the error for an attempt that another controller takes over."""
    return NotReadyError("The controller is stopping.")
