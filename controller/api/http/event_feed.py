"""What is written down, read once for all who listen: one look at the state, however many streams there are.

`Streams` counts the listeners; this knows what they are told. Used on the server's thread.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from itertools import takewhile

from starlette.concurrency import run_in_threadpool

from controller.api.http.sse import BEAT_SECONDS, Streams, message
from controller.errors import StateError
from controller.queries.events import new_events
from controller.store import Store
from controller.store import events as journal
from controller.store.commit_counter import CommitCounter

log = logging.getLogger(__name__)

_AT_ONCE = 100
_REMEMBERED = 1000


class EventFeed:
    """Events as messages, and a `change` after anything else was written down."""

    def __init__(self, store: Store, changes: CommitCounter, streams: Streams) -> None:
        self._store = store
        self._changes = changes
        self._streams = streams
        self._listeners = 0
        self._watcher: asyncio.Task[None] | None = None
        self._is_ready = asyncio.Event()
        self._turn = asyncio.Event()
        self._turns = 0
        self._last = self._known_after = 0
        self._recent: deque[tuple[int, bytes]] = deque(maxlen=_REMEMBERED)

    async def listen(self, last: int | None) -> AsyncGenerator[bytes]:
        """What comes after the event of this number, by default the newest; empty ones while nothing comes.

        Ends when the server does, and when the state can't be read.
        """
        self._listeners += 1
        try:
            watcher = await self._watched()
            # A number beyond the newest is of another state: nothing that comes would be after it.
            last = self._last if last is None else min(last, self._last)
            # What is written down already comes first, also what the watcher will find at its next look.
            while found := await run_in_threadpool(self._read, last):
                for number, body in found:
                    yield body
                    last = number
            seen = None
            while not watcher.done():
                turn, turns = self._turn, self._turns
                while found := await self._after(last):
                    for number, body in found:
                        yield body
                        last = number
                if seen != turns:
                    yield message({}, event="change")
                    seen = turns
                with suppress(TimeoutError):
                    await asyncio.wait_for(turn.wait(), BEAT_SECONDS)
                yield b""
        except StateError as error:
            log.warning("One who listens is told nothing more", extra={"error": error.message})
        finally:
            self._listeners -= 1

    async def _watched(self) -> "asyncio.Task[None]":
        """The task that looks at the state, once it has looked."""
        if self._watcher is None or self._watcher.done():
            self._is_ready.clear()
            self._watcher = asyncio.ensure_future(self._watch())
        await self._is_ready.wait()
        return self._watcher

    async def _watch(self) -> None:
        try:
            stamp = self._changes.stamp()
            self._last = self._known_after = await run_in_threadpool(self._newest)
            self._recent.clear()
            self._is_ready.set()
            while self._listeners and await self._streams.pause():
                if stamp != (stamp := self._changes.stamp()):
                    while found := await run_in_threadpool(self._read, self._last):
                        self._remember(found)
                    self._tell()
        except StateError as error:
            log.warning("Those who listen are told nothing", extra={"error": error.message})
        finally:
            self._is_ready.set()
            self._tell()

    def _tell(self) -> None:
        told, self._turn = self._turn, asyncio.Event()
        self._turns += 1
        told.set()

    def _remember(self, found: list[tuple[int, bytes]]) -> None:
        for number, body in found:
            if len(self._recent) == _REMEMBERED:
                self._known_after = self._recent[0][0]
            self._recent.append((number, body))
            self._last = number

    async def _after(self, last: int) -> list[tuple[int, bytes]]:
        if last < self._known_after:
            return await run_in_threadpool(self._read, last)
        return list(takewhile(lambda one: one[0] > last, reversed(self._recent)))[::-1]

    def _read(self, last: int) -> list[tuple[int, bytes]]:
        with self._store.read() as tx:
            found = new_events(tx, last, _AT_ONCE)
        return [(event.id, message(event, event="event", number=str(event.id))) for event in found]

    def _newest(self) -> int:
        with self._store.read() as tx:
            return journal.last_number(tx)
