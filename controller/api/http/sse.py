"""Server-sent events: responses that stream messages, limited in number and closed when the server stops.

A stream has no queue: it remembers its position, and reads the next messages once the client has received the last
ones. Each message has an id, so that a client can resume with `Last-Event-ID`.
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
"""The id of the last message that the client received."""
POLL_SECONDS = 0.25
HEARTBEAT_SECONDS = 15.0
"""Interval of the comments sent on an idle stream, which detect clients that have disconnected."""


def message(data: Any, *, event: str | None = None, number: str | None = None) -> bytes:
    """Encode one message (WHATWG HTML, section 9.2)."""
    lines = [] if event is None else [f"event: {event}"]
    if number is not None:
        lines.append(f"id: {number}")
    lines.append(f"data: {json.dumps(to_json(data), ensure_ascii=True)}")
    return ("\n".join(lines) + "\n\n").encode()


class Streams:
    """Limits the number of open streams, in total and per caller. Used on the server's thread."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self.closing = asyncio.Event()

    def acquire(self, key: str) -> bool:
        """Count a new stream of this caller; return False if a limit is reached. Pair it with `release`."""
        if self._open.total() >= MAX_STREAMS or self._open[key] >= MAX_STREAMS_OF_ONE:
            return False
        self._open[key] += 1
        return True

    def release(self, key: str) -> None:
        """Count a stream of this caller as ended."""
        self._open[key] -= 1
        if self._open[key] <= 0:
            del self._open[key]

    async def wait_for(self, event: asyncio.Event, seconds: float) -> bool:
        """Wait for the event, at most this long; return False if the server is stopping."""
        waiting = [asyncio.ensure_future(one.wait()) for one in (event, self.closing)]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return not self.closing.is_set()

    async def pause(self) -> bool:
        """Wait for one polling interval; return False if the server is stopping."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.closing.wait(), POLL_SECONDS)
        return not self.closing.is_set()


class EventStream(Response):
    """Sends the non-empty `messages` until they end or the client disconnects; 429 if too many streams are open."""

    media_type = "text/event-stream"

    def __init__(self, messages: AsyncGenerator[bytes], streams: Streams, key: str) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._messages = messages
        self._streams = streams
        self._key = key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream. It is counted before the first `await`, and released in every case."""
        if is_head(scope):
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if not self._streams.acquire(self._key):
            rejection = problem(429, "TooManyStreams", "Too many streams are open.", headers={"retry-after": "5"})
            await rejection(scope, receive, send)
            return
        sending = asyncio.ensure_future(self._send_messages(send))
        disconnected = asyncio.ensure_future(wait_for_disconnect(receive))
        try:
            await asyncio.wait((sending, disconnected), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.release(self._key)
            for task in (sending, disconnected):
                task.cancel()
            await asyncio.wait((sending, disconnected))
        if not sending.cancelled():
            sending.result()

    async def _send_messages(self, send: Send) -> None:
        loop = asyncio.get_running_loop()
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"retry: 1000\n\n", "more_body": True})
        last_sent = loop.time()
        async with contextlib.aclosing(self._messages):
            async for body in self._messages:
                if body or loop.time() - last_sent >= HEARTBEAT_SECONDS:
                    await send({"type": "http.response.body", "body": body or b": still here\n\n", "more_body": True})
                    last_sent = loop.time()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client of a request has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass
