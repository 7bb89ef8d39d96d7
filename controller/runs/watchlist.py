"""The runs that have a supervisor: from claiming a run to committing its outcome. Used by the engine's thread.

The order of writes is the protocol: claimed on disk, then a supervisor; `running` on disk, then GO; outcome last. Each
of the three is one transaction for all runs of a turn.
"""

import logging
import os
import selectors
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from controller.clock import Clock
from controller.model.deployments import Deployment
from controller.model.runs import Attempt, Run, RunState
from controller.runs import cgroups
from controller.runs.crashpoints import reach
from controller.runs.ids import new_nonce
from controller.runs.launcher import Launcher, sweep
from controller.runs.outcomes import finish, tell
from controller.runs.verdict import Alive, Ended, Lost, Verdict, judge
from controller.runs.watched import Watched
from controller.settings import boot_id
from controller.store import Store, Transaction, runs
from controller.store.runs import RunFilter

log = logging.getLogger(__name__)

MAX_LAUNCHES = 5
READY_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Launchable:
    """A run that has a place and its code: `root` is its revision's tree, `pycache` where Python may keep bytecode."""

    run: Run
    deployment: Deployment
    root: Path
    pycache: Path | None


class Watchlist:
    """Every run that is being launched or running, each with a descriptor that says when to judge it."""

    def __init__(self, store: Store, clock: Clock, launcher: Launcher) -> None:
        self._store = store
        self._clock = clock
        self._launcher = launcher
        self._boot_id = boot_id()
        self._watched: dict[str, Watched] = {}
        self._launches: Counter[str] = Counter()
        self._has_requeued = False
        self._selector: selectors.BaseSelector | None = None

    def __len__(self) -> int:
        return len(self._watched)

    def take_requeued(self) -> bool:
        """Whether a run has gone back to the queue since this was last asked."""
        requeued, self._has_requeued = self._has_requeued, False
        return requeued

    def attach(self, selector: selectors.BaseSelector) -> None:
        """Let this selector wait for everything that is, and will be, watched."""
        self._selector = selector
        for watched in self._watched.values():
            watched.register(selector)

    def recover(self) -> None:
        """Take over what is being launched or running but not watched: a controller before us left it."""
        with self._store.read() as tx:
            claimed = runs.select_all(tx, RunFilter(states=(RunState.LAUNCHING, RunState.RUNNING)))
            left = [run for run in claimed if run.id not in self._watched]
            tries = {run.id: runs.attempts_of(tx, run.id) for run in left}
        for run in reversed(left):
            attempt = tries[run.id][-1]
            directory = self._launcher.attempt_directory(run.id, attempt.number, attempt.nonce)
            self._watched[run.id] = Watched(run=run, attempt=attempt, directory=directory, launch=None)
        self._judge([self._watched[run.id] for run in reversed(left)])

    def release(self) -> None:
        """Let go of every supervisor without a word: those without GO end, the others go on."""
        for watched in self._watched.values():
            watched.release()
        self._watched.clear()
        self._launcher.close()

    def launch(self, batch: Sequence[Launchable]) -> None:
        """Claim these runs, and start a supervisor for each once that is on disk."""
        claimed: list[tuple[Launchable, Attempt]] = []
        with self._store.write() as tx:
            for one in batch:
                attempt = self._claim(tx, one.run)
                if attempt is not None:
                    claimed.append((one, attempt))
        reach("claimed")
        for one, attempt in claimed:
            self._start(one, attempt)
        reach("launched")

    def refuse(self, run: Run, reason: str) -> None:
        """This run can't be launched: it has failed without having run."""
        with self._store.write() as tx:
            ended = finish(tx, run, RunState.FAILED, f"not launched: {reason}", now=self._clock.now())
        self._launches.pop(run.id, None)
        tell(ended)

    def handle(self, ready: Sequence[Watched]) -> None:
        """Something happened to these: READY, or the end of a supervisor."""
        to_judge: list[Watched] = []
        for watched in ready:
            if watched.launch is None or watched.is_going:
                to_judge.append(watched)
            elif not watched.launch.hear():
                self._give_up(watched)
                to_judge.append(watched)
        self._judge(to_judge)
        self._go([watched for watched in self._watched.values() if watched.is_ready and not watched.is_going])

    def look_again(self) -> None:
        """Judge everything, hint or not; who has been silent for too long is not waited for."""
        self.recover()
        late = [
            watched
            for watched in self._watched.values()
            if not watched.is_going and not watched.is_ready and self._clock.monotonic() >= watched.ready_by
        ]
        if late and self._launcher.server is not None:
            self._launcher.server.stop()  # it may be the reason; what it has forked goes on
        for watched in late:
            self._give_up(watched)
        self._judge([watched for watched in self._watched.values() if watched.is_going])

    def _claim(self, tx: Transaction, run: Run) -> Attempt | None:
        number = run.attempt or 1
        if not runs.move(tx, run.id, expect=RunState.PENDING, to=RunState.LAUNCHING, attempt=number):
            return None
        attempt = Attempt(
            run_id=run.id, number=number, nonce=new_nonce(), boot_id=self._boot_id, state=RunState.LAUNCHING
        )
        runs.start_attempt(tx, attempt)
        return attempt

    def _start(self, one: Launchable, attempt: Attempt) -> None:
        run = replace(one.run, state=RunState.LAUNCHING, attempt=attempt.number)
        try:
            launch = self._launcher.launch(run, one.deployment, one.root, nonce=attempt.nonce, pycache=one.pycache)
        except (OSError, ValueError) as error:
            self.refuse(run, f"its supervisor could not be started: {error}")
            return
        watched = Watched(run=run, attempt=attempt, directory=launch.directory, launch=launch)
        watched.ready_by = self._clock.monotonic() + READY_SECONDS
        self._watched[run.id] = watched
        watched.register(self._selector)

    def _go(self, started: Sequence[Watched]) -> None:
        """One transaction for all that are ready, then GO to each whose record says `running`."""
        if not started:
            return
        reach("heard")
        now = self._clock.now()
        running: list[Watched] = []
        with self._store.write() as tx:
            for watched in started:
                if runs.move(tx, watched.run.id, expect=RunState.LAUNCHING, to=RunState.RUNNING, started_at=now):
                    runs.move_attempt(tx, watched.run.id, watched.attempt.number, RunState.RUNNING, started_at=now)
                    running.append(watched)
        reach("running")
        for watched in started:
            watched.unregister(self._selector)
            if watched not in running:
                self._forget(watched)
                continue
            assert watched.launch is not None
            watched.run = replace(watched.run, state=RunState.RUNNING, started_at=now)
            watched.launch.go()
            watched.is_going = True
            watched.register(self._selector)
            fields = {"deployment": watched.run.deployment, "run": watched.run.id, "revision": watched.run.revision}
            log.info("Run started", extra=fields)
        reach("gone")

    def _give_up(self, watched: Watched) -> None:
        """Its supervisor was not let go and never will be: what its directory says decides."""
        assert watched.launch is not None
        watched.unregister(self._selector)
        watched.launch.end()
        watched.launch.release()
        watched.launch = None

    def _judge(self, some: Iterable[Watched]) -> None:
        """Decide from the disk, once a supervisor is known to have ended: while it lives, its flow may."""
        decided: list[tuple[Watched, Ended | Lost | None]] = []
        for watched in some:
            verdict = self._verdict(watched)
            if isinstance(verdict, Alive):
                self._adopt(watched, verdict)
                continue
            ending = verdict if isinstance(verdict, Ended | Lost) else None
            if not isinstance(ending, Ended):
                self._clean_up(watched)
            decided.append((watched, ending))
        if not decided:
            return
        reach("judged")
        with self._store.write() as tx:
            ended = [self._conclude(tx, watched, ending) for watched, ending in decided]
        reach("settled")
        for (watched, _), run in zip(decided, ended, strict=True):
            self._forget(watched)
            if run is None or run.state is not RunState.PENDING:
                self._launches.pop(watched.run.id, None)
            tell(run)

    def _verdict(self, watched: Watched) -> Verdict:
        is_ours = watched.launch is not None or watched.run.state is RunState.RUNNING
        if is_ours and watched.is_alive():
            return Alive(pid=None, started=False)
        is_same = watched.attempt.boot_id == self._boot_id
        return judge(watched.directory, watched.attempt.nonce, same_boot=is_same)

    def _clean_up(self, watched: Watched) -> None:
        """Nobody looks after what this run may have left."""
        if killed := sweep(watched.run.id):
            log.warning("Processes of a lost run were killed", extra={"run": watched.run.id, "count": killed})
        cgroups.remove(self._launcher.group, watched.attempt.nonce)

    def _conclude(self, tx: Transaction, watched: Watched, ending: Ended | Lost | None) -> Run | None:
        """What becomes of a run that has ended, was lost, or (None) has no mark at all."""
        now = self._clock.now()
        run = watched.run
        if isinstance(ending, Ended):
            done = finish(tx, run, ending.state, ending.reason, now=now, ended=ending)
            if done is not None:
                return done
        run = runs.find(tx, run.id) or run
        if run.state.is_terminal:
            return None
        if isinstance(ending, Ended):
            return finish(tx, run, ending.state, ending.reason, now=now, ended=ending)
        if isinstance(ending, Lost):
            return finish(tx, run, RunState.CRASHED, ending.reason, now=now)
        if run.state is RunState.LAUNCHING:
            return self._relaunch(tx, run)  # it never was let go
        if watched.attempt.boot_id != self._boot_id:
            # Marks of the boot before may be lost with it: only what was never let go is proven not to have run.
            reason = "outcome unknown: the machine was restarted while it was being started"
            return finish(tx, run, RunState.CRASHED, reason, now=now)
        if not (watched.directory / "run.json").is_file():
            reason = "outcome unknown: the directory of the run is gone"
            return finish(tx, run, RunState.CRASHED, reason, now=now)
        return self._relaunch(tx, run)

    def _relaunch(self, tx: Transaction, run: Run) -> Run | None:
        """Queue it again, but not for ever."""
        self._launches[run.id] += 1
        if self._launches[run.id] >= MAX_LAUNCHES:
            reason = f"not launched: its supervisor ended {MAX_LAUNCHES} times"
            return finish(tx, run, RunState.FAILED, reason, now=self._clock.now())
        runs.move(tx, run.id, expect=run.state, to=RunState.PENDING, started_at=None)
        self._has_requeued = True
        return replace(run, state=RunState.PENDING)

    def _adopt(self, watched: Watched, alive: Alive) -> None:
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

    def _forget(self, watched: Watched) -> None:
        watched.unregister(self._selector)
        watched.release()
        self._watched.pop(watched.run.id, None)


def _open_holder(watched: Watched, pid: int) -> int | None:
    """A descriptor of the process that holds the lock; None if it has just let go, and the number is another's now."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    again = judge(watched.directory, watched.attempt.nonce, same_boot=True)
    if isinstance(again, Alive) and again.pid == pid:
        return handle
    os.close(handle)
    return None
