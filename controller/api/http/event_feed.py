"""Reads new events from the state once and distributes them to all event streams.

One task reads them, however many streams are open: at once after a write of this process, and after one that a
database server announces, but not more often than `Streams` polls; otherwise every `IDLE_SECONDS`, in case another
process has written. Used on the server's thread.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from itertools import takewhile

from starlette.concurrency import run_in_threadpool

from controller.api.http.sse import HEARTBEAT_SECONDS, Streams, message
from controller.errors import StateError
from controller.queries.events import Gap, find_gap, new_events
from controller.store import Store
from controller.store import events as journal
from controller.store.commit_counter import CommitListener

log = logging.getLogger(__name__)

IDLE_SECONDS = 2.0
_BATCH = 100
_BUFFERED = 1000


class EventFeed:
    """Events as messages, a `change` message after every other change of the state, and `gap` for deleted events."""

    def __init__(self, store: Store, changes: CommitListener, streams: Streams) -> None:
        self._store = store
        self._changes = changes
        self._streams = streams
        self._listeners = 0
        self._watcher: asyncio.Task[None] | None = None
        self._is_ready = asyncio.Event()
        self._turn = asyncio.Event()
        self._turns = 0
        self._last = self._buffered_after = 0
        self._recent: deque[tuple[int, bytes]] = deque(maxlen=_BUFFERED)

    async def subscribe(self, last: int | None) -> AsyncGenerator[bytes]:
        """Yield the messages after event `last`, by default after the newest; empty ones as a heartbeat.

        Ends when the server stops, and when the state cannot be read.
        """
        self._listeners += 1
        try:
            watcher = await self._start_watcher()
            if last is not None and (gap := await run_in_threadpool(self._find_gap, last)) is not None:
                yield message(gap, event="gap")
            # A number beyond the newest comes from another state database: no event would ever follow it.
            last = self._last if last is None else min(last, self._last)
            # Send the recorded events first, including those that the watcher has yet to read.
            while messages := await run_in_threadpool(self._read, last):
                for number, body in messages:
                    yield body
                    last = number
            last_turn = None
            while not watcher.done():
                turn, turns = self._turn, self._turns
                while messages := await self._after(last):
                    for number, body in messages:
                        yield body
                        last = number
                if last_turn != turns:
                    yield message({}, event="change")
                    last_turn = turns
                with suppress(TimeoutError):
                    await asyncio.wait_for(turn.wait(), HEARTBEAT_SECONDS)
                yield b""
        except StateError as error:
            log.warning("Event stream closed: cannot read the state", extra={"error": error.message})
        finally:
            self._listeners -= 1

    async def _start_watcher(self) -> "asyncio.Task[None]":
        """Return the task that polls the state, once it has read it for the first time."""
        if self._watcher is None or self._watcher.done():
            self._is_ready.clear()
            self._watcher = asyncio.ensure_future(self._watch())
        await self._is_ready.wait()
        return self._watcher

    async def _watch(self) -> None:
        written, loop = asyncio.Event(), asyncio.get_running_loop()

        def wake() -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(written.set)

        try:
            with self._store.on_commit(wake):
                await self._read_changes(written)
        except StateError as error:
            log.warning("All event streams closed: cannot read the state", extra={"error": error.message})
        finally:
            self._is_ready.set()
            self._notify()

    async def _read_changes(self, written: asyncio.Event) -> None:
        """Read the state after each change, as long as streams are open. A write of this process sets `written`."""
        stamp = self._changes.stamp()
        self._last = self._buffered_after = await run_in_threadpool(self._newest)
        self._recent.clear()
        self._is_ready.set()
        while self._listeners and await self._wait(written):
            written.clear()
            if stamp != (stamp := self._changes.stamp()):
                while messages := await run_in_threadpool(self._read, self._last):
                    self._buffer(messages)
                self._notify()
                await self._streams.pause()

    async def _wait(self, written: asyncio.Event) -> bool:
        """Wait for a commit that is announced, at most `IDLE_SECONDS`; return False if the server is stopping."""
        loop, descriptor = asyncio.get_running_loop(), self._changes.fileno()
        if descriptor is not None:
            loop.add_reader(descriptor, written.set)
        try:
            return await self._streams.wait_for(written, IDLE_SECONDS)
        finally:
            if descriptor is not None:
                loop.remove_reader(descriptor)

    def _notify(self) -> None:
        finished, self._turn = self._turn, asyncio.Event()
        self._turns += 1
        finished.set()

    def _buffer(self, messages: list[tuple[int, bytes]]) -> None:
        for number, body in messages:
            if len(self._recent) == _BUFFERED:
                self._buffered_after = self._recent[0][0]
            self._recent.append((number, body))
            self._last = number

    async def _after(self, last: int) -> list[tuple[int, bytes]]:
        if last < self._buffered_after:
            return await run_in_threadpool(self._read, last)
        return list(takewhile(lambda entry: entry[0] > last, reversed(self._recent)))[::-1]

    def _read(self, last: int) -> list[tuple[int, bytes]]:
        with self._store.read() as tx:
            rows = new_events(tx, last, _BATCH)
        return [(event.id, message(event, event="event", number=str(event.id))) for event in rows]

    def _find_gap(self, last: int) -> Gap | None:
        with self._store.read() as tx:
            return find_gap(tx, last)

    def _newest(self) -> int:
        with self._store.read() as tx:
            return journal.last_number(tx)
