"""One watched folder of one deployment: which of its files have started runs, are settling, or can't start a run.

`file_watcher` calls it, on its thread. A scan is the truth: what watchdog reports only makes a scan happen sooner.
"""

import os
from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path

from controller.clock import Clock
from controller.model.deployments import Deployment
from controller.model.triggers import FileTrigger, FileVersion
from controller.store import Store, seen_files
from controller.text import format_count, shorten, visible
from controller.time_format import format_span
from controller.triggers.file_runs import FileRuns
from controller.triggers.folder_scan import FolderScan
from controller.triggers.path_pattern import PathPattern
from controller.triggers.settling_files import SettlingFiles
from controller.triggers.watch_roots import WatchRoots

POLL_SECONDS = 10.0
"""How often a folder is scanned if nothing reports a change; network file systems report none."""
HINT_SECONDS = 0.5
"""The shortest time between two scans of a folder."""
SCANNING_SHARE = 0.02
HINTED_SHARE = 0.1
"""The largest share of the time for scans of a folder: in general, and while changes are reported."""
MAX_KNOWN = 200_000
"""How many files of a folder are remembered in memory. For further ones, each scan reads the state."""
OLD_SECONDS = 600.0
"""A file that has not changed for this long, and for its settling time, need not be observed for that time again."""

Problem = tuple[str, str]
"""A reason in PascalCase, and a message."""


class FolderWatch:
    """The state of one watched folder. It is lost when the process ends, apart from the files that have started runs.

    `problem` is why files start no runs, or None. `next_scan` is a time of the monotonic clock. `vanished` has the
    paths of the new files that vanished before they started a run; the caller empties it.
    """

    def __init__(
        self,
        deployment: Deployment,
        trigger: FileTrigger,
        *,
        store: Store,
        clock: Clock,
        runs: FileRuns,
        roots: WatchRoots,
    ) -> None:
        self.deployment = deployment
        self.trigger = trigger
        self.problem: Problem | None = None
        self.next_scan = 0.0
        self.vanished: list[str] = []
        self._store = store
        self._clock = clock
        self._runs = runs
        self._roots = roots
        self._pattern = PathPattern(trigger.pattern)
        self._settling = SettlingFiles(trigger.settle.total_seconds())
        self._seen: set[int] = set()
        self._ended = 0.0
        self._duration = 0.0

    @property
    def is_recursive(self) -> bool:
        """Whether subfolders are read too."""
        return self._pattern.is_recursive

    def find_place(self) -> Path | None:
        """Return the folder with symbolic links resolved; None if it can't or may not be watched."""
        path = Path(os.path.realpath(self.trigger.path))
        return path if self._find_refusal() is None and path.is_dir() else None

    def hasten(self) -> None:
        """Scan soon, because something has changed in the folder."""
        self.next_scan = min(self.next_scan, self._ended + max(HINT_SECONDS, self._duration / HINTED_SHARE))

    def scan(self) -> None:
        """Read the folder, and create runs for the new files that are ready. Raises StateError."""
        began = self._clock.monotonic()
        self.problem = self._find_refusal()
        if self.problem is None:
            self._scan()
        self._ended = self._clock.monotonic()
        self._duration = self._ended - began
        self.next_scan = self._ended + max(POLL_SECONDS, self._duration / SCANNING_SHARE)
        ready_at = self._settling.next_time()
        if ready_at is not None:
            soonest = self._ended + max(HINT_SECONDS, self._duration / HINTED_SHARE)
            self.next_scan = min(self.next_scan, max(soonest, ready_at))

    def _find_refusal(self) -> Problem | None:
        refusal = self._roots.find_refusal(self.trigger.path, is_recursive=self.is_recursive)
        return None if refusal is None else ("WatchNotAllowed", f"{refusal}.")

    def _scan(self) -> None:
        reading = FolderScan(self.trigger.path, self._pattern)
        files = reading.files()
        seen: set[int] = set()
        inodes: set[int] = set()
        can_flush = True
        while batch := list(islice(files, seen_files.MAX_PATHS)):
            for file in self._find_new(batch, seen):
                self._observe(file)
                inodes.add(file.inode)
            if self._settling.is_full and can_flush:
                self._create_runs(seen)
                can_flush = not self._settling.is_full
        self._seen = seen
        vanished = self._settling.end_scan(is_complete=reading.error is None)
        self.vanished += [file.path for file in vanished if file.inode not in inodes]
        self._create_runs(seen)
        self.problem = self._find_problem(reading.error)

    def _find_new(self, batch: list[FileVersion], seen: set[int]) -> Iterator[FileVersion]:
        """Yield the files that have not started a run in this version; add the others to `seen`."""
        unknown: list[FileVersion] = []
        for file in batch:
            if hash(file) in self._seen:
                self._remember(file, seen)
            else:
                unknown.append(file)
        recorded: dict[str, FileVersion] = {}
        paths = [file.path for file in unknown if file.path not in self._settling]
        if paths:
            with self._store.read() as tx:
                recorded = seen_files.find(tx, self.deployment.name, paths)
        for file in unknown:
            if recorded.get(file.path) == file:
                self._remember(file, seen)
            else:
                yield file

    def _observe(self, file: FileVersion) -> None:
        age = self._clock.now().timestamp() - file.modified_ns / 1e9
        is_old = age > self.trigger.settle.total_seconds() + OLD_SECONDS
        self._settling.observe(file, self._clock.monotonic(), is_old=is_old)

    def _create_runs(self, seen: set[int]) -> None:
        now = self._clock.monotonic()
        ready = self._settling.take_ready(now)
        if not ready:
            return
        waiting = ready
        try:
            waiting = self._runs.create(self.deployment, self.trigger, ready)
        finally:
            self._settling.give_back(waiting, now)
        for file in ready[: len(ready) - len(waiting)]:
            self._remember(file, seen)

    @staticmethod
    def _remember(file: FileVersion, seen: set[int]) -> None:
        if len(seen) < MAX_KNOWN:
            seen.add(hash(file))

    def _find_problem(self, error: OSError | None) -> Problem | None:
        if error is not None:
            place = visible(str(error.filename))
            if isinstance(error, FileNotFoundError | NotADirectoryError):
                return "FolderMissing", f"The folder {place} does not exist."
            return "FolderUnreadable", f"The folder {place} can't be read: {error.strerror}."
        unreadable = self._settling.unreadable()
        if unreadable:
            return "FileUnreadable", f"{_describe(unreadable)} can't be read: permission denied."
        unsettled = self._settling.unsettled(self._clock.monotonic())
        if unsettled:
            span = format_span(timedelta(seconds=self._settling.longest))
            return "FileUnsettled", f"{_describe(unsettled)} did not stop changing within {span}."
        return None


def _describe(paths: Iterable[str]) -> str:
    """Return the first path, in alphabetical order, and how many others there are."""
    first, *others = sorted(paths)
    path = shorten(visible(first), 300)
    return f"{path} and {format_count(len(others), 'other file')}" if others else path
