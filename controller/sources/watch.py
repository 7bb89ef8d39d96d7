"""Watches directories for changes with inotify, through watchdog. The only module that uses watchdog.

Where watching fails, changes are found by polling: when no inotify instance or watch is left, when a directory can't be
read, or when one of watchdog's threads dies.

An event only starts a pass or a scan. It is never interpreted, and a lost one costs at most a polling interval. The
handler reads nothing and never raises, because that would end watchdog's thread. Events for opening and for closing
without writing are filtered out: above 4,000 directories, watchdog would keep itself busy with those that it causes.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Sequence

from watchdog.events import (
    EVENT_TYPE_CREATED,
    EVENT_TYPE_MOVED,
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from controller.clock import Clock, SystemClock
from controller.sources.source import WatchedPath

_FILTER: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]


_ARRIVALS: list[type[FileSystemEvent]] = [
    FileClosedEvent,
    *(event for event in _FILTER if event is not FileModifiedEvent),
]
"""Events for files that are written: when they are closed, instead of each time that a part of them is written."""

RETRY_SECONDS = 60.0
"""How long to rely on polling after watching failed; in a tree with many directories, each attempt is expensive."""


class _Handler(FileSystemEventHandler):
    """Calls `on_change` for each event. It never raises, because that would end watchdog's thread.

    `has_new_directory` tells that a directory was added. If no watch is left for it, watchdog does not report that.
    """

    def __init__(self, on_change: Callable[[], None], on_path: Callable[[str], None] | None) -> None:
        self._on_change = on_change
        self._on_path = on_path
        self.problem: str | None = None
        self.has_new_directory = False

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.is_directory and event.event_type in (EVENT_TYPE_CREATED, EVENT_TYPE_MOVED):
            self.has_new_directory = True
        try:
            if self._on_path is not None:
                for path in (event.src_path, event.dest_path):
                    self._on_path(os.fsdecode(path))
            self._on_change()
        except Exception as error:  # noqa: BLE001
            self.problem = f"a change could not be processed: {error}"


class Watcher:
    """Calls `on_change`, which must return at once, soon after anything has changed in the watched directories.

    `problem` is the reason why changes can't be watched, or None while they are. With `on_path`, it is called before
    with the path that has changed, and a file counts as changed only when its writer closes it.
    """

    def __init__(
        self,
        on_change: Callable[[], None],
        clock: Clock | None = None,
        *,
        on_path: Callable[[str], None] | None = None,
    ) -> None:
        self._on_change = on_change
        self._on_path = on_path
        self._clock = clock or SystemClock()
        self._observer: BaseObserver | None = None
        self._handler = _Handler(on_change, on_path)
        self._watched: tuple[tuple[WatchedPath, int, int], ...] = ()
        self._next_attempt = 0.0
        self.problem: str | None = None

    def watch(self, places: Sequence[WatchedPath]) -> None:
        """Watch these directories, and only these. Does nothing while the same directories are being watched.

        Called at every pass, because a directory that was replaced has another inode, and the old watch does not report
        its changes. If watching fails, `problem` is set. The next attempt is a minute later, or at once for other
        directories.
        """
        identities = tuple(identity for place in places if (identity := _identify(place)) is not None)
        if identities == self._watched and (self._is_alive() or self._clock.monotonic() < self._next_attempt):
            return
        self.problem = self._handler.problem
        self.close()
        self._watched = identities
        if identities and self.problem is None:
            self.problem = self._start([place for place, _, _ in identities])
        if self.problem is not None:
            self._next_attempt = self._clock.monotonic() + RETRY_SECONDS

    def close(self) -> None:
        """Stop watching."""
        if self._observer is not None:
            _stop(self._observer)
        self._observer, self._watched, self._handler = None, (), _Handler(self._on_change, self._on_path)

    def _start(self, places: Sequence[WatchedPath]) -> str | None:
        """Start watching; return the reason if that is not possible."""
        observer: BaseObserver | None = None
        try:
            observer = Observer()
            observer.start()
            for place in places:
                if not os.access(place.path, os.R_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place.path))
                events = _FILTER if self._on_path is None else _ARRIVALS
                observer.schedule(self._handler, str(place.path), recursive=place.recursive, event_filter=events)
        except Exception as error:  # noqa: BLE001
            # Besides OSError: no thread can be started (RuntimeError), or watchdog can't use the system's C library.
            if observer is not None:
                _stop(observer)
            return _reason(error)
        self._observer = observer
        return None

    def _is_alive(self) -> bool:
        """Whether every directory is still watched. Watchdog's threads can end without any report."""
        if self._observer is None:
            return not self._watched
        parts = [self._observer, *self._observer.emitters]
        inner = [thread for part in parts for thread in vars(part).values() if isinstance(thread, threading.Thread)]
        is_complete = self._handler.problem is None and not self._handler.has_new_directory
        return is_complete and all(thread.is_alive() for thread in (*parts, *inner))


def _stop(observer: BaseObserver) -> None:
    """Stop an observer, as far as possible: one that failed while starting may be unable to."""
    with contextlib.suppress(Exception):
        observer.stop()
    with contextlib.suppress(Exception):
        observer.join(5)


def _reason(error: Exception) -> str:
    """Return why watching failed, with the limit to raise if there is one."""
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EMFILE:
        return "no inotify instance or file descriptor is left; raise fs.inotify.max_user_instances or `ulimit -n`"
    if number == errno.ENOSPC:
        return "no inotify watch is left; raise fs.inotify.max_user_watches"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _identify(place: WatchedPath) -> tuple[WatchedPath, int, int] | None:
    try:
        status = place.path.stat()
    except OSError:
        return None
    return place, status.st_dev, status.st_ino
