"""Waits until this controller may lead its project, and renews its lease while it leads.

Only for a state in a database on a server: several controllers may share it, and all but one wait as standbys.
"""

import logging
import threading
from collections.abc import Callable

from controller.app.stop_signal import StopSignal
from controller.clock import Clock
from controller.errors import DeposedError, StateError, StoppingError
from controller.settings import PROJECT
from controller.state_url import StateUrl
from controller.store.leadership import GIVE_UP, Leadership, already_leading, silent

log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0


class Leading:
    """The leadership of this process. `failure` is set when it no longer leads."""

    def __init__(self, url: StateUrl, clock: Clock) -> None:
        self.leadership = Leadership(url, PROJECT)
        self.failure: DeposedError | None = None
        self._clock = clock
        self._on_failure: Callable[[], None] = lambda: None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease")

    def wait(self, stop_signal: StopSignal | None, on_wait: Callable[[], None] = lambda: None) -> None:
        """Wait until no other controller leads, or until the stop signal arrives (StoppingError).

        Call `on_wait` each time that another controller leads.

        Raises AlreadyRunningError without a stop signal if another controller leads, and StateError if the server can't
        be used at the first attempt: a later failure may pass.
        """
        if self.leadership.try_lock():
            return
        if stop_signal is None:
            raise already_leading(self.leadership.url)
        log.info("Another controller leads the project; waiting as a standby")
        on_wait()
        while not stop_signal.wait(_POLL_SECONDS):
            try:
                if self.leadership.try_lock():
                    log.info("No other controller leads the project any more; taking over")
                    return
                on_wait()
            except StateError as error:
                log.warning("The state database can't be used; retrying", extra={"error": error.message})
        raise StoppingError

    def start(self, on_failure: Callable[[], None]) -> None:
        """Start to renew the lease. Call `on_failure` when the process no longer leads."""
        self._on_failure = on_failure
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing the lease."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _renew(self) -> None:
        last = self._clock.elapsed()
        while not self._stopping.wait(_POLL_SECONDS):
            try:
                self.leadership.renew()
                last = self._clock.elapsed()
            except DeposedError as error:
                self._give_up(error)
                return
            except StateError as error:
                if self._clock.elapsed() - last >= GIVE_UP.total_seconds() or self.leadership.has_lost_lock:
                    log.warning("The lease of the project can't be renewed", extra={"error": error.message})
                    self._give_up(silent())
                    return

    def _give_up(self, error: DeposedError) -> None:
        self.failure = error
        self._on_failure()
