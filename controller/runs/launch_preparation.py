"""Prepares runs for their launch: their code, the deployment that they are pinned to, and their interpreter.

Used by the engine's thread. Other threads do the work that takes long; until then the run keeps its place in the queue.
"""

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from controller.errors import ControllerError, StateError, StoppingError, shortage
from controller.model.deployments import Deployment
from controller.model.python_environments import WAITING
from controller.model.runs import Run
from controller.runs.code_exports import CodeExports
from controller.runs.executors.executor import Executor, Launchable
from controller.runs.executors.executor_set import ExecutorSet
from controller.runs.failed_launches import FailedLaunches
from controller.runs.pinned_deployments import PinnedDeployments
from controller.runs.python_runtimes import PythonRuntimes
from controller.runs.queue import Queue
from controller.runs.upstream_runs import check_released

log = logging.getLogger(__name__)


class LaunchPreparation:
    """Prepares the runs that the queue selects. `python` may be replaced before the engine starts.

    `refuse` records a run that can't be launched as failed. `shortage` is what preparing runs has lacked.
    """

    def __init__(
        self,
        pinned_deployments: PinnedDeployments,
        queue: Queue,
        executors: ExecutorSet,
        failed_launches: FailedLaunches,
        *,
        wake: Callable[[], None],
        refuse: Callable[[Run, str], None],
    ) -> None:
        self._pinned_deployments = pinned_deployments
        self._source = pinned_deployments.source
        self._queue = queue
        self._executors = executors
        self._clock = failed_launches.clock
        self._failed_launches = failed_launches
        self._refuse = refuse
        self._wake = wake
        self._taken: Counter[str] = Counter()
        self._full: set[str] = set()
        self._exports = CodeExports(self._source, wake)
        self._exporting: set[str] = set()
        self.python = PythonRuntimes(None, self._source)
        self.shortage: str | None = None

    def take(self, most: int) -> list[Launchable]:
        """Take up to `most` runs from the queue and prepare them. Those that can't start yet return to it.

        If there are such runs, the next turn takes those behind them.
        """
        exported = self._exports.done()
        self._taken.clear()
        set_aside = len(self.python.waiting)
        try:
            waiting = self._queue.take_ready(most, self.python.waiting, self._exporting)
            return [launchable for run in waiting if (launchable := self._prepare_or_return(run)) is not None]
        finally:
            self._exports.forget(exported)
            if len(self.python.waiting) > set_aside or self._exports.in_progress - self._exporting:
                self._wake()

    def export(self, revision: str) -> None:
        """Export a revision before a run needs it. An error is ignored: it is that of the run, if it persists."""
        if self._source.is_pinned:
            with suppress(ControllerError, OSError):
                self._exports.prepare(revision)

    def refresh(self) -> None:
        """Let runs try again that wait for the end of a pause, for a changed Python environment, or for an export."""
        ended = self._failed_launches.take_ended()
        self.python.waiting -= ended
        before, self._exporting = self._exporting, self._exports.in_progress
        if self.python.refresh() or ended or before - self._exporting:
            self._queue.forget()

    def has_room_again(self) -> bool:
        """Return whether a job has got its node or has ended while runs wait for that. If so, let them try again."""
        has_room = any((room := self._executors.get(name).room()) is None or room > 0 for name in self._full)
        if has_room:
            self._full.clear()
            self.python.notify()
        return has_room

    def close(self) -> None:
        """Wait for the current export, and start no other."""
        self._exports.close()

    def _prepare_or_return(self, run: Run) -> Launchable | None:
        launchable = self._prepare(run)
        if launchable is None:
            self._queue.return_turn(run)
        return launchable

    def _prepare(self, run: Run) -> Launchable | None:
        """Return the run with its code; None while the code is being exported, or if it is unavailable."""
        try:
            root = self._exports.find(run.revision)
            if root is None:
                return None
            deployment = self._pinned_deployments.resolve(run, self._clock.now())
            check_released(run, deployment)
            executor = self._find_executor(run, deployment, self._failed_launches.find_pause(run.id))
            if executor is None:
                return None
            is_ready, python = self.python.find(run, deployment, root) if executor.builds_python else (True, None)
        except StateError:
            raise
        except ControllerError as error:
            self._postpone_or_refuse(run, error, error.message)
            return None
        except OSError as error:
            self._postpone_or_refuse(run, error, f"its code cannot be read: {error}")
            return None
        except Exception as error:
            log.exception("Run can't be prepared", extra={"deployment": run.deployment, "run": run.id})
            self._postpone_or_refuse(run, error, f"{type(error).__name__}: {error}")
            return None
        pycache = root.parent / "pycache" if self._source.is_pinned else None
        if not is_ready:
            self._queue.mark_waiting(run, WAITING)
            return None
        self._taken[executor.name] += 1
        return Launchable(
            run=run, deployment=deployment, root=root, pycache=pycache, python=python, executor=executor.name
        )

    def _find_executor(self, run: Run, deployment: Deployment, pause: str | None) -> Executor | None:
        """Return the executor of a run; None if the run must wait for one, or for the end of a `pause`."""
        executor = self._executors.find(deployment.executor)
        obstacle = f"no executor {deployment.executor} here"
        if executor is not None:
            obstacle = executor.find_obstacle(deployment) or pause or self._find_lack_of_nodes(executor)
        if not obstacle:
            return executor
        self._queue.mark_waiting(run, obstacle)
        self.python.waiting.add(run.id)  # it tries again with the next tick, or when `has_room_again`
        return None

    def _find_lack_of_nodes(self, executor: Executor) -> str:
        """Return what a run would wait for, if as many as allowed wait for it already; otherwise an empty text."""
        room = executor.room()
        if room is None or room > self._taken[executor.name]:
            return ""
        self._full.add(executor.name)
        return f"free nodes of {executor.name}"

    def _postpone_or_refuse(self, run: Run, error: BaseException, message: str) -> None:
        """Let the run wait if there is a shortage or the controller stops; otherwise record it as failed."""
        if isinstance(error, StoppingError):
            return
        if (lacking := shortage(error)) is not None:
            self.shortage = lacking
        else:
            self._refuse(run, message)
