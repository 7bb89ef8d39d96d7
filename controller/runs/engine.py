"""The thread that takes runs from their due time to their outcome. Only it launches attempts and commits outcomes.

The timetable, requests and attempts wake it. It never waits longer than 10 seconds, nor past the time at which a
waiting run may start. Each turn processes the due times, records the runs that have ended, and launches the next ones:
the engine asks the queue and passes the runs to the monitor. A wake-up carries no information: the handles
of attempts read their status.
"""

import contextlib
import logging
import selectors
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence

from controller.backoff import Backoff
from controller.clock import Clock
from controller.errors import ControllerError, ResourceError, StateLostError, shortage
from controller.model.runs import RunId, RunOutcome
from controller.runs.admission import Admission
from controller.runs.backfill_progress import BackfillProgress
from controller.runs.clock_skew import ClockMonitor
from controller.runs.due_announcements import DueAnnouncements
from controller.runs.executor_conditions import ExecutorConditions
from controller.runs.executors.executor import Handle, Launchable
from controller.runs.executors.executor_set import ExecutorSet
from controller.runs.file_descriptors import launch_capacity
from controller.runs.launch_preparation import LaunchPreparation
from controller.runs.monitor import LISTENING_SECONDS, RunMonitor
from controller.runs.outcomes import is_final
from controller.runs.pinned_deployments import PinnedDeployments
from controller.runs.python_runtimes import PythonRuntimes
from controller.runs.queue import Queue
from controller.runs.storage_check import StorageMonitor
from controller.runs.upstreams import Upstreams
from controller.runs.wake_signal import WakeSignal
from controller.store import Store, inventory, queues, runs, source_status
from controller.store.prepared import Prepared

log = logging.getLogger(__name__)

TICK_SECONDS = 10.0
DECISION_SECONDS = 0.1
"""How long due times wait after the last decision, at most, while attempts start in all slots, or the first ones do."""
RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 10.0


