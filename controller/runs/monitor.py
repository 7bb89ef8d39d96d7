"""The runs that have a supervisor, from the claim to the committed outcome. The engine's thread uses it.

The order of writes is the protocol of docs/runs.md: the claim is on disk before a supervisor starts, `running` is on
disk before GO is sent, and the outcome comes last. All claims, starts and outcomes of one turn share a transaction.
"""

import logging
import os
import selectors
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from controller.clock import Clock
from controller.crashpoints import reach
from controller.errors import ControllerError, ResourceError, shortage
from controller.model.runs import Attempt, Run, RunOutcome, RunState
from controller.runs import task_reports
from controller.runs.active_run import ActiveRun, Launchable
from controller.runs.executors.local.launcher import Launcher
from controller.runs.executors.local.supervisor import temporary_directory
from controller.runs.ids import new_nonce
from controller.runs.outcomes import log_observations, log_outcome, record_outcomes
from controller.runs.recovery import Alive, AttemptStatus, NotStarted, recover, why_unprepared
from controller.runs.run_statistics import RunStatistics
from controller.settings import boot_id
from controller.store import Store, Transaction, run_transitions, runs
from controller.store.run_search import RunFilter, select_all

log = logging.getLogger(__name__)

MAX_LAUNCHES = 5
READY_SECONDS = 10.0
"""Seconds of listening, without the time in which the engine was busy, until a launch without READY is abandoned."""
LISTENING_SECONDS = 1.0
"""The most that one `select` counts: if the process is stopped while it listens, it receives nothing either."""
Ended = tuple[ActiveRun, RunOutcome | NotStarted]
"""A run without a supervisor, and what its directory proves."""


