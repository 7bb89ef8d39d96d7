"""Hints that something changed, from the kernel through watchdog. The only module that knows watchdog.

Polling has to do wherever watching can't begin or ends by itself: no inotify instance or watch is left, a directory
can't be read, a thread of watchdog's dies.

An event only says "look again"; it is never interpreted, and losing one costs at most a polling interval. The
handler reads nothing and can't raise (watchdog's thread would die of it), and open and close events are filtered
out (above 4,000 directories watchdog feeds itself with them).
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


RETRY_SECONDS = 60.0
"""How long to leave it at polling after the kernel refused; a tree with many directories costs something to try."""


class _Hint(FileSystemEventHandler):
    """Passes events on. It never raises: watchdog's thread would end.

    `is_wider` says that there is a new directory. Where no watch is left for it, watchdog does not say so.
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self.problem: str | None = None
        self.is_wider = False

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.is_directory and event.event_type in (EVENT_TYPE_CREATED, EVENT_TYPE_MOVED):
            self.is_wider = True
        try:
            self._look()
        except Exception as error:  # noqa: BLE001
            self.problem = f"a change could not be passed on: {error}"


class Watcher:
    """Calls `look` soon after anything changed in the watched places. `look` must return at once.

    `problem` says why changes are not watched for, so that polling has to do; None while they are.
    """

    def __init__(self, look: Callable[[], None], clock: Clock | None = None) -> None:
        self._look = look
        self._clock = clock or SystemClock()
        self._observer: BaseObserver | None = None
        self._hint = _Hint(look)
        self._armed: tuple[tuple[WatchedPath, int, int], ...] = ()
        self._next_try = 0.0
        self.problem: str | None = None

    def arm(self, places: Sequence[WatchedPath]) -> None:
        """Watch these places; does nothing while they are the same directories as before, and watched.

        Called at every pass: a directory that was replaced has another inode, and the old watch is deaf. Whatever
        keeps it from watching becomes `problem`. It tries again a minute later, or at once for other places.
        """
        wanted = tuple(identity for place in places if (identity := _identify(place)) is not None)
        if wanted == self._armed and (self._is_alive() or self._clock.monotonic() < self._next_try):
            return
        self.problem = self._hint.problem
        self.close()
        self._armed = wanted
        if wanted and self.problem is None:
            self.problem = self._begin([place for place, _, _ in wanted])
        if self.problem is not None:
            self._next_try = self._clock.monotonic() + RETRY_SECONDS

    def close(self) -> None:
        """Watch nothing."""
        if self._observer is not None:
            _end(self._observer)
        self._observer, self._armed, self._hint = None, (), _Hint(self._look)

    def _begin(self, places: Sequence[WatchedPath]) -> str | None:
        """Start watching these; why that is not possible."""
        observer: BaseObserver | None = None
        try:
            observer = Observer()
            observer.start()
            for place in places:
                if not os.access(place.path, os.R_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place.path))
                observer.schedule(self._hint, str(place.path), recursive=place.recursive, event_filter=_FILTER)
        except Exception as error:  # noqa: BLE001
            # Besides OSError: no thread can be started (RuntimeError), or watchdog can't use this system's library.
            if observer is not None:
                _end(observer)
            return _reason(error)
        self._observer = observer
        return None

    def _is_alive(self) -> bool:
        """Whether all that was armed is still watched: watchdog's own threads end without a word."""
        if self._observer is None:
            return not self._armed
        parts = [self._observer, *self._observer.emitters]
        held = [thread for part in parts for thread in vars(part).values() if isinstance(thread, threading.Thread)]
        is_whole = self._hint.problem is None and not self._hint.is_wider
        return is_whole and all(thread.is_alive() for thread in (*parts, *held))


def _end(observer: BaseObserver) -> None:
    """Stop it as far as it goes: one that failed half-way may not be able to."""
    with contextlib.suppress(Exception):
        observer.stop()
    with contextlib.suppress(Exception):
        observer.join(5)


def _reason(error: Exception) -> str:
    """Why the kernel refused, and which limit that is."""
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
        found = place.path.stat()
    except OSError:
        return None
    return place, found.st_dev, found.st_ino
