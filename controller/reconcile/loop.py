"""When to look: at a hint, after an interval, and sooner again after a failure. One pass at a time."""

import contextlib
import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta

from controller.clock import Clock
from controller.errors import ControllerError, ResourceError, StateLostError, StoppingError
from controller.reconcile.pass_deadline import Overdue
from controller.reconcile.reconciler import PassResult, Reconciler
from controller.sources.source import Source
from controller.sources.watch import Watcher

log = logging.getLogger(__name__)

QUIET_SECONDS = 0.05
BURST_SECONDS = 1.0
FIRST_RETRY_SECONDS = 0.75
STOP_SECONDS = 5.0
"""How long a stop waits for the pass at hand. Git and rendering are interrupted, so that they end at once."""
DRIFT_PASSES = 4
"""Passes with nothing new after which the jobs are held against what is in force."""


class Loop:
    """The thread of the reconciler. A burst of hints makes one pass, of the newest revision.

    After a failure it looks again after 750 ms, then after twice that, and so on up to `longest_retry`.
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
        overdue: Overdue | None = None,
    ) -> None:
        self._reconciler = reconciler
        self._source = source
        self._clock = clock
        self._interval = interval.total_seconds()
        self._longest_retry = longest_retry.total_seconds()
        self._on_failure = on_failure
        self._overdue = overdue
        self._lock = threading.Lock()
        self._asked: list[Future[PassResult]] = []
        self._quiet = 0
        self._hint = threading.Event()
        self._stopping = threading.Event()
        self._failures = 0
        self._last_words, self._repeated = "", 0
        self._watcher = Watcher(self.look, clock)
        # A daemon: where a pass hangs in the kernel, the process ends without it.
        self._thread = threading.Thread(target=self._live, name="reconcile", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Make the first pass soon, then go on."""
        self._hint.set()
        self._thread.start()

    def stop(self) -> None:
        """Return when the pass at hand is done, or hangs: nothing of it is half-written in the state."""
        self._stopping.set()
        self._source.interrupt()
        self._hint.set()
        with self._lock:
            left, self._asked = self._asked, []
        _tell(left, StoppingError())
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                log.error("The pass does not end; the controller ends without it", extra={"seconds": STOP_SECONDS})
                return
        self._watcher.close()

    def look(self) -> None:
        """Something may have changed."""
        self._hint.set()

    def ask(self) -> Future[PassResult]:
        """Ask for a pass though nothing may be new. The future has the result of one that began afterwards.

        It raises StateError if that pass could not write, StoppingError if none comes any more.
        """
        found: Future[PassResult] = Future()
        with self._lock:
            is_over = self._stopping.is_set()
            if not is_over:
                self._asked.append(found)
        if is_over:
            found.set_exception(StoppingError())
        self.look()
        return found

    def _live(self) -> None:
        try:
            self._restore()
            while self._wait():
                with contextlib.nullcontext() if self._overdue is None else self._overdue.passing():
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
        """Schedules go on before the source has been read. What can't be restored comes with the first pass."""
        try:
            self._reconciler.restore(self._stopping.is_set)
        except StateLostError:
            raise
        except ControllerError as error:
            log.error("The recorded deployments can't be read", extra={"reason": error.reason, "error": error.message})

    def _wait(self) -> bool:
        """Until there is a reason to look; False to end."""
        if self._hint.wait(self._delay()):
            began = self._clock.monotonic()
            is_quiet = False
            while not (is_quiet or self._stopping.is_set() or self._clock.monotonic() - began > BURST_SECONDS):
                self._hint.clear()
                is_quiet = not self._hint.wait(QUIET_SECONDS)
            self._hint.clear()
        return not self._stopping.is_set()

    def _delay(self) -> float:
        if self._failures:
            return min(FIRST_RETRY_SECONDS * 2.0 ** (self._failures - 1), self._longest_retry)
        return self._interval * random.uniform(0.95, 1.05)

    def _watch(self) -> None:
        """Before the pass, so that nothing that happens during it goes unseen."""
        try:
            self._watcher.arm(self._source.watched())
            self._reconciler.note_watching(self._watcher.problem)
        except StateLostError:
            raise
        except (ControllerError, OSError):
            return  # polling has to do until the next pass

    def _pass(self) -> None:
        with self._lock:
            count = len(self._asked)
        last: PassResult | ControllerError
        try:
            last = result = self._reconciler.run_pass(is_asked=count > 0)
            self._check_drift(result, is_asked=count > 0)
            failed = result.error is not None
        except StateLostError:
            raise
        except ControllerError as error:
            if not self._stopping.is_set() and self._is_worth_a_line(error.message):
                log.error("The pass failed", extra={"reason": error.reason, "error": error.message})
            last, failed = error, True
        except OSError as error:
            last, failed = ResourceError(f"The pass failed: {error}."), True
            if self._is_worth_a_line(last.message):
                log.error("The pass failed", extra={"reason": last.reason, "error": str(error)})
        self._failures = min(self._failures + 1, 32) if failed else 0
        if not failed:
            self._last_words, self._repeated = "", 0
        with self._lock:
            asked, self._asked = self._asked[:count], self._asked[count:]
        _tell(asked, last)

    def _is_worth_a_line(self, words: str) -> bool:
        """Whether this was not said before, or not as often as twice as many failures would make it."""
        self._repeated = self._repeated + 1 if words == self._last_words else 1
        self._last_words = words
        return self._repeated & (self._repeated - 1) == 0

    def _check_drift(self, result: PassResult, *, is_asked: bool) -> None:
        """Now and then also while nothing is new, and whenever somebody asks for a pass."""
        self._quiet = 0 if result.plan is not None else self._quiet + 1
        if is_asked or self._quiet == DRIFT_PASSES:
            self._quiet = 0
            self._reconciler.check_drift()


def _tell(those_who_asked: list[Future[PassResult]], last: PassResult | ControllerError) -> None:
    for future in those_who_asked:
        if not future.set_running_or_notify_cancel():
            continue
        if isinstance(last, ControllerError):
            future.set_exception(last)
        else:
            future.set_result(last)
