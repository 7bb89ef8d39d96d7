"""Server-sent events: what happens, as it happens. Bounded in number, and ended when the server is.

A stream keeps no queue: it knows how far it has told, and reads on from there when the other side has taken that. Each
message has an id, from which a reader goes on (`Last-Event-ID`).
"""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from fastapi import Header
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from controller.api.http.head_middleware import is_head
from controller.api.http.problem_details import problem
from controller.api.http.protocol import MAX_STREAMS, MAX_STREAMS_OF_ONE
from controller.queries.serialization import to_json

LastEventId = Annotated[str | None, Header(max_length=30, pattern=r"^[0-9]*$")]
"""Where a reader was: a number that a message of the stream had as its id."""
LOOK_SECONDS = 0.25
BEAT_SECONDS = 15.0
"""After so long without news a comment is sent, so that a peer that has gone is noticed."""


def message(data: Any, *, event: str | None = None, number: str | None = None) -> bytes:
    """One message of the wire format (WHATWG HTML, 9.2)."""
    lines = [] if event is None else [f"event: {event}"]
    if number is not None:
        lines.append(f"id: {number}")
    lines.append(f"data: {json.dumps(to_json(data), ensure_ascii=True)}")
    return ("\n".join(lines) + "\n\n").encode()


class Streams:
    """Counts the open streams, of all and of each caller. Used on the server's thread."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self.closing = asyncio.Event()

    def take(self, key: str) -> bool:
        """Take a place for this caller, in one step; False if there is none. Whoever has one gives it back."""
        if self._open.total() >= MAX_STREAMS or self._open[key] >= MAX_STREAMS_OF_ONE:
            return False
        self._open[key] += 1
        return True

    def give_back(self, key: str) -> None:
        """A stream of this caller has ended."""
        self._open[key] -= 1
        if self._open[key] <= 0:
            del self._open[key]

    async def pause(self) -> bool:
        """Wait a moment; False when the server ends."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.closing.wait(), LOOK_SECONDS)
        return not self.closing.is_set()


class EventStream(Response):
    """Sends what `messages` yields, empty ones excepted, until either side ends it; 429 without a free place."""

    media_type = "text/event-stream"

    def __init__(self, messages: AsyncGenerator[bytes], streams: Streams, key: str) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._messages = messages
        self._streams = streams
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold the stream. Its place is taken before anything is awaited, and given back however it ends."""
        if is_head(scope):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if not self._streams.take(self._key):
            refused = problem(429, "TooManyStreams", "Too many streams are open.", headers={"retry-after": "5"})
            await refused(scope, receive, send)
            return
        telling = asyncio.ensure_future(self._tell(send))
        gone = asyncio.ensure_future(_disconnect(receive))
        try:
            await asyncio.wait((telling, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.give_back(self._key)
            for task in (telling, gone):
                task.cancel()
            await asyncio.wait((telling, gone))
        if not telling.cancelled():
            telling.result()

    async def _tell(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"retry: 1000\n\n", "more_body": True})
        told = loop.time()
        async with contextlib.aclosing(self._messages):
            async for body in self._messages:
                if body or loop.time() - told >= BEAT_SECONDS:
                    await send({"type": "http.response.body", "body": body or b": still here\n\n", "more_body": True})
                    told = loop.time()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
