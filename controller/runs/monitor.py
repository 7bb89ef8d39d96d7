"""The runs that have a supervisor: from claiming a run to committing its outcome. Used by the engine's thread.

The order of writes is the protocol: claimed on disk, then a supervisor; `running` on disk, then GO; outcome last. What
a turn has to write of all runs is one transaction.
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
from controller.runs.outcomes import log_observations, log_outcome, outcome_of, record_outcomes, unreported_outcome
from controller.runs.recovery import Alive, Finished, Lost, NotStarted, Verdict, recover, why_unprepared
from controller.settings import boot_id
from controller.store import Store, Transaction, run_transitions, runs
from controller.store.run_search import RunFilter, select_all
from controller.store.run_transitions import RunOutcome

log = logging.getLogger(__name__)

MAX_LAUNCHES = 5
READY_SECONDS = 10.0
"""How long we listen for READY. What counts is the time in which we did, not that in which we were kept from it."""
LISTENING_SECONDS = 1.0
"""How much one look can count: who is stopped while it listens hears nothing either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launchable:
    """A run that has a place and its code: `root` is its revision's tree, `pycache` where Python may keep bytecode."""

    run: Run
    deployment: Deployment
    root: Path
    pycache: Path | None


NextRuns = Callable[[int], Sequence[Launchable]]
Decided = tuple[ActiveRun, Finished | Lost | NotStarted]


