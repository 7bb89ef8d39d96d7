"""Runs the passes in a thread: after a change or a request, at each polling interval, and with backoff on failure."""

import contextlib
import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta

from controller import c_heap
from controller.backoff import Backoff
from controller.clock import Clock
from controller.errors import ControllerError, ResourceError, StateLostError, StoppingError
from controller.reconcile.pass_deadline import PassDeadline
from controller.reconcile.pass_statistics import PassStatistics
from controller.reconcile.reconciler import PassResult, Reconciler
from controller.sources.source import Source
from controller.sources.watch import Watcher

log = logging.getLogger(__name__)

QUIET_SECONDS = 0.05
BURST_SECONDS = 1.0
FIRST_RETRY_SECONDS = 0.75
STOP_SECONDS = 5.0
"""How long a stop waits for the current pass. Git and rendering are interrupted, so that they end at once."""
DRIFT_PASSES = 4
"""Number of passes in a row without changes after which the jobs are compared with the active deployments."""


class Loop:
    """The thread of the reconciler. A burst of changes causes one pass, which applies the newest revision.

    A failed pass is retried after 750 ms, then after twice that time, and so on up to `longest_retry`. `on_pass` may be
    replaced before `start`: it is called after each pass with the result, the time and the duration in seconds.
    """

    def __init__(
        self,
        reconciler: Reconciler,
        source: Source,
        *,
        clock: Clock,
        interval: timedelta,
        longest_retry: timedelta,
        on_failure: Callable[[], None],
        deadline: PassDeadline | None = None,
    ) -> None:
        self._reconciler = reconciler
        self._source = source
        self._clock = clock
        self._interval = interval.total_seconds()
        self._on_failure = on_failure
        self._deadline = deadline
        self.statistics = PassStatistics()
        self.on_pass: Callable[[PassResult | ControllerError, datetime, float], None] = lambda *_: None
        self._lock = threading.Lock()
        self._requests: list[Future[PassResult]] = []
        self._quiet_passes = 0
        self._wakeup = threading.Event()
        self._stopping = threading.Event()
        self._retries = Backoff(clock, first=FIRST_RETRY_SECONDS, longest=longest_retry.total_seconds())
        self._watcher = Watcher(self.wake, clock)
        # A daemon thread, so that the process can exit while a pass hangs in the kernel.
        self._thread = threading.Thread(target=self._run, name="reconcile", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Start the thread, which begins with a pass."""
        self._wakeup.set()
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for the current pass, at most `STOP_SECONDS`.

        A pass that hangs leaves nothing half-written in the state, since it writes in one transaction.
        """
        self._stopping.set()
        self._source.interrupt()
        self._wakeup.set()
        with self._lock:
            requests, self._requests = self._requests, []
        _resolve(requests, StoppingError())
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                log.error("The pass did not stop in time; exiting without it", extra={"seconds": STOP_SECONDS})
                return
        self._watcher.close()

    def wake(self) -> None:
        """Start a pass soon, because something may have changed. Called from any thread; returns at once."""
        self._wakeup.set()

    def request_pass(self) -> Future[PassResult]:
        """Request a pass even if nothing is new. The future has the result of a pass that began after this call.

        It raises StateError if that pass could not write, and StoppingError if the loop stops before.
        """
        request: Future[PassResult] = Future()
        with self._lock:
            is_over = self._stopping.is_set()
            if not is_over:
                self._requests.append(request)
        if is_over:
            request.set_exception(StoppingError())
        self.wake()
        return request

    def _run(self) -> None:
        try:
            self._restore()
            while self._wait():
                with contextlib.nullcontext() if self._deadline is None else self._deadline.watch_pass():
                    self._watch()
                    self._pass()
        except StateLostError as error:
            self._give_up(error)
        except BaseException as error:
            log.critical("The reconciler failed", exc_info=error)
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        self.failure = error
        self._on_failure()

    def _restore(self) -> None:
        """Let schedules fire before the source has been read. A deployment that fails here waits for the first pass."""
        try:
            self._reconciler.restore(self._stopping.is_set)
        except StateLostError:
            raise
        except ControllerError as error:
            log.error("The recorded deployments can't be read", extra={"reason": error.reason, "error": error.message})

    def _wait(self) -> bool:
        """Wait until a pass is due; return False to stop."""
        if self._wakeup.wait(self._delay()):
            began = self._clock.monotonic()
            is_quiet = False
            while not (is_quiet or self._stopping.is_set() or self._clock.monotonic() - began > BURST_SECONDS):
                self._wakeup.clear()
                is_quiet = not self._wakeup.wait(QUIET_SECONDS)
            self._wakeup.clear()
        return not self._stopping.is_set()

    def _delay(self) -> float:
        return self._retries.seconds or self._interval * random.uniform(0.95, 1.05)

    def _watch(self) -> None:
        """Watch for changes from before the pass, so that one that happens during the pass is not missed."""
        try:
            self._watcher.watch(self._source.watched_paths())
            self._reconciler.record_watching(self._watcher.problem)
        except StateLostError:
            raise
        except (ControllerError, OSError):
            return  # changes are found by polling until the next pass

    def _pass(self) -> None:
        with self._lock:
            count = len(self._requests)
        began = self._clock.monotonic()
        outcome: PassResult | ControllerError
        try:
            outcome = result = self._reconciler.run_pass(is_requested=count > 0)
            self._check_drift(result, is_requested=count > 0)
            if result.error is None:
                self._retries.succeed()
            else:
                self._retries.fail(result.error.message)
        except StateLostError:
            raise
        except (ControllerError, OSError) as error:
            outcome = error if isinstance(error, ControllerError) else ResourceError(f"The pass failed: {error}.")
            if self._retries.fail(outcome.message) and not self._stopping.is_set():
                log.error("The pass failed", extra={"reason": outcome.reason, "error": str(error)})
        self._record(outcome, self._clock.monotonic() - began)
        with self._lock:
            served, self._requests = self._requests[:count], self._requests[count:]
        _resolve(served, outcome)
        c_heap.return_free_memory()

    def _record(self, outcome: PassResult | ControllerError, seconds: float) -> None:
        now = self._clock.now()
        revision = self.statistics.record(outcome, seconds, now)
        self.statistics.drifts = self._reconciler.drifts
        self.on_pass(outcome, now, seconds)
        if revision is not None:
            with contextlib.suppress(ControllerError, OSError):
                if (committed_at := self._source.committed_at(revision)) is not None:
                    self.statistics.commit_to_active.observe((now - committed_at).total_seconds())

    def _check_drift(self, result: PassResult, *, is_requested: bool) -> None:
        """Check for drift after a requested pass, and after `DRIFT_PASSES` passes without changes."""
        self._quiet_passes = 0 if result.plan is not None else self._quiet_passes + 1
        if is_requested or self._quiet_passes == DRIFT_PASSES:
            self._quiet_passes = 0
            self._reconciler.check_drift()


def _resolve(requests: list[Future[PassResult]], outcome: PassResult | ControllerError) -> None:
    for request in requests:
        if not request.set_running_or_notify_cancel():
            continue
        if isinstance(outcome, ControllerError):
            request.set_exception(outcome)
        else:
            request.set_result(outcome)
