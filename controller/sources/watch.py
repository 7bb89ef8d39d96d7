"""Hints that something changed, from the kernel through watchdog. The only module that knows watchdog.

An event only says "look again"; it is never interpreted, and losing one costs at most a polling interval. The
handler reads nothing and can't raise (watchdog's thread would die of it), and open and close events are filtered
out (above 4,000 directories watchdog feeds itself with them).
"""

from collections.abc import Callable, Sequence

from watchdog.events import (
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

from controller.sources.source import Watched

_FILTER: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]


class _Hint(FileSystemEventHandler):
    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002
        self._look()


class Watcher:
    """Calls `look` soon after anything changed in the watched places. `look` must return at once and never raise."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._observer: BaseObserver | None = None
        self._armed: tuple[tuple[Watched, int, int], ...] = ()

    def arm(self, places: Sequence[Watched]) -> None:
        """Watch these places; does nothing while they are the same directories as before.

        Called at every pass: a directory that was replaced has another inode, and the old watch is deaf. Where the
        kernel refuses (no inotify, too many watches), polling has to do.
        """
        wanted = tuple(identity for place in places if (identity := _identify(place)) is not None)
        if wanted == self._armed and self._is_alive():
            return
        self.close()
        if not wanted:
            return
        observer = Observer()
        handler = _Hint(self._look)
        try:
            observer.start()
            for place, _, _ in wanted:
                observer.schedule(handler, str(place.path), recursive=place.recursive, event_filter=_FILTER)
        except OSError:
            observer.stop()
            return
        self._observer, self._armed = observer, wanted

    def close(self) -> None:
        """Watch nothing."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(5)
        self._observer, self._armed = None, ()

    def _is_alive(self) -> bool:
        return self._observer is not None and all(emitter.is_alive() for emitter in self._observer.emitters)


def _identify(place: Watched) -> tuple[Watched, int, int] | None:
    try:
        found = place.path.stat()
    except OSError:
        return None
    return place, found.st_dev, found.st_ino
