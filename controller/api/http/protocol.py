"""Limits of connections and requests, and the protocol class that enforces the timeouts.

uvicorn waits forever for the head of a request and for a client that stops reading (its issue 157), and rejects new
connections when there are too many. This protocol times out instead, and closes an idle connection for a new one.
"""

import asyncio
import socket
import struct
from http import HTTPStatus
from typing import Any

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from controller.api.http.problem_details import problem
from controller.api.http.sockets import MAX_WAITING, peer_of
from controller.runs.executors.local.supervisor.poll import ready
from controller.runs.file_descriptors import max_connections

MAX_BODY_BYTES = 1 << 20
MAX_HEAD_BYTES = 32 << 10
MAX_PAGE_BYTES = 1 << 20
MAX_CONNECTIONS = max_connections()
"""Limit of open connections: most file descriptors of this process are left for running flows."""
MAX_WORKERS = 8
"""Number of worker threads for requests; further requests wait. Because of the GIL, every additional thread would take
time from the engine's thread."""
MAX_ACCEPTED = min(32, max(1, MAX_CONNECTIONS // 4))
"""Connections accepted per event loop iteration. Fewer than MAX_CONNECTIONS, so that the request of a new connection is
read before later connections can evict it."""
MAX_STREAMS = 200
MAX_STREAMS_OF_ONE = 128
HEAD_SECONDS = 10.0
BODY_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 15
SEND_SECONDS = 20.0


class _Connection(h11.Connection):
    """Rejects a request head that is too large; h11 itself only limits one that is still incomplete."""

    is_head_too_large = False

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event. Raises RemoteProtocolError."""
        before = len(self._receive_buffer)
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            self.is_head_too_large = error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise
        is_head = isinstance(event, h11.Request | h11.EndOfMessage)
        self.is_head_too_large = is_head and before - len(self._receive_buffer) > MAX_HEAD_BYTES
        if self.is_head_too_large:
            raise h11.RemoteProtocolError("the head of the request is too large")
        return event


class TimeoutProtocol(H11Protocol):
    """HTTP/1.1 with timeouts for the head of a request and for clients that stop reading.

    If there are too many connections, the oldest one that has not sent a request is closed, else the oldest one whose
    request has been answered; the new connection is kept. Requests in progress of authenticated callers are never
    interrupted: `SecurityMiddleware` puts the caller into the scope of the request.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _send_timer: asyncio.TimerHandle | None = None
    _since = 0.0
    head_seconds = HEAD_SECONDS
    send_seconds = SEND_SECONDS
    conn: _Connection

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.conn = _Connection(h11.SERVER, MAX_HEAD_BYTES)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout for the first request; on the Unix socket, identify the peer."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family == socket.AF_UNIX:
            peer = peer_of(connection)
            if peer is None:
                transport.abort()
                return
            self.app = _with_peer(self.app, peer)
        self._wait_for_head()
        if len(self.connections) > MAX_CONNECTIONS:
            self._evict()

    def on_response_complete(self) -> None:
        """Start the timeout for the next request."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._wait_for_head()

    def pause_writing(self) -> None:
        """The client has stopped reading: start the timeout after which the connection is reset."""
        super().pause_writing()
        self._send_timer = self.loop.call_later(self.send_seconds, self._reset)

    def resume_writing(self) -> None:
        """The client reads again: stop the timeout."""
        super().resume_writing()
        _cancel(self._send_timer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all timeouts."""
        _cancel(self._head_timer)
        _cancel(self._send_timer)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer invalid HTTP with problem details, unless a response has already been started."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            status, reason = 400, "BadRequest"
            if self.conn.is_head_too_large:
                status, reason, msg = 431, "TooLarge", f"The request head is larger than {MAX_HEAD_BYTES >> 10} KiB."
            response = problem(status, reason, msg, headers={"connection": "close"})
            phrase = HTTPStatus(status).phrase.encode()
            head = h11.Response(status_code=status, headers=response.raw_headers, reason=phrase)
            for event in (head, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def _is_evictable(self) -> bool:
        """Whether no request that is authenticated, or not checked yet, waits for its response on this connection."""
        cycle: RequestResponseCycle | None = self.cycle
        is_free = cycle is None or cycle.response_complete or self.scope.get("caller", self) is None
        return (
            is_free
            and not self.transport.is_closing()
            and not ready([self.transport.get_extra_info("socket").fileno()], 0)
        )

    def _eviction_order(self) -> tuple[int, float]:
        """Return the sort key of eviction: connections without a request first, then answered ones, oldest first."""
        cycle: RequestResponseCycle | None = self.cycle
        return 0 if cycle is None or not cycle.response_complete else 1, self._since

    def _evict(self) -> None:
        others = [other for other in self.connections if isinstance(other, TimeoutProtocol) and other is not self]
        victim = min(
            (other for other in others if other._is_evictable), key=TimeoutProtocol._eviction_order, default=None
        )
        if victim is None:
            self.app = _too_many_connections
        else:
            self.connections.discard(victim)
            victim.transport.abort()

    def _wait_for_head(self) -> None:
        self._since = self.loop.time()
        _cancel(self._head_timer)
        self._head_timer = self.loop.call_later(self.head_seconds, self._time_out)

    def _reset(self) -> None:
        """Reset the connection. Without SO_LINGER the kernel would keep the unsent data for minutes."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _time_out(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.abort()


class QuietServer(Server):
    """A uvicorn server that sleeps until `end` is called; the original polls ten times a second."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._stop = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on these sockets, with a shorter timeout for the TLS handshake than the original's minute."""
        config, loop = self.config, asyncio.get_running_loop()
        await self.lifespan.startup()

        def protocol() -> asyncio.Protocol:
            return TimeoutProtocol(config, self.server_state, self.lifespan.state)

        handshake_timeout = None if config.ssl is None else HEAD_SECONDS
        self.servers = []
        for sock in sockets or []:
            if sock.family == socket.AF_UNIX:
                server = await loop.create_unix_server(protocol, sock=sock, backlog=MAX_ACCEPTED)
            else:
                server = await loop.create_server(
                    protocol, sock=sock, ssl=config.ssl, ssl_handshake_timeout=handshake_timeout, backlog=MAX_ACCEPTED
                )
            self.servers.append(server)
            sock.listen(MAX_WAITING)
        self.started = True

    async def main_loop(self) -> None:
        """Run until `end` is called."""
        await self.on_tick(0)
        await self._stop.wait()

    def end(self) -> None:
        """Stop serving. Called on the server's thread."""
        self.should_exit = True
        self._stop.set()


def _with_peer(app: ASGIApp, peer: str) -> ASGIApp:
    """Wrap the application so that the scope of each request names the user at the other end of the Unix socket."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        scope["peer"] = peer
        await app(scope, receive, send)

    return wrapped


async def _too_many_connections(scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"connection": "close", "retry-after": "5"}
    response = problem(503, "TooManyConnections", "Too many requests in progress.", headers=headers)
    await response(scope, receive, send)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