class RunMonitor:
    """Every run that is being launched or running, each with a descriptor that says when to judge it.

    `want`: what the last launches had to do without, so that their runs wait again; None if they had everything.
    """

    def __init__(self, store: Store, clock: Clock, launcher: Launcher) -> None:
        self._store = store
        self._clock = clock
        self._launcher = launcher
        self._boot_id = boot_id()
        self._watched: dict[str, ActiveRun] = {}
        self._launches: Counter[str] = Counter()
        self._to_judge: dict[str, ActiveRun] = {}
        self._selector: selectors.BaseSelector | None = None
        self._listened = 0.0
        self.want: str | None = None

    def __len__(self) -> int:
        return len(self._watched)

    def attach(self, selector: selectors.BaseSelector) -> None:
        """Let this selector wait for everything that is, and will be, watched."""
        self._selector = selector
        for watched in self._watched.values():
            watched.register(selector)

    def recover(self) -> None:
        """Take over what a controller before us left, and record what has ended meanwhile."""
        self.take_turn([], lambda _: [], everything=True)

    @property
    def is_launching(self) -> bool:
        """Whether somebody is expected to say READY."""
        return any(not watched.is_going and not watched.is_ready for watched in self._watched.values())

    def listened(self, seconds: float) -> None:
        """We have waited so long for supervisors to say something."""
        self._listened += min(seconds, LISTENING_SECONDS)

    def release(self) -> None:
        """Let go of every supervisor without a word: those without GO end, the others go on."""
        for watched in self._watched.values():
            watched.release()
        self._watched.clear()
        self._launcher.close()

    def refuse(self, run: Run, reason: str) -> None:
        """This run can't be launched: it has failed without having run."""
        now = self._clock.now()
        with self._store.write() as tx:
            ended = record_outcomes(tx, [unreported_outcome(run, RunState.FAILED, f"not launched: {reason}", now)], now)
        self._tell(ended)

    def end(self, run_id: str) -> None:
        """Ask the supervisor of this run, if it has leave to run, to end its flow. Asking again does no harm."""
        watched = self._watched.get(run_id)
        if watched is not None and watched.is_going:
            watched.ask_to_end()

    def take_turn(self, ready: Sequence[ActiveRun], waiting: NextRuns, *, everything: bool) -> bool:
        """Settle what has ended, let go what is ready, claim what has a place: one transaction, then what follows.

        Returns whether anything was settled: then there is room for others, or a run waits again.

        `ready`: what woke us. `waiting(used)` gives the runs that may be launched while `used` places are taken.
        With `everything`, all are judged, hint or not, and who has been silent for too long is not waited for.
        """
        # What was to be judged when a turn failed is judged again: nothing would wake us for it.
        self._to_judge.update({watched.run.id: watched for watched in self._heard(ready)})
        if everything:
            self._to_judge.update({watched.run.id: watched for watched in self._all_to_judge()})
        decided = self._decide(list(self._to_judge.values()))
        going = [watched for watched in self._watched.values() if watched.is_ready and not watched.is_going]
        batch = waiting(len(self._watched) - len(decided))
        if decided or going or batch:
            self._commit(decided, going, batch)
        self._to_judge.clear()
        return bool(decided)

    def _commit(self, decided: Sequence[Decided], going: Sequence[ActiveRun], batch: Sequence[Launchable]) -> None:
        """The order is the protocol: nothing of what follows is done before the commit."""
        now = self._clock.now()
        tries = {one.run.id: self._attempt(one.run) for one in batch}
        reach("judged", decided)
        reach("heard", going)
        trees = task_reports.read_trees([(watched.run, watched.directory, verdict) for watched, verdict in decided])
        with self._store.write() as tx:
            told = self._settle(tx, decided, now)
            task_reports.record(tx, trees)
            running = run_transitions.start(tx, [watched.attempt for watched in going], now)
            claimed = run_transitions.claim(tx, list(tries.values()))
        self._to_judge.clear()
        reach("settled", decided)
        reach("running", going)
        reach("claimed", batch)
        for watched, _ in decided:
            self._forget(watched)
        self._tell(told)
        for watched in going:
            self._go(watched, now, may_go=watched.run.id in running)
        reach("gone", going)
        self._start_all([(one, tries[one.run.id]) for one in batch if one.run.id in claimed])
        reach("launched", batch)

    def _heard(self, ready: Sequence[ActiveRun]) -> list[ActiveRun]:
        """Take what supervisors say; returns those that have ended, or may have."""
        ended: list[ActiveRun] = []
        for watched in ready:
            if watched.launch is None or watched.is_going:
                ended.append(watched)
            elif not watched.launch.hear():
                self.want = watched.launch.want or self.want
                watched.ended_by_itself = watched.launch.want is None
                self._give_up(watched)
                ended.append(watched)
        return ended

    def _all_to_judge(self) -> list[ActiveRun]:
        self._take_over()
        late = [watched for watched in self._watched.values() if self._is_late(watched)]
        if late and self._launcher.server is not None:
            self._launcher.server.stop()  # it may be the reason; what it has forked goes on
        for watched in late:
            self._give_up(watched)
        return [watched for watched in self._watched.values() if watched.is_going]

    def _is_late(self, watched: ActiveRun) -> bool:
        """Whether it has been silent for too long; what it said since we listened last is heard first."""
        if watched.launch is None or watched.is_going or watched.is_ready or self._listened < watched.ready_by:
            return False
        return not watched.launch.hear() or not watched.is_ready

    def _take_over(self) -> None:
        """Watch what is being launched or running and is not watched yet."""
        with self._store.read() as tx:
            claimed = select_all(tx, RunFilter(states=(RunState.LAUNCHING, RunState.RUNNING)))
            left = [run for run in claimed if run.id not in self._watched]
            tries = {run.id: runs.attempts_of(tx, run.id) for run in left}
        for run in reversed(left):
            attempt = tries[run.id][-1] if tries[run.id] else self._attempt(run)
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
        """Start their supervisors. From the first that lacks something on, the others wait for their turn again."""
        waiting: list[Run] = []
        for one, attempt in claimed:
            run = replace(one.run, state=RunState.LAUNCHING, attempt=attempt.number)
            try:
                want = self.want if waiting else self._start(run, one, attempt)
            except ControllerError:
                raise
            except Exception as error:
                log.exception("Run can't be launched", extra={"deployment": run.deployment, "run": run.id})
                self.refuse(run, f"its supervisor could not be started: {type(error).__name__}: {error}")
                continue
            if want is not None:
                self.want = want
                waiting.append(run)
        if waiting:
            with self._store.write() as tx:
                for run in waiting:
                    runs.move(tx, run.id, expect=run.state, to=RunState.PENDING, started_at=None)

    def _start(self, run: Run, one: Launchable, attempt: Attempt) -> str | None:
        """Start its supervisor, or refuse it; returns what there is not enough of, if that is why there is none."""
        self._store.check()
        try:
            launch = self._launcher.launch(run, one.deployment, one.root, nonce=attempt.nonce, pycache=one.pycache)
            watched = ActiveRun(run=run, attempt=attempt, directory=launch.directory, launch=launch)
            watched.ready_by = self._listened + READY_SECONDS
            try:
                watched.register(self._selector)
            except OSError:
                launch.end()
                launch.release()
                raise
        except (OSError, ValueError) as error:
            if (want := shortage(error)) is None:
                self.refuse(run, f"its supervisor could not be started: {error}")
            return want
        self._watched[run.id] = watched
        return None

    def _go(self, watched: ActiveRun, now: datetime, *, may_go: bool) -> None:
        """GO, if its record says `running`."""
        watched.unregister(self._selector)
        if not may_go:
            self._forget(watched)
            return
        assert watched.launch is not None
        watched.run = replace(watched.run, state=RunState.RUNNING, started_at=now)
        watched.launch.go()
        watched.is_going = True
        watched.register(self._selector)
        fields = {"deployment": watched.run.deployment, "run": watched.run.id, "revision": watched.run.revision}
        log.info("Run started", extra=fields)

    def _give_up(self, watched: ActiveRun) -> None:
        """Its supervisor was not let go and never will be: what its directory says decides."""
        assert watched.launch is not None
        watched.unregister(self._selector)
        watched.launch.end()
        watched.launch.release()
        watched.launch = None

    def _decide(self, some: Iterable[ActiveRun]) -> list[Decided]:
        """From the disk, once a supervisor is known to have ended: while it lives, its flow may."""
        decided: list[Decided] = []
        for watched in some:
            verdict = self._verdict(watched)
            if isinstance(verdict, Alive):
                self._adopt(watched, verdict)
                continue
            if watched.is_going and watched.launch is not None:
                watched.ended_by_itself = True  # it was told GO
            if not isinstance(verdict, Finished):
                self._clean_up(watched)
            temporary_directory.remove_left_behind(str(watched.directory))
            decided.append((watched, verdict))
        return decided

    def _verdict(self, watched: ActiveRun) -> Verdict:
        is_ours = watched.launch is not None or watched.run.state is RunState.RUNNING
        if is_ours and watched.is_alive():
            return Alive(pid=None, started=False)
        is_same = watched.attempt.boot_id == self._boot_id
        return recover(watched.directory, watched.attempt.nonce, same_boot=is_same)

    def _clean_up(self, watched: ActiveRun) -> None:
        """Nobody looks after what this run may have left."""
        try:
            killed = self._launcher.clean_up(watched.attempt.nonce)
        except OSError as error:
            if (want := shortage(error, with_disk=False)) is not None:
                raise ResourceError(want) from error
            fields = {"run": watched.run.id, "error": str(error)}
            log.warning("Processes of a lost run can't be listed", extra=fields)
            killed = 0
        if killed:
            log.warning("Processes of a lost run were killed", extra={"run": watched.run.id, "count": killed})

    def _settle(self, tx: Transaction, decided: Sequence[Decided], now: datetime) -> list[Run]:
        """Record what became of these; returns the runs as they are now."""
        endings: list[RunOutcome] = []
        requeued: list[Run] = []
        for watched, verdict in decided:
            run = watched.run
            if isinstance(verdict, Finished):
                endings.append(outcome_of(run, verdict, now))
                tx.after_commit(partial(log_observations, run, verdict))
                continue
            run = runs.find(tx, run.id) or run
            reason = verdict.reason if isinstance(verdict, Lost) else self._doubt(run, watched)
            if reason is not None:
                endings.append(unreported_outcome(run, RunState.CRASHED, reason, now))
            elif run.cancel_reason is not None:
                endings.append(unreported_outcome(run, RunState.CANCELLED, run.cancel_reason, now))
            elif watched.ended_by_itself and self._launches[run.id] + 1 >= MAX_LAUNCHES:
                reason = f"not launched: its supervisor exited {MAX_LAUNCHES} times without starting the flow"
                endings.append(unreported_outcome(run, RunState.FAILED, reason, now))
            else:
                if watched.ended_by_itself:
                    tx.after_commit(partial(self._launches.update, [run.id]))
                requeued.append(_queue_again(tx, run))
        return requeued + record_outcomes(tx, endings, now)

    def _doubt(self, run: Run, watched: ActiveRun) -> str | None:
        """Why it is not proven that nothing ran, though there is no mark; None if it is."""
        if run.state is RunState.LAUNCHING:
            return None  # it never was let go
        if watched.attempt.boot_id != self._boot_id:
            # Marks of the boot before may be lost with it.
            return "outcome unknown: the machine was restarted while the run was being launched"
        why = why_unprepared(watched.directory)
        return None if why is None else f"outcome unknown: {why}"

    def _tell(self, told: Sequence[Run]) -> None:
        for run in told:
            if run.state is not RunState.PENDING:
                self._launches.pop(run.id, None)
            log_outcome(run)

    def _adopt(self, watched: ActiveRun, alive: Alive) -> None:
        """A supervisor that this process did not start holds the lock."""
        if alive.pid is None or watched.launch is not None:
            return
        if watched.handle is None:
            watched.handle = _open_holder(watched, alive.pid)
            if watched.handle is not None:
                log.info("Run adopted", extra={"deployment": watched.run.deployment, "run": watched.run.id})
            watched.register(self._selector)
        elif watched.run.state is RunState.LAUNCHING and not alive.started:
            watched.kill()  # it was not let go and has not noticed: it is stopped or hung
        if alive.started and watched.run.state is RunState.LAUNCHING:
            now = self._clock.now()
            with self._store.write() as tx:
                runs.move(tx, watched.run.id, expect=RunState.LAUNCHING, to=RunState.RUNNING, started_at=now)
                watched.run = runs.find(tx, watched.run.id) or watched.run

    def _forget(self, watched: ActiveRun) -> None:
        watched.unregister(self._selector)
        watched.release()
        self._watched.pop(watched.run.id, None)


def _queue_again(tx: Transaction, run: Run) -> Run:
    """It has a supervisor no more, and nothing of it has run."""
    runs.move(tx, run.id, expect=run.state, to=RunState.PENDING, started_at=None)
    return replace(run, state=RunState.PENDING)


def _open_holder(watched: ActiveRun, pid: int) -> int | None:
    """A descriptor of the process that holds the lock; None if it has just let go, and the number is another's now.

    None as well while no descriptor is free: it is asked for again with the next tick.
    """
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return None
    try:
        again: Verdict | None = recover(watched.directory, watched.attempt.nonce, same_boot=True)
    except ResourceError:
        again = None
    if isinstance(again, Alive) and again.pid == pid:
        return handle
    os.close(handle)
    return None
