"""Monitors the runs that have a supervisor, from the claim to the committed outcome. Used by the engine's thread.

The order of writes is the protocol (docs/runs.md): the claim is on disk before the supervisor starts, `running` is on
disk before GO, and the outcome is written last. Each turn writes the changes of all runs in one transaction.
"""

import logging
import os
import selectors
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from controller.clock import Clock
from controller.crashpoints import reach
from controller.errors import ControllerError, ResourceError, shortage
from controller.model.deployments import Deployment
from controller.model.runs import Attempt, Run, RunState
from controller.runs import task_reports
from controller.runs.active_run import ActiveRun
from controller.runs.executors.local.launcher import Launcher
from controller.runs.executors.local.supervisor import temporary_directory
from controller.runs.ids import new_nonce
from controller.runs.outcomes import (
    log_observations,
    log_outcome,
    record_outcomes,
    reported_outcome,
    unreported_outcome,
)
from controller.runs.recovery import Alive, AttemptStatus, Finished, Lost, NotStarted, recover, why_unprepared
from controller.settings import boot_id
from controller.store import Store, Transaction, run_transitions, runs
from controller.store.run_search import RunFilter, select_all
from controller.store.run_transitions import RunOutcome

log = logging.getLogger(__name__)

MAX_LAUNCHES = 5
READY_SECONDS = 10.0
"""How long to listen for READY. Time during which the controller itself was kept busy does not count."""
LISTENING_SECONDS = 1.0
"""How much one wait can count at most: a controller that is stopped while it waits does not listen either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launchable:
    """A run with a free slot and its code. `root` is the tree of its revision, `pycache` the folder for bytecode."""

    run: Run
    deployment: Deployment
    root: Path
    pycache: Path | None


NextRuns = Callable[[int], Sequence[Launchable]]
EndedRun = tuple[ActiveRun, Finished | Lost | NotStarted]


class RunMonitor:
    """All launching and running runs, each with a descriptor that becomes readable when there is something to do.

    `missing_resource`: what the machine was short of in the last launches, so that their runs wait again; or None.
    """

    def __init__(self, store: Store, clock: Clock, launcher: Launcher) -> None:
        self._store = store
        self._clock = clock
        self._launcher = launcher
        self._boot_id = boot_id()
        self._active: dict[str, ActiveRun] = {}
        self._launches: Counter[str] = Counter()
        self._to_check: dict[str, ActiveRun] = {}
        self._selector: selectors.BaseSelector | None = None
        self._listened = 0.0
        self.missing_resource: str | None = None

    def __len__(self) -> int:
        return len(self._active)

    def attach(self, selector: selectors.BaseSelector) -> None:
        """Register the descriptors of all current and future runs with this selector."""
        self._selector = selector
        for active in self._active.values():
            active.register(selector)

    def recover(self) -> None:
        """Adopt the runs of the previous controller, and record the outcomes of those that ended since."""
        self.take_turn([], lambda _: [], everything=True)

    @property
    def is_launching(self) -> bool:
        """Whether any supervisor has not reported READY yet."""
        return any(not active.awaits_exit and not active.is_ready for active in self._active.values())

    def count_listening(self, seconds: float) -> None:
        """Add the time that the engine waited for messages of supervisors."""
        self._listened += min(seconds, LISTENING_SECONDS)

    def release(self) -> None:
        """Close the connections to all supervisors. Those without GO exit; the others keep running."""
        for active in self._active.values():
            active.release()
        self._active.clear()
        self._launcher.close()

    def fail_launch(self, run: Run, reason: str) -> None:
        """Record that this run failed because it could not be launched."""
        now = self._clock.now()
        with self._store.write() as tx:
            failed = [unreported_outcome(run, RunState.FAILED, f"not launched: {reason}", now)]
            updated = record_outcomes(tx, failed, now)
        self._log_outcomes(updated)

    def stop_run(self, run_id: str) -> None:
        """Request the supervisor of this run to stop its flow, if it received GO. Repeated requests do no harm."""
        active = self._active.get(run_id)
        if active is not None and active.awaits_exit:
            active.request_stop()

    def take_turn(self, ready: Sequence[ActiveRun], waiting: NextRuns, *, everything: bool) -> bool:
        """Record outcomes, mark ready runs as running and claim new runs, in one transaction; then act on it.

        `ready`: the runs whose descriptors are readable. `waiting(used)` returns the runs that can be launched while
        `used` slots are in use. With `everything`, all runs are checked, and supervisors that are late are abandoned.

        Returns whether any run ended or was queued again, so that slots are free or a run waits.
        """
        # If a turn fails, the next one checks its runs again: nothing else would wake the engine for them.
        self._to_check.update({active.run.id: active for active in self._read_messages(ready)})
        if everything:
            self._to_check.update({active.run.id: active for active in self._all_to_check()})
        ended = self._find_ended(list(self._to_check.values()))
        ready_runs = [active for active in self._active.values() if active.is_ready and not active.awaits_exit]
        batch = waiting(len(self._active) - len(ended))
        if ended or ready_runs or batch:
            self._commit(ended, ready_runs, batch)
        self._to_check.clear()
        return bool(ended)

    def _commit(self, ended: Sequence[EndedRun], ready_runs: Sequence[ActiveRun], batch: Sequence[Launchable]) -> None:
        """Write the turn in one transaction, and act on it only after the commit, as the protocol requires."""
        now = self._clock.now()
        attempts = {launchable.run.id: self._new_attempt(launchable.run) for launchable in batch}
        reach("judged", ended)
        reach("heard", ready_runs)
        trees = task_reports.read_trees([(active.run, active.directory, status) for active, status in ended])
        with self._store.write() as tx:
            updated = self._record_ended(tx, ended, now)
            task_reports.record(tx, trees)
            running = run_transitions.start(tx, [active.attempt for active in ready_runs], now)
            claimed = run_transitions.claim(tx, list(attempts.values()))
        self._to_check.clear()
        reach("settled", ended)
        reach("running", ready_runs)
        reach("claimed", batch)
        for active, _ in ended:
            self._drop(active)
        self._log_outcomes(updated)
        for active in ready_runs:
            self._send_go(active, now, may_go=active.run.id in running)
        reach("gone", ready_runs)
        self._start_all([(item, attempts[item.run.id]) for item in batch if item.run.id in claimed])
        reach("launched", batch)

    def _read_messages(self, ready: Sequence[ActiveRun]) -> list[ActiveRun]:
        """Read the messages of supervisors. Return the runs whose supervisor has exited, or may have."""
        ended: list[ActiveRun] = []
        for active in ready:
            if active.launch is None or active.awaits_exit:
                ended.append(active)
            elif not active.launch.hear():
                self.missing_resource = active.launch.want or self.missing_resource
                active.exited_on_its_own = active.launch.want is None
                self._abandon(active)
                ended.append(active)
        return ended

    def _all_to_check(self) -> list[ActiveRun]:
        """Return all runs that received GO or lost their supervisor, after abandoning supervisors that are late."""
        self._take_over()
        late = [active for active in self._active.values() if self._is_late(active)]
        if late and self._launcher.server is not None:
            self._launcher.server.stop()  # it may be the cause; the processes that it forked keep running
        for active in late:
            self._abandon(active)
        return [active for active in self._active.values() if active.awaits_exit]

    def _is_late(self, active: ActiveRun) -> bool:
        """Whether the supervisor has not reported READY in time. Reads unread messages first."""
        if active.launch is None or active.awaits_exit or active.is_ready or self._listened < active.ready_by:
            return False
        return not active.launch.hear() or not active.is_ready

    def _take_over(self) -> None:
        """Monitor all launching and running runs of the store that are not monitored yet."""
        with self._store.read() as tx:
            claimed = select_all(tx, RunFilter(states=(RunState.LAUNCHING, RunState.RUNNING)))
            unmonitored = [run for run in claimed if run.id not in self._active]
            attempts = {run.id: runs.attempts_of(tx, run.id) for run in unmonitored}
        for run in reversed(unmonitored):
            attempt = attempts[run.id][-1] if attempts[run.id] else self._new_attempt(run)
            directory = self._launcher.attempt_directory(run.id, attempt.number, attempt.nonce)
            self._active[run.id] = ActiveRun(run=run, attempt=attempt, directory=directory, launch=None)

    def _new_attempt(self, run: Run) -> Attempt:
        number, nonce = run.attempt or 1, new_nonce()
        return Attempt(run_id=run.id, number=number, nonce=nonce, boot_id=self._boot_id, state=RunState.LAUNCHING)

    def _start_all(self, claimed: Sequence[tuple[Launchable, Attempt]]) -> None:
        """Start the supervisors of these runs. After the first shortage, queue all remaining runs again."""
        waiting: list[Run] = []
        for launchable, attempt in claimed:
            run = replace(launchable.run, state=RunState.LAUNCHING, attempt=attempt.number)
            try:
                resource = self.missing_resource if waiting else self._start(run, launchable, attempt)
            except ControllerError:
                raise
            except Exception as error:
                log.exception("Run can't be launched", extra={"deployment": run.deployment, "run": run.id})
                self.fail_launch(run, f"its supervisor could not be started: {type(error).__name__}: {error}")
                continue
            if resource is not None:
                self.missing_resource = resource
                waiting.append(run)
        if waiting:
            with self._store.write() as tx:
                for run in waiting:
                    runs.move(tx, run.id, expect=run.state, to=RunState.PENDING, started_at=None)

    def _start(self, run: Run, launchable: Launchable, attempt: Attempt) -> str | None:
        """Start the supervisor, or record why the launch failed. Return the missing resource in case of a shortage."""
        self._store.check()
        deployment, root, pycache = launchable.deployment, launchable.root, launchable.pycache
        try:
            launch = self._launcher.launch(run, deployment, root, nonce=attempt.nonce, pycache=pycache)
            active = ActiveRun(run=run, attempt=attempt, directory=launch.directory, launch=launch)
            active.ready_by = self._listened + READY_SECONDS
            try:
                active.register(self._selector)
            except OSError:
                launch.end()
                launch.release()
                raise
        except (OSError, ValueError) as error:
            if (resource := shortage(error)) is None:
                self.fail_launch(run, f"its supervisor could not be started: {error}")
            return resource
        self._active[run.id] = active
        return None

    def _send_go(self, active: ActiveRun, now: datetime, *, may_go: bool) -> None:
        """Send GO if the run is recorded as running; otherwise drop the run."""
        active.unregister(self._selector)
        if not may_go:
            self._drop(active)
            return
        assert active.launch is not None
        active.run = replace(active.run, state=RunState.RUNNING, started_at=now)
        active.launch.go()
        active.awaits_exit = True
        active.register(self._selector)
        fields = {"deployment": active.run.deployment, "run": active.run.id, "revision": active.run.revision}
        log.info("Run started", extra=fields)

    def _abandon(self, active: ActiveRun) -> None:
        """End a supervisor that never receives GO. The run directory then decides what happens to the run."""
        assert active.launch is not None
        active.unregister(self._selector)
        active.launch.end()
        active.launch.release()
        active.launch = None

    def _find_ended(self, candidates: Iterable[ActiveRun]) -> list[EndedRun]:
        """Return those whose supervisor is gone, with their status from the run directory. Adopt the others."""
        ended: list[EndedRun] = []
        for active in candidates:
            status = self._status(active)
            if isinstance(status, Alive):
                self._adopt(active, status)
                continue
            if active.awaits_exit and active.launch is not None:
                active.exited_on_its_own = True  # it had received GO
            if not isinstance(status, Finished):
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
        """Kill the processes that a run without a supervisor left behind."""
        try:
            killed = self._launcher.clean_up(active.attempt.nonce)
        except OSError as error:
            if (resource := shortage(error, with_disk=False)) is not None:
                raise ResourceError(resource) from error
            fields = {"run": active.run.id, "error": str(error)}
            log.warning("Processes of a lost run can't be listed", extra=fields)
            killed = 0
        if killed:
            log.warning("Processes of a lost run were killed", extra={"run": active.run.id, "count": killed})

    def _record_ended(self, tx: Transaction, ended: Sequence[EndedRun], now: datetime) -> list[Run]:
        """Record the outcomes of these runs, or queue them again. Return the updated runs."""
        outcomes: list[RunOutcome] = []
        requeued: list[Run] = []
        for active, status in ended:
            run = active.run
            if isinstance(status, Finished):
                outcomes.append(reported_outcome(run, status, now))
                tx.after_commit(partial(log_observations, run, status))
                continue
            run = runs.find(tx, run.id) or run
            reason = status.reason if isinstance(status, Lost) else self._why_not_proven(run, active)
            if reason is not None:
                outcomes.append(unreported_outcome(run, RunState.CRASHED, reason, now))
            elif run.cancel_reason is not None:
                outcomes.append(unreported_outcome(run, RunState.CANCELLED, run.cancel_reason, now))
            elif active.exited_on_its_own and self._launches[run.id] + 1 >= MAX_LAUNCHES:
                reason = f"not launched: its supervisor exited {MAX_LAUNCHES} times without starting the flow"
                outcomes.append(unreported_outcome(run, RunState.FAILED, reason, now))
            else:
                if active.exited_on_its_own:
                    tx.after_commit(partial(self._launches.update, [run.id]))
                requeued.append(_queue_again(tx, run))
        return requeued + record_outcomes(tx, outcomes, now)

    def _why_not_proven(self, run: Run, active: ActiveRun) -> str | None:
        """Return why the missing marks do not prove that nothing ran; None if they do."""
        if run.state is RunState.LAUNCHING:
            return None  # it never received GO
        if active.attempt.boot_id != self._boot_id:
            # Marks that were written before the restart may be lost.
            return "outcome unknown: the machine was restarted while the run was being launched"
        reason = why_unprepared(active.directory)
        return None if reason is None else f"outcome unknown: {reason}"

    def _log_outcomes(self, updated: Sequence[Run]) -> None:
        for run in updated:
            if run.state is not RunState.PENDING:
                self._launches.pop(run.id, None)
            log_outcome(run)

    def _adopt(self, active: ActiveRun, alive: Alive) -> None:
        """Take over a supervisor that this process did not start, and that holds the lock."""
        if alive.pid is None or active.launch is not None:
            return
        if active.handle is None:
            active.handle = _open_holder(active, alive.pid)
            if active.handle is not None:
                log.info("Run adopted", extra={"deployment": active.run.deployment, "run": active.run.id})
            active.register(self._selector)
        elif active.run.state is RunState.LAUNCHING and not alive.started:
            active.kill()  # without GO it should have exited: it is stopped or hangs
        if alive.started and active.run.state is RunState.LAUNCHING:
            now = self._clock.now()
            with self._store.write() as tx:
                runs.move(tx, active.run.id, expect=RunState.LAUNCHING, to=RunState.RUNNING, started_at=now)
                active.run = runs.find(tx, active.run.id) or active.run

    def _drop(self, active: ActiveRun) -> None:
        active.unregister(self._selector)
        active.release()
        self._active.pop(active.run.id, None)


def _queue_again(tx: Transaction, run: Run) -> Run:
    """Return to `pending` a run that has no supervisor any more and of which nothing has run."""
    runs.move(tx, run.id, expect=run.state, to=RunState.PENDING, started_at=None)
    return replace(run, state=RunState.PENDING)


def _open_holder(active: ActiveRun, pid: int) -> int | None:
    """Return a pidfd of the process that holds the lock.

    Return None if it has just released the lock, so that the pid may belong to another process by now, or if no
    descriptor is free. The next tick then repeats the attempt.
    """
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        status: AttemptStatus | None = recover(active.directory, active.attempt.nonce, same_boot=True)
    except ResourceError:
        status = None
    if isinstance(status, Alive) and status.pid == pid:
        return handle
    os.close(handle)
    return None
