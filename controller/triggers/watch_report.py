"""Records why watched folders start no runs: an event when that begins and ends, and a row for the conditions.

`file_watcher` calls it after its scans. It writes only if something has changed.
"""

from collections.abc import Iterable
from datetime import datetime

from controller.clock import Clock
from controller.model.status import Event, EventSeverity
from controller.model.triggers import WatchProblem
from controller.store import Store, events, seen_files
from controller.text import format_count, shorten, visible
from controller.triggers.folder_watch import FolderWatch

VANISHED_SECONDS = 60.0
"""The shortest time between two events about vanished files of a folder."""


class WatchReport:
    """The problems that are recorded, by deployment and folder."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._recorded: dict[tuple[str, str], WatchProblem] | None = None
        self._vanished_at: dict[tuple[str, str], float] = {}

    def save(self, watches: Iterable[FolderWatch]) -> None:
        """Record the problems of these folders, which are all that are watched. Raises StateError."""
        now = self._clock.now()
        watched = list(watches)
        if self._recorded is None:
            with self._store.read() as tx:
                self._recorded = {(row.deployment, row.path): row for row in seen_files.find_problems(tx)}
        problems: dict[tuple[str, str], WatchProblem] = {}
        for watch in watched:
            key = (watch.deployment.name, watch.trigger.path)
            if watch.problem is not None and key not in problems:
                problems[key] = self._problem(watch, key, watch.problem, now)
        new = [event for watch in watched for event in self._vanished(watch, now)]
        if problems == self._recorded and not new:
            return
        new += self._changes(problems, {(watch.deployment.name, watch.trigger.path) for watch in watched}, now)
        with self._store.write() as tx:
            seen_files.replace_problems(tx, problems.values())
            events.append(tx, new)
        self._recorded = problems

    def _problem(
        self, watch: FolderWatch, key: tuple[str, str], problem: tuple[str, str], now: datetime
    ) -> WatchProblem:
        before = (self._recorded or {}).get(key)
        reason, message = problem
        since = before.since if before is not None and before.reason == reason else now
        return WatchProblem(
            deployment=watch.deployment.name, path=watch.trigger.path, reason=reason, message=message, since=since
        )

    def _changes(
        self, problems: dict[tuple[str, str], WatchProblem], watched: set[tuple[str, str]], now: datetime
    ) -> Iterable[Event]:
        """Yield an event for each problem that has begun, and for each that has ended in a folder still watched."""
        recorded = self._recorded or {}
        for key, problem in problems.items():
            before = recorded.get(key)
            if before is None or before.reason != problem.reason:
                yield _event(problem.deployment, problem.reason, problem.message, now, EventSeverity.WARNING)
        for key in recorded.keys() - problems.keys():
            if key in watched:
                name, path = key
                yield _event(name, "FolderWatched", f"New files in {path} start runs again.", now, EventSeverity.INFO)

    def _vanished(self, watch: FolderWatch, now: datetime) -> Iterable[Event]:
        """Yield an event about the new files that vanished before they were ready, at most one a minute."""
        key = (watch.deployment.name, watch.trigger.path)
        moment = self._clock.monotonic()
        if not watch.vanished or moment < self._vanished_at.get(key, moment):
            return
        self._vanished_at[key] = moment + VANISHED_SECONDS
        count = len(watch.vanished)
        path = shorten(visible(watch.vanished[0]), 300)
        message = f"The new file {path} vanished before it was ready, so it started no run."
        if count > 1:
            message = (
                f"{format_count(count, 'new file')} vanished before they were ready, so they started no runs: {path} …"
            )
        watch.vanished.clear()
        yield _event(watch.deployment.name, "FileVanished", message, now, EventSeverity.WARNING)


def _event(deployment: str, reason: str, message: str, now: datetime, severity: EventSeverity) -> Event:
    return Event(time=now, severity=severity, reason=reason, message=message, about=deployment, deployment=deployment)
