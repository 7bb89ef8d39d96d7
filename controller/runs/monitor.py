"""The attempts in progress, from the claim to the committed outcome. The engine's thread uses it.

The order of writes is the protocol of docs/runs.md: the claim is on disk before the executor launches an attempt,
`running` is on disk before GO is sent, and the outcome comes last. All claims, starts and outcomes of one turn share a
transaction. Where and how attempts run, and how they ended, is up to the handles of the executor.
"""

import logging
import selectors
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial

from controller.clock import Clock
from controller.crashpoints import reach
from controller.errors import ControllerError, StateError, shortage
from controller.model.runs import Attempt, Run, RunOutcome, RunState
from controller.runs import task_reports
from controller.runs.away_runs import AwayRuns
from controller.runs.executors.executor import Alive, Handle, Launchable, NotStarted, Phase, Uncertain
from controller.runs.executors.executor_set import ExecutorSet
from controller.runs.failed_launches import FailedLaunches
from controller.runs.launch_phases import is_job_without_flow, is_starting, waits_for_node
from controller.runs.outcomes import log_observations, log_outcome, queue_again, record_outcomes
from controller.runs.run_statistics import RunStatistics
from controller.store import Store, Transaction, run_transitions, runs, uncertain_runs
from controller.store.run_search import RunFilter, select_all

log = logging.getLogger(__name__)

LISTENING_SECONDS = 1.0
"""The most that one `select` counts: if the process is stopped while it listens, it receives nothing either."""
Ended = tuple[Handle, RunOutcome | NotStarted]
"""An attempt that has ended, and what is proven about it."""


