"""When to look: at a hint, after an interval, and sooner again after a failure. One pass at a time."""

import logging
import random
import threading
from collections.abc import Callable
from datetime import timedelta

from controller.errors import ControllerError
from controller.reconcile.reconciler import Reconciler
from controller.sources.source import Source
from controller.sources.watch import Watcher

log = logging.getLogger(__name__)

QUIET_SECONDS = 0.05
BURST_SECONDS = 1.0
FIRST_RETRY_SECONDS = 0.75


class Loop:
    """The thread of the reconciler. A burst of hints makes one pass, of the newest revision."""

    def __init__(
        self, reconciler: Reconciler, source: Source, *, interval: timedelta, on_failure: Callable[[], None]
    ) -> None:
        self._reconciler = reconciler
        self._source = source
        self._interval = interval.total_seconds()
        self._on_failure = on_failure
        self._hint = threading.Event()
        self._stopping = threading.Event()
        self._failures = 0
        self._watcher = Watcher(self.look)
        self._thread = threading.Thread(target=self._live, name="reconcile")
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Make the first pass soon, then go on."""
        self._hint.set()
        self._thread.start()

    def stop(self) -> None:
        """Return when the pass at hand is done."""
        self._stopping.set()
        self._source.interrupt()
        self._hint.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._watcher.close()

    def look(self) -> None:
        """Something may have changed."""
        self._hint.set()

    def _live(self) -> None:
        try:
            while self._wait():
                self._watch()
                self._pass()
        except BaseException as error:
            log.critical("The reconciler failed", exc_info=error)
            self.failure = error
            self._on_failure()

    def _wait(self) -> bool:
        """Until there is a reason to look; False to end."""
        if self._hint.wait(self._delay()):
            for _ in range(round(BURST_SECONDS / QUIET_SECONDS)):
                self._hint.clear()
                if self._stopping.is_set() or not self._hint.wait(QUIET_SECONDS):
                    break
            self._hint.clear()
        return not self._stopping.is_set()

    def _delay(self) -> float:
        if self._failures:
            return min(FIRST_RETRY_SECONDS * 2.0 ** (self._failures - 1), self._interval)
        return self._interval * random.uniform(0.95, 1.05)

    def _watch(self) -> None:
        """Before the pass, so that nothing that happens during it goes unseen."""
        try:
            self._watcher.arm(self._source.watched())
        except ControllerError:
            return

    def _pass(self) -> None:
        try:
            failed = self._reconciler.run_pass().error is not None
        except ControllerError as error:
            if not self._stopping.is_set():
                log.error("The pass failed", extra={"reason": error.reason, "error": error.message})
            failed = True
        self._failures = min(self._failures + 1, 32) if failed else 0