class RunMonitor:
    """The runs that are launching or running, each with a descriptor that becomes ready when it must be checked."""

    def __init__(self, store: Store, clock: Clock, launcher: Launcher) -> None:
        self._store = store
        self._clock = clock
        self._launcher = launcher
        self.statistics = RunStatistics()
        self._boot_id = boot_id()
        self._active: dict[str, ActiveRun] = {}
        self._launches: Counter[str] = Counter()
        self._to_check: dict[str, ActiveRun] = {}
        self._selector: selectors.BaseSelector | None = None
        self._listened = 0.0
        self._shortage: str | None = None

    def __len__(self) -> int:
        return len(self._active)

    def attach(self, selector: selectors.BaseSelector) -> None:
        """Register all current and later runs with this selector."""
        self._selector = selector
        for active in self._active.values():
            active.register(selector)

    def recover(self) -> None:
        """Take over the runs of an earlier controller, and record those that have ended since."""
        self.commit(self.find_ended([], everything=True), [])

    @property
    def is_launching(self) -> bool:
        """Whether a supervisor is expected to send READY."""
        return any(not active.awaits_exit and not active.is_ready for active in self._active.values())

    def take_shortage(self) -> str | None:
        """Return what launches have lacked since the last call, so that their runs wait again; None if nothing."""
        lacking, self._shortage = self._shortage, None
        return lacking

    def count_listening(self, seconds: float) -> None:
        """Count `seconds` of listening for messages of supervisors."""
        self._listened += min(seconds, LISTENING_SECONDS)

    def release(self) -> None:
        """Close the connection to every supervisor: those without GO exit, the others keep running."""
        for active in self._active.values():
            active.release()
        self._active.clear()
        self._launcher.close()

    def refuse(self, run: Run, reason: str) -> None:
        """Record a run that cannot be launched as failed."""
        outcome = RunOutcome(state=RunState.FAILED, reason=f"not launched: {reason}")
        with self._store.write() as tx:
            ended = record_outcomes(tx, [(run, outcome)], self._clock.now())
        self._log_outcomes(ended)

    def request_stop(self, run_id: str) -> None:
        """Ask the supervisor of this run to stop its flow, if it has received GO. Idempotent."""
        active = self._active.get(run_id)
        if active is not None and active.awaits_exit:
            active.request_stop()

    def find_ended(self, ready: Sequence[ActiveRun], *, everything: bool) -> list[Ended]:
        """Return the runs whose supervisor has ended, and what their directories prove.

        `ready` are the runs whose descriptors became ready. With `everything`, check all runs, and abandon supervisors
        that have not sent READY in time.
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
        going = [active for active in self._active.values() if active.is_ready and not active.awaits_exit]
        if not (ended or going or batch):
            self._to_check.clear()
            return 0
        now = self._clock.now()
        attempts = {item.run.id: self._attempt(item.run) for item in batch}
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

    def _read_messages(self, ready: Sequence[ActiveRun]) -> list[ActiveRun]:
        """Read the messages of supervisors; return the runs that have ended or may have ended."""
        ended: list[ActiveRun] = []
        for active in ready:
            if active.launch is None or active.awaits_exit:
                ended.append(active)
            elif not active.launch.receive():
                self._shortage = active.launch.want or self._shortage
                active.exited_on_its_own = active.launch.want is None
                self._abandon(active)
                ended.append(active)
        return ended

    def _all_to_check(self) -> list[ActiveRun]:
        self._take_over()
        late = [active for active in self._active.values() if self._is_late(active)]
        if late:
            self._launcher.close()  # a fork server may be the cause; the supervisors that it forked keep running
        for active in late:
            self._abandon(active)
        return [active for active in self._active.values() if active.awaits_exit]

    def _is_late(self, active: ActiveRun) -> bool:
        """Whether it has not sent READY in time, also after reading the messages that arrived meanwhile."""
        if active.launch is None or active.awaits_exit or active.is_ready or self._listened < active.ready_by:
            return False
        return not active.launch.receive() or not active.is_ready

    def _take_over(self) -> None:
        """Add the runs that are being launched or running and are not monitored yet."""
        with self._store.read() as tx:
            claimed = select_all(tx, RunFilter(states=(RunState.LAUNCHING, RunState.RUNNING)))
            left = [run for run in claimed if run.id not in self._active]
            attempts = {run.id: runs.attempts_of(tx, run.id) for run in left}
        for run in reversed(left):
            attempt = attempts[run.id][-1] if attempts[run.id] else self._attempt(run)
            directory = self._launcher.find_directory(attempt)
            if directory is None and run.state is RunState.RUNNING:
                continue  # its flow may be running on another host; without GO, it certainly is not
            directory = directory or self._launcher.attempt_directory(run.id, attempt.number, attempt.nonce)
            self._active[run.id] = ActiveRun(run=run, attempt=attempt, directory=directory, launch=None)

    def _attempt(self, run: Run) -> Attempt:
        state, place = RunState.LAUNCHING, self._launcher.place
        return Attempt(
            run_id=run.id, number=run.attempt or 1, nonce=new_nonce(), boot_id=self._boot_id, state=state, place=place
        )

    def _start_all(self, claimed: Sequence[tuple[Launchable, Attempt]]) -> None:
        """Start their supervisors. After the first shortage, the remaining runs return to the queue."""
        waiting: list[Run] = []
        for item, attempt in claimed:
            run = replace(item.run, state=RunState.LAUNCHING, attempt=attempt.number)
            try:
                lacking = self._shortage if waiting else self._start(run, item, attempt)
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

    def _start(self, run: Run, item: Launchable, attempt: Attempt) -> str | None:
        """Start its supervisor, or record the run as failed; return the shortage if that is why it did not start."""
        self._store.check()
        try:
            launch = self._launcher.launch(
                run, item.deployment, item.root, nonce=attempt.nonce, pycache=item.pycache, python=item.python
            )
            active = ActiveRun(run=run, attempt=attempt, directory=launch.directory, launch=launch)
            active.ready_by = self._listened + READY_SECONDS
            try:
                active.register(self._selector)
            except OSError:
                launch.terminate()
                launch.detach()
                raise
        except (OSError, ValueError) as error:
            self.statistics.launch_failures += 1
            if (lacking := shortage(error)) is None:
                self.refuse(run, f"its supervisor could not be started: {error}")
            return lacking
        self.statistics.record_launch(is_cold=launch.process is not None)
        self._active[run.id] = active
        return None

    def _go(self, active: ActiveRun, now: datetime, *, may_go: bool) -> None:
        """Send GO, if the run's record is `running`."""
        active.unregister(self._selector)
        if not may_go:
            self._remove(active)
            return
        assert active.launch is not None
        active.run = replace(active.run, state=RunState.RUNNING, started_at=now)
        active.launch.send_go()
        self.statistics.record_start(active.run, now)
        active.awaits_exit = True
        active.register(self._selector)
        fields = {"deployment": active.run.deployment, "run": active.run.id, "revision": active.run.revision}
        log.info("Run started", extra=fields)

    def _abandon(self, active: ActiveRun) -> None:
        """Abandon a supervisor that never gets GO: its directory shows whether anything ran."""
        assert active.launch is not None
        self.statistics.launch_failures += 1
        active.unregister(self._selector)
        active.launch.terminate()
        active.launch.detach()
        active.launch = None

    def _decide(self, some: Iterable[ActiveRun]) -> list[Ended]:
        """Read the directories of runs whose supervisor has ended; while a supervisor lives, its flow may live."""
        ended: list[Ended] = []
        for active in some:
            status = self._status(active)
            if isinstance(status, Alive):
                self._adopt(active, status)
                continue
            if active.awaits_exit and active.launch is not None:
                active.exited_on_its_own = True  # it had received GO
            if isinstance(status, NotStarted) or status.state is RunState.CRASHED:
                self._clean_up(active)
            temporary_directory.remove_left_behind(str(active.directory))
            ended.append((active, status))
        return ended

    def _status(self, active: ActiveRun) -> AttemptStatus:
        is_ours = active.launch is not None or active.run.state is RunState.RUNNING
        if is_ours and active.is_alive():
            return Alive(pid=None, started=False)
        is_same = active.attempt.boot_id == self._boot_id
        return recover(active.directory, active.attempt.nonce, same_boot=is_same)

    def _clean_up(self, active: ActiveRun) -> None:
        """Kill the processes of a run whose supervisor is lost."""
        try:
            killed = self._launcher.clean_up(active.attempt.nonce)
        except OSError as error:
            if (lacking := shortage(error, with_disk=False)) is not None:
                raise ResourceError(lacking) from error
            log.warning("Processes of a lost run can't be listed", extra={"run": active.run.id, "error": str(error)})
            return
        if killed:
            log.warning("Processes of a lost run were killed", extra={"run": active.run.id, "count": killed})

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
            if (outcome := self._outcome_without_start(run, active)) is not None:
                outcomes.append((run, outcome))
                continue
            if active.exited_on_its_own:
                tx.after_commit(partial(self._launches.update, [run.id]))
            requeued.append(_queue_again(tx, run))
        return requeued + record_outcomes(tx, outcomes, now)

    def _outcome_without_start(self, run: Run, active: ActiveRun) -> RunOutcome | None:
        """Return the outcome of a run whose directory has no `started`; None if the run can be launched again."""
        reason = self._why_uncertain(run, active)
        if reason is not None:
            return RunOutcome(state=RunState.CRASHED, reason=reason)
        if run.cancel_reason is not None:
            return RunOutcome(state=RunState.CANCELLED, reason=run.cancel_reason)
        if active.exited_on_its_own and self._launches[run.id] + 1 >= MAX_LAUNCHES:
            reason = f"not launched: its supervisor exited {MAX_LAUNCHES} times without starting the flow"
            return RunOutcome(state=RunState.FAILED, reason=reason)
        return None

    def _why_uncertain(self, run: Run, active: ActiveRun) -> str | None:
        """Return why something may have run although there is no `started`; None if it is proven that nothing ran."""
        if run.state is RunState.LAUNCHING:
            return None  # it never received GO
        if active.attempt.boot_id != self._boot_id:
            # Files of the previous boot may be lost.
            return "outcome unknown: the machine was restarted while the run was being launched"
        why = why_unprepared(active.directory)
        return None if why is None else f"outcome unknown: {why}"

    def _log_outcomes(self, changed: Sequence[Run]) -> None:
        for run in changed:
            if run.state is not RunState.PENDING:
                self._launches.pop(run.id, None)
            log_outcome(run)

    def _adopt(self, active: ActiveRun, alive: Alive) -> None:
        """Adopt a supervisor that an earlier controller started: it holds the lock."""
        if alive.pid is None or active.launch is not None:
            return
        if active.handle is None:
            active.handle = _open_holder(active, alive.pid)
            if active.handle is not None:
                log.info("Run adopted", extra={"deployment": active.run.deployment, "run": active.run.id})
            active.register(self._selector)
        elif active.run.state is RunState.LAUNCHING and not alive.started:
            active.kill()  # it never gets GO and has not noticed: it is stopped or hung
        if alive.started and active.run.state is RunState.LAUNCHING:
            now = self._clock.now()
            with self._store.write() as tx:
                runs.move(tx, active.run.id, expect=RunState.LAUNCHING, to=RunState.RUNNING, started_at=now)
                active.run = runs.find(tx, active.run.id) or active.run

    def _remove(self, active: ActiveRun) -> None:
        active.unregister(self._selector)
        active.release()
        self._active.pop(active.run.id, None)


def _queue_again(tx: Transaction, run: Run) -> Run:
    """Return a run to the queue: it has no supervisor, and nothing of it has run."""
    runs.move(tx, run.id, expect=run.state, to=RunState.PENDING, started_at=None)
    return replace(run, state=RunState.PENDING)


def _open_holder(active: ActiveRun, pid: int) -> int | None:
    """Open a pidfd of the process that holds the lock; None if it has just released it and the pid was reused.

    Also None while no descriptor is free: the next tick tries again.
    """
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        again: AttemptStatus | None = recover(active.directory, active.attempt.nonce, same_boot=True)
    except ResourceError:
        again = None
    if isinstance(again, Alive) and again.pid == pid:
        return handle
    os.close(handle)
    return None
