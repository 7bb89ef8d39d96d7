"""The new files of a watched folder that may still be growing: a file is ready when it has not changed for a time.

`folder_watch` uses it. A change is a difference between two scans, measured with the monotonic clock, so that a wrong
clock of a file server does not matter.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from controller.model.triggers import FileVersion

MAX_FILES = 10_000
"""How many files may be settling in one folder. Further ones wait for a later scan."""
UNSETTLED_SECONDS = 3600.0
UNSETTLED_FACTOR = 20
"""A file that keeps changing for an hour, or for 20 times the settling time if that is longer, is reported."""


@dataclass(slots=True)
class _Settling:
    version: FileVersion
    since: float
    first: float
    is_unreadable: bool = False


class SettlingFiles:
    """The files that were seen, but have not started a run. `settle` and all times are in seconds.

    `longest` is how long a file may keep changing until it is reported.
    """

    def __init__(self, settle: float) -> None:
        self.longest = max(UNSETTLED_SECONDS, UNSETTLED_FACTOR * settle)
        self._settle = settle
        self._files: dict[str, _Settling] = {}
        self._observed: set[str] = set()

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, path: str) -> bool:
        return path in self._files

    @property
    def is_full(self) -> bool:
        """Whether no other file fits."""
        return len(self._files) >= MAX_FILES

    def observe(self, version: FileVersion, now: float, *, is_old: bool) -> None:
        """Record that the file has this version now. A file that `is_old` does not have to settle."""
        self._observed.add(version.path)
        file = self._files.get(version.path)
        if file is None:
            if not self.is_full:
                since = now - self._settle if is_old else now
                self._files[version.path] = _Settling(version, since, now)
        elif file.version != version:
            file.version, file.since = version, now

    def take_ready(self, now: float) -> list[FileVersion]:
        """Remove and return the files that have settled and can be read, the least recently modified first."""
        ready: list[FileVersion] = []
        for path, file in list(self._files.items()):
            if now - file.since >= self._settle:
                file.is_unreadable = not can_read(path)
                if not file.is_unreadable:
                    ready.append(file.version)
                    del self._files[path]
        return sorted(ready, key=lambda version: (version.modified_ns, version.path))

    def give_back(self, versions: Iterable[FileVersion], now: float) -> None:
        """Take back files that were ready but could not start a run."""
        for version in versions:
            self._files[version.path] = _Settling(version, now - self._settle, now)

    def end_scan(self, *, is_complete: bool) -> list[FileVersion]:
        """Start a new scan. Return the files that were not observed in the last one, if that was complete."""
        observed, self._observed = self._observed, set()
        if not is_complete:
            return []
        return [self._files.pop(path).version for path in list(self._files) if path not in observed]

    def next_time(self) -> float | None:
        """Return when the next file can be ready; None if there is none. Unreadable files have no such time."""
        times = [file.since + self._settle for file in self._files.values() if not file.is_unreadable]
        return min(times, default=None)

    def unreadable(self) -> list[str]:
        """Return the paths of the files that have settled, but can't be read."""
        return [path for path, file in self._files.items() if file.is_unreadable]

    def unsettled(self, now: float) -> list[str]:
        """Return the paths of the files that have kept changing for too long."""
        files = self._files.items()
        return [path for path, file in files if not file.is_unreadable and now - file.first > self.longest]


def can_read(path: str) -> bool:
    """Return whether the controller may read the file."""
    return os.access(path, os.R_OK, effective_ids=True)
