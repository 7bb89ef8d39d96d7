"""The runs of this host while a controller on another host leads: a standby finds out how they end, and reports it."""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from controller.model.hosts import AttemptReport, directory_of, host_of
from controller.model.runs import Attempt, Run, RunId, RunOutcome
from controller.runs.executors.executor import Alive, Handle, Uncertain
from controller.runs.executors.local.executor import LocalExecutor
from controller.runs.executors.local.launcher import Launcher
from controller.settings import PROJECT
from controller.state_url import StateUrl
from controller.store import Store
from controller.store.hosts import running_on
from controller.store.leaders import find_leader
from controller.store.task_reports import FILE

log = logging.getLogger(__name__)

_MAX_EVENTS = 4 << 20


class HostRuns:
    """The runs that controllers at this host have started. `place` is that of this controller."""

    def __init__(self, url: StateUrl, place: str, grace: timedelta) -> None:
        self._url = url
        self._host = host_of(place)
        directory = Path(directory_of(place))
        self._executor = LocalExecutor(Launcher(directory=directory, environment={}, grace=grace, place=place))
        self._store: Store | None = None
        self._handles: dict[RunId, Handle] = {}
        self._reported: set[tuple[RunId, int]] = set()

    def check(self, report: Callable[[AttemptReport], None]) -> None:
        """Report the attempts that have ended, and stop the flows of runs that were cancelled.

        Does nothing while a controller on this host leads: it sees the same files. Raises ControllerError.
        """
        running = self._find_running()
        for run_id in self._handles.keys() - {run.id for run, _ in running}:
            self._handles.pop(run_id).release()
        self._reported &= {(run.id, attempt.number) for run, attempt in running}
        for run, attempt in running:
            if (run.id, attempt.number) not in self._reported:
                self._check_attempt(run, attempt, report)

    def close(self) -> None:
        """Close all connections. Flows continue."""
        for handle in self._handles.values():
            handle.release()
        self._handles.clear()
        if self._store is not None:
            self._store.close()
            self._store = None

    def _find_running(self) -> list[tuple[Run, Attempt]]:
        if self._store is None:
            self._store = Store.open_existing(self._url, project=PROJECT)
        if self._store is None:
            return []
        with self._store.read() as tx:
            leader = find_leader(tx)
            return [] if leader is None or leader.host == self._host else running_on(tx, self._host)

    def _check_attempt(self, run: Run, attempt: Attempt, report: Callable[[AttemptReport], None]) -> None:
        handle = self._handles.get(run.id)
        if handle is None or handle.attempt.number != attempt.number:
            adopted = self._executor.adopt(run, attempt)
            if adopted is None:
                return
            handle = self._handles[run.id] = adopted
        if run.cancel_reason is not None:
            handle.request_stop()
        status = handle.read_status()
        if isinstance(status, Alive | Uncertain):
            return
        handle.clean_up(status)
        is_outcome = isinstance(status, RunOutcome)
        report(
            AttemptReport(
                run_id=run.id,
                number=attempt.number,
                nonce=attempt.nonce,
                outcome=status if isinstance(status, RunOutcome) else None,
                doubt=None if is_outcome else handle.why_uncertain(),
                events=_read_events(handle.directory),
            )
        )
        self._reported.add((run.id, attempt.number))
        self._handles.pop(run.id).release()
        log.info("The end of a run was reported to the leader", extra={"deployment": run.deployment, "run": run.id})


def _read_events(directory: Path) -> str:
    """Return what the flow reported; empty if there is no report, or if it is too large to send."""
    with suppress(OSError):
        descriptor = os.open(directory / FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            content = stream.read(_MAX_EVENTS + 1)
        return "" if len(content) > _MAX_EVENTS else content.decode("utf-8", "replace")
    return ""