class RunMonitor:
    """The runs that are launching or running, each with a descriptor that becomes ready when it must be checked.

    `is_draining`: start no flows of jobs that have waited for free nodes. Another controller adopts them.
    """

    def __init__(self, store: Store, clock: Clock, executors: ExecutorSet) -> None:
        self._store = store
        self._clock = clock
        self._executors = executors
        self.statistics = RunStatistics()
        self._away = AwayRuns(store, clock, executors.place)
        self._active: dict[str, Handle] = {}
        self.failed_launches = FailedLaunches(clock)
        self._to_check: dict[str, Handle] = {}
        self._selector: selectors.BaseSelector | None = None
        self.is_draining = False
        self._listened = 0.0
        self._shortage: str | None = None
        self._refused: list[Run] = []

    def __len__(self) -> int:
        return len(self._active)

    def attach(self, selector: selectors.BaseSelector) -> None:
        """Register all current and later runs with this selector."""
        self._selector = selector
        for active in self._active.values():
            self._register(active)

    def recover(self) -> None:
        """Take over the runs of an earlier controller, and record those that have ended since."""
        self.commit(self.find_ended([], everything=True), [])

    @property
    def has_flows(self) -> bool:
        """Whether there are attempts that may run a flow, or that start one soon: not jobs that wait for nodes."""
        return not all(map(is_job_without_flow, self._active.values()))

    @property
    def is_launching(self) -> bool:
        """Whether an attempt is expected to become ready soon."""
        return any(is_starting(active) and not waits_for_node(active) for active in self._active.values())

    def take_shortage(self) -> str | None:
        """Return what launches have lacked since the last call, so that their runs wait again; None if nothing."""
        lacking, self._shortage = self._shortage, None
        return lacking

    def take_refused(self) -> list[Run]:
        """Return the runs that `refuse` has recorded since the last call: their slots are free."""
        refused, self._refused = self._refused, []
        return refused

    def count_listening(self, seconds: float) -> None:
        """Count `seconds` of listening for messages of attempts, without the time in which the engine was busy."""
        self._listened += min(seconds, LISTENING_SECONDS)

    def release(self) -> None:
        """Close the connection to every attempt: those without GO end, the others keep running."""
        for active in self._active.values():
            active.release()
        self._active.clear()
        self._executors.close()

    def refuse(self, run: Run, reason: str) -> None:
        """Record a run that cannot be launched as failed."""
        self._refused.append(run)
        outcome = RunOutcome(state=RunState.FAILED, reason=f"not launched: {reason}")
        with self._store.write() as tx:
            ended = record_outcomes(tx, [(run, outcome)], self._clock.now())
        self._log_outcomes(ended)

    def request_stop(self, run_id: str) -> None:
        """Request the end of this run. Idempotent."""
        active = self._active.get(run_id)
        if active is not None:
            self._unregister(active)
            active.request_stop()
            self._register(active)

    def find_ended(self, ready: Sequence[Handle], *, everything: bool) -> list[Ended]:
        """Return the attempts that have ended, and what is proven about them.

        `ready` are those whose descriptors became ready. With `everything`, check all of them, and abandon those that
        have not become ready in time.
        """
        # If a turn failed, its runs are checked again in the next one: no descriptor would become ready for them.
        self._to_check.update({active.run.id: active for active in self._read_messages(ready)})
        if everything:
            self._to_check.update({active.run.id: active for active in self._all_to_check()})
        return self._decide(list(self._to_check.values()))

    def commit(self, ended: Sequence[Ended], batch: Sequence[Launchable]) -> int | None:
        """Record the ended runs, start those that are ready, and launch `batch`: one transaction, then what follows.

        Nothing that depends on the transaction happens before its commit. Return its number (0 if it was not needed);
        None unless all of `ended` are final now and all of `batch` were claimed.
        """
        going = [active for active in self._active.values() if active.phase is Phase.READY]
        if self.is_draining:
            going = [active for active in going if not is_job_without_flow(active)]
        if not (ended or going or batch):
            self._to_check.clear()
            return 0
        now = self._clock.now()
        described = self._describe(batch)
        batch = [item for item, _ in described]
        attempts = {attempt.run_id: attempt for _, attempt in described}
        reach("judged", ended)
        reach("heard", going)
        trees = task_reports.read_trees([(active.run, active.directory, status) for active, status in ended])
        with self._store.write() as tx:
            changed = self._record(tx, ended, trees, now)
            task_reports.record(tx, trees)
            running = run_transitions.start(tx, [active.attempt for active in going], now)
            pythons = {item.run.id: item.python for item in batch if item.python is not None}
            claimed = run_transitions.claim(tx, list(attempts.values()), pythons)
        self._to_check.clear()
        reach("settled", ended)
        reach("running", going)
        reach("claimed", batch)
        for active, status in ended:
            self._remove(active)
            if isinstance(status, RunOutcome):
                self.statistics.record_end(active.run, status, now)
        self._log_outcomes(changed)
        for active in going:
            self._go(active, now, may_go=active.run.id in running)
        reach("gone", going)
        self._start_all([(item, attempts[item.run.id]) for item in batch if item.run.id in claimed])
        reach("launched", batch)
        has_ended = len(changed) == len(ended) and all(run.state.is_terminal for run in changed)
        return tx.number if has_ended and len(claimed) == len(batch) else None

    def _read_messages(self, ready: Sequence[Handle]) -> list[Handle]:
        """Read the messages of attempts; return those that have ended or may have ended."""
        ended: list[Handle] = []
        for active in ready:
            if active.phase is Phase.AWAITING_END:
                ended.append(active)
            elif not active.receive():
                lacking = active.lacking
                self._shortage = lacking or self._shortage
                active.ended_on_its_own = lacking is None
                self._abandon(active)
                ended.append(active)
        return ended

    def _all_to_check(self) -> list[Handle]:
        self._take_over()
        late = [active for active in self._active.values() if self._is_late(active)]
        if late:
            self._executors.close()  # what launches use may be the cause
        for active in late:
            self._abandon(active)
        return [
            active for active in self._active.values() if active.phase is Phase.AWAITING_END or waits_for_node(active)
        ]

    def _is_late(self, active: Handle) -> bool:
        """Whether it has not become ready in time, also after reading the messages that arrived meanwhile."""
        if not is_starting(active) or self._listened < active.ready_by:
            return False
        return not active.receive() or is_starting(active)

    def _take_over(self) -> None:
        """Add the runs that are being launched or running and are not monitored yet."""
        with self._store.read() as tx:
            claimed = select_all(tx, RunFilter(states=(RunState.LAUNCHING, RunState.RUNNING)))
            left = [run for run in claimed if run.id not in self._active]
            attempts = {run.id: runs.attempts_of(tx, run.id) for run in left}
        away: list[tuple[Run, Attempt]] = []
        unknown: list[tuple[Run, str | None]] = []
        adopted: list[Handle] = []
        for run in reversed(left):
            attempt = attempts[run.id][-1] if attempts[run.id] else self._executors.new_attempt(run)
            executor = self._executors.find(attempt.executor)
            active = None if executor is None else executor.adopt(run, attempt)
            if executor is None:
                unknown.append((run, f"this controller has no executor {attempt.executor}"))
            elif active is None:
                away.append((run, attempt))
            else:
                active.ready_by = self._listened + executor.ready_seconds
                self._add(active)
                adopted.append(active)
        for active in self._away.find_reported(away, adopted, self._active):
            self._add(active)
        self._note_uncertain(unknown)

    def _describe(self, batch: Sequence[Launchable]) -> list[tuple[Launchable, Attempt]]:
        """Return the attempts to claim, with what their executors record. Record the others as failed."""
        described: list[tuple[Launchable, Attempt]] = []
        for item in batch:
            attempt = self._executors.new_attempt(item.run, item.executor)
            try:
                described.append((item, self._executors.get(item.executor).describe(item, attempt)))
            except (OSError, ControllerError) as error:
                if isinstance(error, StateError):
                    raise
                if (lacking := shortage(error)) is None:
                    self.refuse(item.run, str(error))
                self._shortage = lacking or self._shortage
        return described

    def _start_all(self, claimed: Sequence[tuple[Launchable, Attempt]]) -> None:
        """Launch these attempts. After the first shortage, the remaining runs return to the queue."""
        waiting: list[Run] = []
        for item, attempt in claimed:
            run = replace(item.run, state=RunState.LAUNCHING, attempt=attempt.number)
            try:
                lacking = self._shortage if waiting else self._start(replace(item, run=run), attempt)
            except ControllerError:
                raise
            except Exception as error:
                log.exception("Run can't be launched", extra={"deployment": run.deployment, "run": run.id})
                self.refuse(run, f"its supervisor could not be started: {type(error).__name__}: {error}")
                continue
            if lacking is not None:
                self._shortage = lacking
                waiting.append(run)
        if waiting:
            with self._store.write() as tx:
                for run in waiting:
                    runs.move(tx, run.id, expect=run.state, to=RunState.PENDING, started_at=None)

    def _start(self, item: Launchable, attempt: Attempt) -> str | None:
        """Launch an attempt, or record its run as failed; return the shortage if that is why it was not launched."""
        self._store.check()
        executor = self._executors.get(item.executor)
        try:
            active = executor.launch(item, attempt)
            active.ready_by = self._listened + executor.ready_seconds
            try:
                self._register(active)
            except OSError:
                active.abandon()
                active.release()
                raise
        except (OSError, ValueError) as error:
            self.statistics.launch_failures += 1
            if (lacking := shortage(error)) is None:
                self.refuse(item.run, f"its supervisor could not be started: {error}")
            return lacking
        self.statistics.record_launch(is_cold=active.is_cold)
        self._active[item.run.id] = active
        return None

    def _go(self, active: Handle, now: datetime, *, may_go: bool) -> None:
        """Send GO, if the run's record is `running`."""
        self._unregister(active)
        if not may_go:
            self._remove(active)
            return
        active.run = replace(active.run, state=RunState.RUNNING, started_at=now)
        active.send_go()
        self.statistics.record_start(active.run, now)
        self._register(active)
        fields = {"deployment": active.run.deployment, "run": active.run.id, "revision": active.run.revision}
        log.info("Run started", extra=fields)

    def _abandon(self, active: Handle) -> None:
        """Abandon an attempt that never gets GO."""
        self.statistics.launch_failures += 1
        self._unregister(active)
        active.abandon()

    def _decide(self, some: Iterable[Handle]) -> list[Ended]:
        """Return those of these attempts that have ended, after removing what they left behind."""
        ended: list[Ended] = []
        uncertain: list[tuple[Run, str | None]] = []
        for active in some:
            descriptor = active.fileno()
            status = active.read_status()
            if isinstance(status, Alive | Uncertain):
                if active.fileno() != descriptor:
                    self._register(active)
                uncertain.append((active.run, status.reason if isinstance(status, Uncertain) else None))
                if isinstance(status, Alive) and status.started and active.run.state is RunState.LAUNCHING:
                    self._record_start(active)
                continue
            active.clean_up(status)
            ended.append((active, status))
        self._note_uncertain(uncertain)
        return ended

    def _note_uncertain(self, seen: Iterable[tuple[Run, str | None]]) -> None:
        """Record why it is unknown whether runs are running (None: it is known), if that has changed."""
        reasons = {run.id: reason for run, reason in seen if reason != run.uncertain_reason}
        if not reasons:
            return
        now = self._clock.now()
        with self._store.write() as tx:
            uncertain_runs.record(tx, reasons, now)
        for run_id, reason in reasons.items():
            if (active := self._active.get(run_id)) is not None:
                since = None if reason is None else active.run.uncertain_since or now
                active.run = replace(active.run, uncertain_reason=reason, uncertain_since=since)

    def _record(self, tx: Transaction, ended: Sequence[Ended], trees: task_reports.Trees, now: datetime) -> list[Run]:
        """Record the outcomes; return the runs as they are now."""
        outcomes: list[tuple[Run, RunOutcome]] = []
        requeued: list[Run] = []
        for active, status in ended:
            run = active.run
            if isinstance(status, RunOutcome):
                outcomes.append((run, task_reports.with_cause(status, trees.get((run.id, run.attempt)))))
                tx.after_commit(partial(log_observations, run, status))
                continue
            run = runs.find(tx, run.id) or run
            if (outcome := self.failed_launches.outcome_of(run, active)) is not None:
                outcomes.append((run, outcome))
                continue
            if active.ended_on_its_own:
                pause = self._executors.launch_pause(active.attempt)
                tx.after_commit(partial(self.failed_launches.record, run.id, pause, active.launch_failure))
            requeued.append(replace(queue_again(tx, run), reason=active.launch_failure))
        return requeued + record_outcomes(tx, outcomes, now)

    def _log_outcomes(self, changed: Sequence[Run]) -> None:
        for run in changed:
            if run.state is not RunState.PENDING:
                self.failed_launches.forget(run.id)
            log_outcome(run)

    def _record_start(self, active: Handle) -> None:
        """Record as running what an earlier controller has sent GO to, but did not record."""
        with self._store.write() as tx:
            runs.move(tx, active.run.id, expect=RunState.LAUNCHING, to=RunState.RUNNING, started_at=self._clock.now())
            active.run = runs.find(tx, active.run.id) or active.run

    def _add(self, active: Handle) -> None:
        self._active[active.run.id] = active
        self._register(active)

    def _remove(self, active: Handle) -> None:
        self._unregister(active)
        active.release()
        self._active.pop(active.run.id, None)

    def _register(self, active: Handle) -> None:
        """Wait for the descriptor of this attempt, if it has one."""
        descriptor = active.fileno()
        if self._selector is not None and descriptor is not None:
            self._selector.register(descriptor, selectors.EVENT_READ, active)

    def _unregister(self, active: Handle) -> None:
        """Undo `_register`. Call it before the descriptor changes or is closed."""
        descriptor = active.fileno()
        if self._selector is not None and descriptor is not None:
            with suppress(KeyError, ValueError):
                self._selector.unregister(descriptor)
