"""Deletes the records of files that no longer exist. `file_watcher` calls it after its scans.

A record is deleted a week after it was first missing, so that a disk that is not mounted for a few days does not make
its files new.
"""

import os
from datetime import timedelta

from controller.clock import Clock
from controller.model.triggers import SeenFile
from controller.store import Store, seen_files

KEPT_MISSING = timedelta(days=7)
"""How long a missing file is remembered."""
CYCLE_SECONDS = 3600.0
"""How often each recorded file is looked up."""
PAGE_SECONDS = 10.0
"""The pause between two pages."""


class SeenFileCleanup:
    """Looks up the recorded files page by page, and starts again an hour after the last page.

    `next_time` is when the next page is due, by the monotonic clock.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._last = ("", "")
        self.next_time = clock.monotonic() + PAGE_SECONDS

    def step(self) -> None:
        """Look up one page of files, if it is due. Raises StateError."""
        if self._clock.monotonic() < self.next_time:
            return
        now = self._clock.now()
        with self._store.read() as tx:
            files = seen_files.page(tx, self._last, seen_files.MAX_PATHS)
            is_last = len(files) < seen_files.MAX_PATHS
            has_removed = is_last and seen_files.has_removed(tx)
        missing = {file.version.path for file in files if _is_missing(file.version.path)}
        gone = [file for file in files if file.version.path in missing]
        newly_missing = [file for file in gone if file.missing_since is None]
        expired = [file for file in gone if file.missing_since is not None and file.missing_since < now - KEPT_MISSING]
        returned = [file for file in files if file.missing_since is not None and file.version.path not in missing]
        if newly_missing or expired or returned:
            with self._store.write() as tx:
                seen_files.record_missing(tx, newly_missing, now)
                seen_files.record_missing(tx, returned, None)
                seen_files.forget(tx, expired)
        if has_removed:
            with self._store.write() as tx:
                seen_files.forget_removed(tx)
        self._last = ("", "") if is_last else _key(files[-1])
        self.next_time = self._clock.monotonic() + (CYCLE_SECONDS if is_last else PAGE_SECONDS)


def _key(file: SeenFile) -> tuple[str, str]:
    return file.deployment, file.version.path


def _is_missing(path: str) -> bool:
    """Return whether the path names nothing. A path that can't be looked up is not missing."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
