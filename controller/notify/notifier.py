"""The thread of notifications: it waits for commits to the state, and lets each step do what is due.

`controller.app.notifications` creates it with its steps, such as evaluating what has gone wrong and sending messages. A
step that fails is retried with back-off; the other steps and the controller continue.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from controller.backoff import Backoff
from controller.clock import Clock
from controller.errors import ControllerError, StateError
from controller.records import dataclass
from controller.store.commit_counter import CommitListener
from controller.store.database import Place

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
STOP_SECONDS = 1.0
"""How long a stop waits for the current step. It writes in transactions, so it leaves nothing half-written."""
FIRST_RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One part of the work.

    `work` takes the current time and does what is due. It returns when it must be called again if nothing is committed
    until then, or None. If it raises, it is called again after a pause.
    """

    name: str
    work: Callable[[datetime], datetime | None]


class Notifier:
    """Calls the steps after each commit, and a step also when it is due.

    It polls the count of commits once a second, which reads no row, and asks a server nothing.
    """

    def __init__(self, steps: Sequence[Step], *, database: Place, clock: Clock) -> None:
        self._clock = clock
        self._database = database
        self._turns = [_Turn(step, clock) for step in steps]
        self._counter: CommitListener | None = None
        self._wakeup = threading.Event()
        self._stopping = threading.Event()
        # A daemon thread, so that the process can exit while a write hangs in the kernel.
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Start the thread. It calls all steps at once, for what was committed while no controller was running."""
        self._thread.start()

    def wake(self) -> None:
        """Have all steps called soon. Called from any thread; returns at once."""
        self._wakeup.set()

    def stop(self) -> None:
        """Stop the thread, and wait at most `STOP_SECONDS` for the current step."""
        self._stopping.set()
        self._wakeup.set()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        last: int | None = None
        is_woken = True
        while not self._stopping.is_set():
            count = self._count_commits()  # before the steps, so that a commit during a step is noticed
            has_changed = is_woken or count is None or count != last
            last = count
            for turn in self._turns:
                if not self._stopping.is_set():
                    turn.take(has_changed=has_changed, is_stopping=self._stopping.is_set)
            is_woken = self._wakeup.wait(POLL_SECONDS)
            if is_woken:  # otherwise, `wake` may have been called since the wait ended: the next wait returns at once
                self._wakeup.clear()
        if self._counter is not None:
            self._counter.close()

    def _count_commits(self) -> int | None:
        """Return a number that changes with every commit, or None if it can't be read."""
        try:
            if self._counter is None:
                self._counter = CommitListener(self._database)
            return self._counter.stamp()
        except StateError:
            return None


class _Turn:
    """When a step must be called next."""

    def __init__(self, step: Step, clock: Clock) -> None:
        self._step = step
        self._clock = clock
        self._retries = Backoff(clock, first=FIRST_RETRY_SECONDS, longest=LONGEST_RETRY_SECONDS)
        self._due_at: datetime | None = None

    def take(self, *, has_changed: bool, is_stopping: Callable[[], bool]) -> None:
        """Call the step if it is due or `has_changed`. Errors are logged."""
        now = self._clock.now()
        is_due = has_changed or self._retries.failures > 0 or (self._due_at is not None and self._due_at <= now)
        if not is_due or self._retries.remaining > 0:
            return
        try:
            self._due_at = self._step.work(now)
        except Exception as error:  # noqa: BLE001 - a bug in notifications must not stop the controller
            if self._retries.fail(str(error)) and not is_stopping():
                self._log(error)
            return
        if self._retries.succeed():
            log.info("A step of notifications works again", extra={"step": self._step.name})

    def _log(self, error: Exception) -> None:
        is_bug = not isinstance(error, ControllerError | OSError)
        extra = {"step": self._step.name, "error": str(error), "retry_seconds": self._retries.seconds}
        log.error("A step of notifications failed; it will be retried", exc_info=error if is_bug else None, extra=extra)
