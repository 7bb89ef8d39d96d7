"""Waits until this controller may lead its project, and renews its lease while it leads.

Only for a state in a database on a server: several controllers may share it, and all but one wait as standbys.
"""

import logging
import math
import threading
from collections.abc import Callable
from datetime import timedelta

from controller.app.host_runs import HostRuns
from controller.app.stop_signal import StopSignal
from controller.clock import Clock
from controller.errors import ControllerError, DeposedError, StateError, StoppingError
from controller.settings import PROJECT
from controller.state_url import StateUrl
from controller.store.databases.postgresql_session import end_sessions
from controller.store.leadership import GIVE_UP, Leadership, already_leading, silent

log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0
HOST_SECONDS = 10.0
"""How often a controller records that it lives, and a standby checks the runs of its host."""


class Leading:
    """The leadership of this process. `failure` is set when it no longer leads."""

    def __init__(self, url: StateUrl, clock: Clock, place: str, grace: timedelta) -> None:
        self.leadership = Leadership(url, PROJECT)
        self._place = place
        self._recorded = -math.inf
        self._problem: str | None = None
        self._host_runs = HostRuns(url, place, grace)
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
        failure = None
        try:
            while not stop_signal.wait(_POLL_SECONDS):
                try:
                    if self.leadership.try_lock():
                        log.info("No other controller leads the project any more; taking over")
                        return
                    self._record_host(self._host_runs)
                    on_wait()
                    failure = None
                except StateError as error:
                    if error.message != failure:
                        log.warning("The state database can't be used; retrying", extra={"error": error.message})
                    failure = error.message
        finally:
            self._host_runs.close()
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
                self._record_host()
            except DeposedError as error:
                self._give_up(error)
                return
            except StateError as error:
                if self._clock.elapsed() - last >= GIVE_UP.total_seconds() or self.leadership.has_lost_lock:
                    log.warning("The lease of the project can't be renewed", extra={"error": error.message})
                    self._give_up(silent())
                    return

    def _record_host(self, host_runs: HostRuns | None = None) -> None:
        """Every 10 seconds, record that this controller lives; a standby also reports how runs of its host end."""
        if self._clock.elapsed() - self._recorded < HOST_SECONDS:
            return
        self.leadership.record_place(self._place)
        self._recorded = self._clock.elapsed()
        if host_runs is None:
            return
        try:
            host_runs.check(self.leadership.report)
            self._problem = None
        except (ControllerError, OSError) as error:
            if self._problem != str(error):
                log.warning("The runs of this host can't be checked", extra={"error": str(error)})
            self._problem = str(error)

    def _give_up(self, error: DeposedError) -> None:
        self.failure = error
        end_sessions()
        self._on_failure()
