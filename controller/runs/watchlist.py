"""The runs that have a supervisor: from claiming a run to committing its outcome. Used by the engine's thread.

The order of writes is the protocol: claimed on disk, then a supervisor; `running` on disk, then GO; outcome last.
"""

import logging
import os
import select
import selectors
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from controller.clock import Clock
from controller.model.deployments import Deployment
from controller.model.runs import Attempt, Run, RunState
from controller.runs.endings import finish, tell
from controller.runs.ids import new_nonce
from controller.runs.launcher import Launch, Launcher, sweep
from controller.runs.verdict import Alive, Ended, Lost, judge
from controller.settings import boot_id
from controller.store import Store, Transaction, runs
from controller.store.runs import RunFilter

log = logging.getLogger(__name__)

MAX_LAUNCHES = 5


@dataclass(slots=True, kw_only=True)
class Watched:
    """One run with a supervisor. `launch` is None for one that was adopted from a controller before us."""

    run: Run
    attempt: Attempt
    directory: Path
    launch: Launch | None
    handle: int | None = None
    is_ready: bool = False
    is_going: bool = False


class Watchlist:
    """Every run that is being launched or running, each with a descriptor that says when to judge it."""

    def __init__(self, store: Store, clock: Clock, launcher: Launcher) -> None:
        self._store = store
        self._clock = clock
        self._launcher = launcher
        self._boot_id = boot_id()
        self._watched: dict[str, Watched] = {}
        self._launches: Counter[str] = Counter()
        self._selector: selectors.BaseSelector | None = None

    def __len__(self) -> int:
        return len(self._watched)

    def attach(self, selector: selectors.BaseSelector) -> None:
        """Let this selector wait for everything that is, and will be, watched."""
        self._selector = selector
        for watched in self._watched.values():
            self._register(watched)

    def recover(self) -> None:
        """Take over what is being launched or running but not watched: a controller before us left it."""
        with self._store.read() as tx:
            claimed = runs.select_all(tx, RunFilter(states=(RunState.LAUNCHING, RunState.RUNNING)))
            left = [run for run in claimed if run.id not in self._watched]
            tries = {run.id: runs.attempts_of(tx, run.id) for run in left}
        for run in reversed(left):
            attempt = tries[run.id][-1]
            directory = self._launcher.attempt_directory(run.id, attempt.number, attempt.nonce)
            watched = Watched(run=run, attempt=attempt, directory=directory, launch=None, is_going=True)
            self._watched[run.id] = watched
            self._judge(watched)

    def release(self) -> None:
        """Let go of every supervisor without a word: those without GO end, the others go on."""
        for watched in self._watched.values():
            if watched.launch is not None:
                watched.launch.close()
                watched.launch.process.poll()
                # The flow outlives us on purpose; Python would warn about an unreaped child.
                watched.launch.process.returncode = watched.launch.process.returncode or 0
            if watched.handle is not None:
                os.close(watched.handle)
        self._watched.clear()

    def launch(self, run: Run, deployment: Deployment, root: Path, pycache: Path | None) -> None:
        """Claim the run, and start its supervisor once that is on disk."""
        nonce, number = new_nonce(), run.attempt or 1
        attempt = Attempt(run_id=run.id, number=number, nonce=nonce, boot_id=self._boot_id, state=RunState.LAUNCHING)
        with self._store.write() as tx:
            if not runs.move(tx, run.id, expect=RunState.PENDING, to=RunState.LAUNCHING, attempt=number):
                return
            runs.start_attempt(tx, attempt)
            claimed = runs.find(tx, run.id)
        assert claimed is not None
        try:
            launch = self._launcher.launch(claimed, deployment, root, nonce=nonce, pycache=pycache)
        except (OSError, ValueError) as error:
            self.refuse(claimed, f"its supervisor could not be started: {error}")
            return
        watched = Watched(run=claimed, attempt=attempt, directory=launch.directory, launch=launch)
        self._watched[run.id] = watched
        self._register(watched)

    def refuse(self, run: Run, reason: str) -> None:
        """This run can't be launched: it has failed without having run."""
        with self._store.write() as tx:
            ended = self._finish(tx, run, RunState.FAILED, f"not launched: {reason}")
        tell(ended)

    def end(self, run_id: str) -> None:
        """Ask the supervisor of this run, if it has leave to run, to end its flow. Asking again does no harm."""
        watched = self._watched.get(run_id)
        if watched is not None and watched.is_going and watched.handle is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(watched.handle, signal.SIGTERM)

    def handle(self, ready: Sequence[Watched]) -> None:
        """Something happened to these: READY, or the end of a supervisor."""
        for watched in ready:
            if watched.is_going or not self._hear(watched):
                self._judge(watched)
        self._go([watched for watched in self._watched.values() if watched.is_ready and not watched.is_going])

    def look_again(self) -> None:
        """Judge everything, hint or not."""
        self.recover()
        for watched in list(self._watched.values()):
            if watched.is_going:
                self._judge(watched)

    def _hear(self, watched: Watched) -> bool:
        """Whether its supervisor said READY; if not, it has ended."""
        assert watched.launch is not None
        assert watched.launch.process.stdout is not None
        watched.is_ready = os.read(watched.launch.process.stdout.fileno(), 6) == b"READY\n"
        if watched.is_ready:
            self._unregister(watched)
        return watched.is_ready

    def _go(self, started: Sequence[Watched]) -> None:
        """One transaction for all that are ready, then GO to each whose record says `running`."""
        if not started:
            return
        now = self._clock.now()
        running = set()
        with self._store.write() as tx:
            for watched in started:
                if runs.move(tx, watched.run.id, expect=RunState.LAUNCHING, to=RunState.RUNNING, started_at=now):
                    runs.move_attempt(tx, watched.run.id, watched.attempt.number, RunState.RUNNING, started_at=now)
                    running.add(watched.run.id)
        for watched in started:
            if watched.run.id not in running:
                self._forget(watched)
                continue
            assert watched.launch is not None
            watched.launch.go()
            watched.is_going = True
            self._register(watched)
            fields = {"deployment": watched.run.deployment, "run": watched.run.id, "revision": watched.run.revision}
            log.info("Run started", extra=fields)

    def _judge(self, watched: Watched) -> None:
        """Decide from the disk, once the supervisor is known to have ended: while it lives, its flow may."""
        if self._is_alive(watched):
            return
        verdict = judge(watched.directory, watched.attempt.nonce, same_boot=watched.attempt.boot_id == self._boot_id)
        if isinstance(verdict, Alive):
            self._adopt(watched, verdict)
            return
        if not isinstance(verdict, Ended) and (killed := sweep(watched.run.id)):
            log.warning("Processes of a lost run were killed", extra={"run": watched.run.id, "count": killed})
        with self._store.write() as tx:
            run = self._current(tx, watched)
            if isinstance(verdict, Ended):
                ended = self._finish(tx, run, verdict.state, verdict.reason, ended=verdict)
            elif isinstance(verdict, Lost):
                ended = self._finish(tx, run, RunState.CRASHED, verdict.reason)
            elif self._may_relaunch(run, watched):
                ended = self._relaunch(tx, run)
            else:
                ended = self._finish(tx, run, RunState.CRASHED, "outcome unknown: the directory of the run is gone")
        self._forget(watched)
        tell(ended)

    @staticmethod
    def _is_alive(watched: Watched) -> bool:
        """Whether its supervisor is a process that lives; a hung-up one that was never let go is ended here."""
        if watched.launch is not None:
            if watched.is_going:
                return watched.launch.process.poll() is None
            watched.launch.end()
            return False
        return watched.handle is not None and not select.select([watched.handle], [], [], 0)[0]

    def _adopt(self, watched: Watched, alive: Alive) -> None:
        if watched.handle is None and watched.launch is None and alive.pid is not None:
            with suppress(ProcessLookupError):
                watched.handle = os.pidfd_open(alive.pid)
                log.info("Run adopted", extra={"deployment": watched.run.deployment, "run": watched.run.id})
            self._register(watched)
        if alive.started and watched.run.state is RunState.LAUNCHING and watched.launch is None:
            with self._store.write() as tx:
                now = self._clock.now()
                runs.move(tx, watched.run.id, expect=RunState.LAUNCHING, to=RunState.RUNNING, started_at=now)
                watched.run = self._current(tx, watched)

    def _finish(
        self, tx: Transaction, run: Run, state: RunState, reason: str | None, *, ended: Ended | None = None
    ) -> Run | None:
        """Record how it ended; returns the run as it is then, to be told of once that is on disk."""
        finished = finish(tx, run, state, reason, self._clock.now(), ended=ended)
        if finished is not None:
            self._launches.pop(run.id, None)
        return finished

    @staticmethod
    def _may_relaunch(run: Run, watched: Watched) -> bool:
        """Whether it is proven that nothing ran: GO was never said, or it was and the whole directory has no mark."""
        return run.state is RunState.LAUNCHING or (watched.directory / "run.json").is_file()

    def _relaunch(self, tx: Transaction, run: Run) -> Run | None:
        """Queue it again, but not for ever, nor what somebody has cancelled meanwhile."""
        if run.cancel_reason is not None:
            return self._finish(tx, run, RunState.CANCELLED, None)
        self._launches[run.id] += 1
        if self._launches[run.id] >= MAX_LAUNCHES:
            return self._finish(tx, run, RunState.FAILED, f"not launched: its supervisor ended {MAX_LAUNCHES} times")
        runs.move(tx, run.id, expect=run.state, to=RunState.PENDING, started_at=None)
        return replace(run, state=RunState.PENDING)

    @staticmethod
    def _current(tx: Transaction, watched: Watched) -> Run:
        return runs.find(tx, watched.run.id) or watched.run

    def _register(self, watched: Watched) -> None:
        """Wait for READY, or for the end of the supervisor."""
        if self._selector is None:
            return
        if watched.launch is not None and not watched.is_going:
            assert watched.launch.process.stdout is not None
            self._selector.register(watched.launch.process.stdout, selectors.EVENT_READ, watched)
            return
        if watched.handle is None and watched.launch is not None:
            with suppress(ProcessLookupError):
                watched.handle = os.pidfd_open(watched.launch.process.pid)
        if watched.handle is not None:
            self._selector.register(watched.handle, selectors.EVENT_READ, watched)

    def _unregister(self, watched: Watched) -> None:
        if self._selector is None:
            return
        stdout = None if watched.launch is None else watched.launch.process.stdout
        for descriptor in (stdout if stdout is not None and not stdout.closed else None, watched.handle):
            if descriptor is not None:
                with suppress(KeyError):
                    self._selector.unregister(descriptor)

    def _forget(self, watched: Watched) -> None:
        self._unregister(watched)
        if watched.launch is not None:
            watched.launch.end()
        if watched.handle is not None:
            os.close(watched.handle)
        self._watched.pop(watched.run.id, None)
