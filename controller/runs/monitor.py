"""The runs that have a supervisor, from the claim to the committed outcome. The engine's thread uses it.

The order of writes is the protocol of docs/runs.md: the claim is on disk before a supervisor starts, `running` is on
disk before GO is sent, and the outcome comes last. All writes of one turn share a transaction.
"""

import logging
import os
import selectors
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from controller.clock import Clock
from controller.crashpoints import reach
from controller.errors import ControllerError, ResourceError, shortage
from controller.model.deployments import Deployment
from controller.model.runs import Attempt, Run, RunOutcome, RunState
from controller.runs import task_reports
from controller.runs.active_run import ActiveRun
from controller.runs.executors.local.launcher import Launcher
from controller.runs.executors.local.supervisor import temporary_directory
from controller.runs.ids import new_nonce
from controller.runs.outcomes import log_observations, log_outcome, record_outcomes
from controller.runs.recovery import Alive, AttemptStatus, NotStarted, recover, why_unprepared
from controller.settings import boot_id
from controller.store import Store, Transaction, run_transitions, runs
from controller.store.run_search import RunFilter, select_all

log = logging.getLogger(__name__)

MAX_LAUNCHES = 5
READY_SECONDS = 10.0
"""Seconds of listening until a launch without READY is given up. Time in which the engine was busy does not count."""
LISTENING_SECONDS = 1.0
"""The most that one `select` counts: if the process is stopped while it listens, it receives nothing either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launchable:
    """A run that can start now: `root` is the exported tree of its revision, `pycache` the directory for bytecode."""

    run: Run
    deployment: Deployment
    root: Path
    pycache: Path | None


Ended = tuple[ActiveRun, RunOutcome | NotStarted]
"""A run without a supervisor, and what its directory proves."""


class RunMonitor:
    """Every run that is being launched or running, each with a descriptor that becomes ready when it has to be checked.

    `shortage` is what the last launches lacked, so that their runs wait again; None if they lacked nothing.
    """

    def __init__(self, store: Store, clock: Clock, launcher: Launcher) -> None:
        self._store = store
        self._clock = clock
        self._launcher = launcher
        self._boot_id = boot_id()
        self._watched: dict[str, ActiveRun] = {}
        self._launches: Counter[str] = Counter()
        self._to_check: dict[str, ActiveRun] = {}
        self._selector: selectors.BaseSelector | None = None
        self._listened = 0.0
        self.shortage: str | None = None

    def __len__(self) -> int:
        return len(self._watched)

    def attach(self, selector: selectors.BaseSelector) -> None:
        """Register all current and later runs with this selector."""
        self._selector = selector
        for watched in self._watched.values():
            watched.register(selector)

    def recover(self) -> None:
        """Take over the runs of an earlier controller, and record those that have ended since."""
        self.commit(self.find_ended([], everything=True), [])

    @property
    def is_launching(self) -> bool:
        """Whether a supervisor is expected to send READY."""
        return any(not watched.awaits_exit and not watched.is_ready for watched in self._watched.values())

    def listened(self, seconds: float) -> None:
        """Count `seconds` of listening for messages of supervisors."""
        self._listened += min(seconds, LISTENING_SECONDS)

    def release(self) -> None:
        """Close the connection to every supervisor: those without GO exit, the others keep running."""
        for watched in self._watched.values():
            watched.release()
        self._watched.clear()
        self._launcher.close()

    def refuse(self, run: Run, reason: str) -> None:
        """Record a run that cannot be launched as failed."""
        outcome = RunOutcome(state=RunState.FAILED, reason=f"not launched: {reason}")
        with self._store.write() as tx:
            ended = record_outcomes(tx, [(run, outcome)], self._clock.now())
        self._log_outcomes(ended)

    def end(self, run_id: str) -> None:
        """Ask the supervisor of this run to stop its flow, if it has received GO. Idempotent."""
        watched = self._watched.get(run_id)
        if watched is not None and watched.awaits_exit:
            watched.request_stop()

    def find_ended(self, ready: Sequence[ActiveRun], *, everything: bool) -> list[Ended]:
        """Return the runs whose supervisor has ended, and what their directories prove.

        `ready` are the runs whose descriptors became ready. With `everything`, check all runs, and give up supervisors
        that have not sent READY in time.
        """
        # If a turn failed, its runs are checked again in the next one: no descriptor would become ready for them.
        self._to_check.update({watched.run.id: watched for watched in self._read_messages(ready)})
        if everything:
            self._to_check.update({watched.run.id: watched for watched in self._all_to_check()})
        return self._decide(list(self._to_check.values()))

    def commit(self, ended: Sequence[Ended], batch: Sequence[Launchable]) -> None:
        """Record the ended runs, start those that are ready, and launch `batch`: one transaction, then what follows.

        The order is the protocol: nothing that depends on the transaction happens before its commit.
        """
        going = [watched for watched in self._watched.values() if watched.is_ready and not watched.awaits_exit]
        if not (ended or going or batch):
            self._to_check.clear()
            return
        now = self._clock.now()
        attempts = {item.run.id: self._attempt(item.run) for item in batch}
        reach("judged", ended)
        reach("heard", going)
        trees = task_reports.read_trees([(watched.run, watched.directory, status) for watched, status in ended])
        with self._store.write() as tx:
            changed = self._record(tx, ended, now)
            task_reports.record(tx, trees)
            running = run_transitions.start(tx, [watched.attempt for watched in going], now)
            claimed = run_transitions.claim(tx, list(attempts.values()))
        self._to_check.clear()
        reach("settled", ended)
        reach("running", going)
        reach("claimed", batch)
        for watched, _ in ended:
            self._remove(watched)
        self._log_outcomes(changed)
        for watched in going:
            self._go(watched, now, may_go=watched.run.id in running)
        reach("gone", going)
        self._start_all([(item, attempts[item.run.id]) for item in batch if item.run.id in claimed])
        reach("launched", batch)

    def _read_messages(self, ready: Sequence[ActiveRun]) -> list[ActiveRun]:
        """Read the messages of supervisors; return the runs that have ended or may have ended."""
        ended: list[ActiveRun] = []
        for watched in ready:
            if watched.launch is None or watched.awaits_exit:
                ended.append(watched)
            elif not watched.launch.receive():
                self.shortage = watched.launch.want or self.shortage
                watched.exited_on_its_own = watched.launch.want is None
                self._give_up(watched)
                ended.append(watched)
        return ended

    def _all_to_check(self) -> list[ActiveRun]:
        self._take_over()
        late = [watched for watched in self._watched.values() if self._is_late(watched)]
        if late and self._launcher.server is not None:
            self._launcher.server.stop()  # it may be the cause; the supervisors that it forked keep running
        for watched in late:
            self._give_up(watched)
        return [watched for watched in self._watched.values() if watched.awaits_exit]

    def _is_late(self, watched: ActiveRun) -> bool:
        """Whether it has not sent READY in time, also after reading the messages that arrived meanwhile."""
        if watched.launch is None or watched.awaits_exit or watched.is_ready or self._listened < watched.ready_by:
            return False
        return not watched.launch.receive() or not watched.is_ready

    def _take_over(self) -> None:
        """Add the runs that are being launched or running and are not monitored yet."""
        with self._store.read() as tx:
            claimed = select_all(tx, RunFilter(states=(RunState.LAUNCHING, RunState.RUNNING)))
            left = [run for run in claimed if run.id not in self._watched]
            attempts = {run.id: runs.attempts_of(tx, run.id) for run in left}
        for run in reversed(left):
            attempt = attempts[run.id][-1] if attempts[run.id] else self._attempt(run)
            directory = self._launcher.attempt_directory(run.id, attempt.number, attempt.nonce)
            self._watched[run.id] = ActiveRun(run=run, attempt=attempt, directory=directory, launch=None)

    def _attempt(self, run: Run) -> Attempt:
        return Attempt(
            run_id=run.id,
            number=run.attempt or 1,
            nonce=new_nonce(),
            boot_id=self._boot_id,
            state=RunState.LAUNCHING,
        )

    def _start_all(self, claimed: Sequence[tuple[Launchable, Attempt]]) -> None:
        """Start their supervisors. After the first shortage, the remaining runs return to the queue."""
        waiting: list[Run] = []
        for item, attempt in claimed:
            run = replace(item.run, state=RunState.LAUNCHING, attempt=attempt.number)
            try:
                lacking = self.shortage if waiting else self._start(run, item, attempt)
            except ControllerError:
                raise
            except Exception as error:
                log.exception("Run can't be launched", extra={"deployment": run.deployment, "run": run.id})
                self.refuse(run, f"its supervisor could not be started: {type(error).__name__}: {error}")
                continue
            if lacking is not None:
                self.shortage = lacking
                waiting.append(run)
        if waiting:
            with self._store.write() as tx:
                for run in waiting:
                    runs.move(tx, run.id, expect=run.state, to=RunState.PENDING, started_at=None)

    def _start(self, run: Run, item: Launchable, attempt: Attempt) -> str | None:
        """Start its supervisor, or record the run as failed; return the shortage if that is why it did not start."""
        self._store.check()
        try:
            launch = self._launcher.launch(run, item.deployment, item.root, nonce=attempt.nonce, pycache=item.pycache)
            watched = ActiveRun(run=run, attempt=attempt, directory=launch.directory, launch=launch)
            watched.ready_by = self._listened + READY_SECONDS
            try:
                watched.register(self._selector)
            except OSError:
                launch.terminate()
                launch.detach()
                raise
        except (OSError, ValueError) as error:
            if (lacking := shortage(error)) is None:
                self.refuse(run, f"its supervisor could not be started: {error}")
            return lacking
        self._watched[run.id] = watched
        return None

    def _go(self, watched: ActiveRun, now: datetime, *, may_go: bool) -> None:
        """Send GO, if the run's record is `running`."""
        watched.unregister(self._selector)
        if not may_go:
            self._remove(watched)
            return
        assert watched.launch is not None
        watched.run = replace(watched.run, state=RunState.RUNNING, started_at=now)
        watched.launch.send_go()
        watched.awaits_exit = True
        watched.register(self._selector)
        fields = {"deployment": watched.run.deployment, "run": watched.run.id, "revision": watched.run.revision}
        log.info("Run started", extra=fields)

    def _give_up(self, watched: ActiveRun) -> None:
        """Give up a supervisor that never gets GO: its directory shows whether anything ran."""
        assert watched.launch is not None
        watched.unregister(self._selector)
        watched.launch.terminate()
        watched.launch.detach()
        watched.launch = None

    def _decide(self, some: Iterable[ActiveRun]) -> list[Ended]:
        """Read the directories of runs whose supervisor has ended; while a supervisor lives, its flow may live."""
        ended: list[Ended] = []
        for watched in some:
            status = self._status(watched)
            if isinstance(status, Alive):
                self._adopt(watched, status)
                continue
            if watched.awaits_exit and watched.launch is not None:
                watched.exited_on_its_own = True  # it had received GO
            if isinstance(status, NotStarted) or status.state is RunState.CRASHED:
                self._clean_up(watched)
            temporary_directory.remove_left_behind(str(watched.directory))
            ended.append((watched, status))
        return ended

    def _status(self, watched: ActiveRun) -> AttemptStatus:
        is_ours = watched.launch is not None or watched.run.state is RunState.RUNNING
        if is_ours and watched.is_alive():
            return Alive(pid=None, started=False)
        is_same = watched.attempt.boot_id == self._boot_id
        return recover(watched.directory, watched.attempt.nonce, same_boot=is_same)

    def _clean_up(self, watched: ActiveRun) -> None:
        """Kill the processes of a run whose supervisor is lost."""
        try:
            killed = self._launcher.clean_up(watched.attempt.nonce)
        except OSError as error:
            if (lacking := shortage(error, with_disk=False)) is not None:
                raise ResourceError(lacking) from error
            fields = {"run": watched.run.id, "error": str(error)}
            log.warning("Processes of a lost run can't be listed", extra=fields)
            killed = 0
        if killed:
            log.warning("Processes of a lost run were killed", extra={"run": watched.run.id, "count": killed})

    def _record(self, tx: Transaction, ended: Sequence[Ended], now: datetime) -> list[Run]:
        """Record the outcomes; return the runs as they are now."""
        outcomes: list[tuple[Run, RunOutcome]] = []
        requeued: list[Run] = []
        for watched, status in ended:
            run = watched.run
            if isinstance(status, RunOutcome):
                outcomes.append((run, status))
                tx.after_commit(partial(log_observations, run, status))
                continue
            run = runs.find(tx, run.id) or run
            if (outcome := self._outcome_without_start(run, watched)) is not None:
                outcomes.append((run, outcome))
                continue
            if watched.exited_on_its_own:
                tx.after_commit(partial(self._launches.update, [run.id]))
            requeued.append(_queue_again(tx, run))
        return requeued + record_outcomes(tx, outcomes, now)

    def _outcome_without_start(self, run: Run, watched: ActiveRun) -> RunOutcome | None:
        """Return the outcome of a run whose directory has no `started`; None if the run can be launched again."""
        reason = self._why_uncertain(run, watched)
        if reason is not None:
            return RunOutcome(state=RunState.CRASHED, reason=reason)
        if run.cancel_reason is not None:
            return RunOutcome(state=RunState.CANCELLED, reason=run.cancel_reason)
        if watched.exited_on_its_own and self._launches[run.id] + 1 >= MAX_LAUNCHES:
            reason = f"not launched: its supervisor exited {MAX_LAUNCHES} times without starting the flow"
            return RunOutcome(state=RunState.FAILED, reason=reason)
        return None

    def _why_uncertain(self, run: Run, watched: ActiveRun) -> str | None:
        """Return why something may have run although there is no `started`; None if it is proven that nothing ran."""
        if run.state is RunState.LAUNCHING:
            return None  # it never received GO
        if watched.attempt.boot_id != self._boot_id:
            # Files of the previous boot may be lost.
            return "outcome unknown: the machine was restarted while the run was being launched"
        why = why_unprepared(watched.directory)
        return None if why is None else f"outcome unknown: {why}"

    def _log_outcomes(self, changed: Sequence[Run]) -> None:
        for run in changed:
            if run.state is not RunState.PENDING:
                self._launches.pop(run.id, None)
            log_outcome(run)

    def _adopt(self, watched: ActiveRun, alive: Alive) -> None:
        """Adopt a supervisor that an earlier controller started: it holds the lock."""
        if alive.pid is None or watched.launch is not None:
            return
        if watched.handle is None:
            watched.handle = _open_holder(watched, alive.pid)
            if watched.handle is not None:
                log.info("Run adopted", extra={"deployment": watched.run.deployment, "run": watched.run.id})
            watched.register(self._selector)
        elif watched.run.state is RunState.LAUNCHING and not alive.started:
            watched.kill()  # it never gets GO and has not noticed: it is stopped or hung
        if alive.started and watched.run.state is RunState.LAUNCHING:
            now = self._clock.now()
            with self._store.write() as tx:
                runs.move(tx, watched.run.id, expect=RunState.LAUNCHING, to=RunState.RUNNING, started_at=now)
                watched.run = runs.find(tx, watched.run.id) or watched.run

    def _remove(self, watched: ActiveRun) -> None:
        watched.unregister(self._selector)
        watched.release()
        self._watched.pop(watched.run.id, None)


def _queue_again(tx: Transaction, run: Run) -> Run:
    """Return a run to the queue: it has no supervisor, and nothing of it has run."""
    runs.move(tx, run.id, expect=run.state, to=RunState.PENDING, started_at=None)
    return replace(run, state=RunState.PENDING)


def _open_holder(watched: ActiveRun, pid: int) -> int | None:
    """Open a pidfd of the process that holds the lock; None if it has just released it and the pid was reused.

    Also None while no descriptor is free: the next tick tries again.
    """
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        again: AttemptStatus | None = recover(watched.directory, watched.attempt.nonce, same_boot=True)
    except ResourceError:
        again = None
    if isinstance(again, Alive) and again.pid == pid:
        return handle
    os.close(handle)
    return None