class Engine:
    """Runs deployments that are due. `notify_due` and `wake` may be called from any thread.

    The engine's thread calls `on_tick` every 10 seconds, and `on_failure` once if it has to stop. `storage` and
    `python` may be replaced before `start`.
    """

    def __init__(
        self,
        *,
        store: Store,
        pinned_deployments: PinnedDeployments,
        clock: Clock,
        admission: Admission,
        executors: ExecutorSet,
        max_running: int,
        on_tick: Callable[[], None],
        on_failure: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._admission = admission
        self._executors = executors
        self._max_running = max_running
        self._on_tick = on_tick
        self._on_failure = on_failure
        self._monitor = monitor = RunMonitor(store, clock, executors)
        self.statistics = self._monitor.statistics
        self._clock_monitor = ClockMonitor(store, clock)
        self._executor_conditions = ExecutorConditions(store, clock, executors)
        self._queue = Queue(store, clock, max_running)
        self._preparation = LaunchPreparation(
            pinned_deployments, self._queue, executors, monitor.failed_launches, wake=self.wake, refuse=monitor.refuse
        )
        self._backfills = BackfillProgress(store, clock, admission, self.wake)
        self._upstreams = Upstreams(store, clock, admission)
        self.storage = StorageMonitor(store, clock)
        self._turns = Backoff(clock, first=RETRY_SECONDS, longest=LONGEST_RETRY_SECONDS)
        self._launches = Backoff(clock, first=RETRY_SECONDS, longest=LONGEST_RETRY_SECONDS)
        self._announcements = DueAnnouncements(admission.deployments)
        self._cancelled: list[RunId] = []
        self._decided_at = clock.monotonic() - DECISION_SECONDS
        self._decide_at: float | None = None
        self._launch_at: float | None = None
        self._reads = 0
        self._has_launched = False
        self._shortage: str | None = None
        self._stopping = threading.Event()
        self._needs_code = threading.Event()
        self._wakeups = WakeSignal()
        weakref.finalize(self, self._wakeups.close).atexit = False  # the end of the process closes it
        self._thread = threading.Thread(target=self._run, name="runs")
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Take over the runs of an earlier controller, then start the thread."""
        self._executors.open(self.wake)
        self._clock_monitor.repair()
        self._queue.record_limit()
        with contextlib.suppress(ResourceError):  # later turns retry it
            self._executor_conditions.record()
            self._monitor.recover()
        self.wake()
        self._thread.start()

    def drain(self, seconds: float) -> bool:
        """Start no more flows, and wait up to `seconds` for running ones; return whether all have ended."""
        self._monitor.is_draining = True
        self.wake()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Launch nothing more and return when the thread has ended. Running flows continue."""
        self._stopping.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._preparation.close()
        self._monitor.release()

    @property
    def is_stopping(self) -> bool:
        """Whether the engine launches nothing more, because `drain` or `stop` was called."""
        return self._monitor.is_draining or self._stopping.is_set()

    def wake(self) -> None:
        """Start a turn now."""
        self._wakeups.set()

    def notify_python(self) -> None:
        """Record that a Python environment has become ready or has failed, and wake the thread."""
        self.python.notify()
        self.wake()

    @property
    def python(self) -> PythonRuntimes:
        """The interpreters of runs. It may be replaced before `start`."""
        return self._preparation.python

    @python.setter
    def python(self, runtimes: PythonRuntimes) -> None:
        self._preparation.python = runtimes

    def notify_due(self, name: str) -> None:
        """Record that this deployment may be due, and wake the thread."""
        self._announcements.add(name)
        self.wake()

    def prepare_code(self) -> None:
        """Export the applied revision and compile statements before a deployment is due, and wake the thread."""
        self._needs_code.set()
        self.wake()

    def _run(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._wakeups, selectors.EVENT_READ)
                self._monitor.attach(selector)
                next_tick = self._clock.monotonic() + TICK_SECONDS
                while not self._stopping.is_set() and not self._is_drained():
                    ready = self._listen(selector, next_tick)
                    self._wakeups.clear()
                    is_tick = self._clock.monotonic() >= next_tick
                    if is_tick:
                        next_tick = self._clock.monotonic() + TICK_SECONDS
                    self._turn([key.data for key, _ in ready if key.data is not None], is_tick=is_tick)
        except StateLostError as error:
            self._give_up(error)
        except BaseException as error:
            log.critical("The run engine failed", exc_info=error)
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        self.failure = error
        self._on_failure()

    def _listen(self, selector: selectors.BaseSelector, next_tick: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for a wake-up. Only this time counts against launches, not the time that a turn takes."""
        began = self._clock.monotonic()
        ready = selector.select(self._pause(next_tick))
        self._monitor.count_listening(self._clock.monotonic() - began)
        return ready

    def _is_drained(self) -> bool:
        return self._monitor.is_draining and not self._monitor.has_flows

    def _pause(self, next_tick: float) -> float:
        """Return the seconds to wait for a wake-up: until the next tick, or until a run may start."""
        now = self._clock.monotonic()
        seconds = [moment - now for moment in (next_tick, self._launch_at, self._decide_at) if moment is not None]
        if self._queue.next_change is not None:
            seconds.append((self._queue.next_change - self._clock.now()).total_seconds())
        if self._monitor.is_launching:
            seconds.append(LISTENING_SECONDS)
        return max(0.0, min(seconds))

    def _turn(self, ready: Sequence[Handle], *, is_tick: bool) -> None:
        try:
            self._store.check()
            self._take_turn(ready, is_tick=is_tick)
            self.storage.check(is_tick=is_tick or self._turns.failures > 0)
        except StateLostError:
            raise
        except (ControllerError, OSError) as error:
            reason, message = shortage(error) or "StateUnavailable", str(error)
            if isinstance(error, ControllerError):
                reason, message = error.reason, error.message
            if self._turns.fail(message):
                fields = {"reason": reason, "error": message, "retry_in": self._turns.seconds}
                log.error("Run engine paused by an error; retrying", extra=fields)
            self.storage.record_failure(error)
            self._queue.confirm(None)
            # The cause of the wake-up remains and would wake the thread again immediately.
            self._stopping.wait(self._turns.seconds)
            self.wake()
        else:
            if self._turns.succeed():
                log.info("Run engine resumed")

    def _take_turn(self, ready: Sequence[Handle], *, is_tick: bool) -> None:
        self._decide_at = self._launch_at = None
        if is_tick or self._queue.is_due:
            self._announce_expired_holds()
            self._queue.forget()
        self._queue.refresh()
        can_decide = self._clock_monitor.check(is_tick=is_tick)
        if can_decide:
            self._process_announcements()
            self._queue.process_timers()
            self._upstreams.process(everything=is_tick)
        if is_tick:
            self._tick()
        self._executor_conditions.record()
        ended = self._monitor.find_ended(ready, everything=is_tick)
        final = [active for active, status in ended if isinstance(status, RunOutcome) and is_final(active.run, status)]
        for active in final:
            self._queue.release(active.run)
        number = self._monitor.commit(ended, self._next_launches(len(self._monitor) - len(ended)))
        # A run that could have been retried may have ended too, for example because it was cancelled.
        self._queue.confirm(number if len(final) == len(ended) else None)
        if not ended and number:
            self._upstreams.confirm(number)
        has_released = can_decide and self._upstreams.process(everything=False)
        refused = self._monitor.take_refused()
        self._backfills.note_ended([*(active.run for active, _ in ended), *refused])
        self._backfills.advance(everything=is_tick)
        self._wake_for_changes(
            may_start=bool(ended or refused or has_released or number is None), can_decide=can_decide
        )
        self._record_shortage()
        self._stop_cancelled()
        if self._needs_code.is_set():
            self._export_ahead()

    def _wake_for_changes(self, *, may_start: bool, can_decide: bool) -> None:
        """Take another turn at once if this one made more possible, or if something became due after it read the queue.

        `may_start`: a slot is free, a run waits again, or a run was released.
        """
        has_changes = may_start and not self._queue.is_current
        if has_changes or (can_decide and self._queue.has_due_changes) or self._preparation.has_room_again():
            self.wake()

    def _tick(self) -> None:
        """Do the periodic work. A failure in it delays no run."""
        self.python.notify()
        self._executors.maintain()
        try:
            self._on_tick()
        except ControllerError:
            raise
        except Exception:
            log.exception("Periodic maintenance failed; it will be retried")

    def _record_shortage(self) -> None:
        """If launches met a shortage, record it on the waiting runs and launch nothing for a while."""
        lacking = self._monitor.take_shortage() or self._preparation.shortage or self._shortage
        self._shortage = self._preparation.shortage = None
        if lacking is not None:
            if self._launches.fail(lacking):
                fields = {"reason": ResourceError.reason, "waiting": lacking, "retry_in": self._launches.seconds}
                log.warning("Launches paused: the machine is short of a resource", extra=fields)
            self._must_pause()
            with self._store.write() as tx:
                queues.record_shortage(tx, lacking)
        elif self._has_launched and self._launches.failures:
            self._launches.succeed()
            log.info("Launches resumed")
            with self._store.write() as tx:
                queues.record_shortage(tx, None)
        self._has_launched = False

    def _announce_expired_holds(self) -> None:
        """Announce the deployments whose hold has expired: no fire time does that."""
        with self._store.read() as tx:
            for name in inventory.with_expired_hold(tx, self._clock.now()):
                self._announcements.add(name)

    def _process_announcements(self) -> None:
        """Decide the due times of the next batch of deployments.

        While attempts start in all slots, or those of the first batch do, this waits a little, so as not to delay them.
        """
        if self._announcements and self._must_wait_to_decide():
            self._decide_at = self._decided_at + DECISION_SECONDS
            return
        names = self._announcements.take(self._max_running - len(self._monitor))
        if not names:
            return
        try:
            self._process_batch(names)
        except ControllerError:
            self._announcements.put_back(names)
            raise
        self._decided_at = self._clock.monotonic()
        if self._announcements:
            self.wake()

    def _must_wait_to_decide(self) -> bool:
        """Return whether attempts that must not be delayed are starting, and the last decision was only just now."""
        may_wait = len(self._monitor) < self._max_running and not self._announcements.has_begun
        is_starting = self._monitor.is_launching and not may_wait
        return is_starting and self._clock.monotonic() < self._decided_at + DECISION_SECONDS

    def _process_batch(self, names: Iterable[str]) -> None:
        """Process these deployments together, or separately if that fails. Raises ControllerError."""
        try:
            self._process_due(names)
        except ControllerError:
            raise
        except Exception:
            log.exception("Due times can't be processed together; processing each deployment separately")
            for name in names:
                self._process_due_separately(name)

    def _process_due(self, names: Iterable[str]) -> None:
        with self._store.write() as tx:
            self._admission.process_due(tx, names, self._clock.now())

    def _process_due_separately(self, name: str) -> None:
        """Process one deployment, so that a fault in it does not affect others."""
        try:
            self._process_due([name])
        except ControllerError:
            raise
        except Exception:
            log.exception("Due times of a deployment can't be processed", extra={"deployment": name})

    def _stop_cancelled(self) -> None:
        """Request the end of cancelled runs, until they have ended."""
        if self._reads != self._queue.reads:
            self._reads = self._queue.reads
            with self._store.read() as tx:
                self._cancelled = runs.find_cancelled(tx)
        for run_id in self._cancelled:
            self._monitor.request_stop(run_id)

    def _next_launches(self, used: int) -> list[Launchable]:
        """Return the runs to launch now, while `used` slots are in use."""
        free = self._max_running - used
        if free <= 0 or self.is_stopping or self._must_pause():
            return []
        self._preparation.refresh()
        self._take_turn_in(self._monitor.failed_launches.remaining)
        if not self._queue.has_waiting:
            return []
        try:
            capacity = launch_capacity()
        except ResourceError as error:
            self._shortage = error.message
            return []
        prepared = self._preparation.take(min(free, capacity))
        self._has_launched = self._has_launched or bool(prepared)
        return prepared

    def _must_pause(self) -> bool:
        """Return whether launches pause after a shortage. If so, take a turn at the end of the pause."""
        return self._take_turn_in(self._launches.remaining or None)

    def _take_turn_in(self, seconds: float | None) -> bool:
        """Plan a turn in this many seconds, or none for None. Return whether one is planned."""
        self._launch_at = None if seconds is None else self._clock.monotonic() + seconds
        return seconds is not None

    def _export_ahead(self) -> None:
        self._needs_code.clear()
        with self._store.read() as tx:
            revision = source_status.applied_revision(tx)
            Prepared.compile_all(tx)
        if revision is not None:
            self._preparation.export(revision)
