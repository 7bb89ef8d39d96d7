"""How long and how much a connection may take: one place for the numbers, and the protocol that holds the times.

uvicorn waits for ever for the head of a request and for a peer that does not read (its issue 157), and turns away who
comes when there are too many; we don't.
"""

import asyncio
import socket
import struct
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
"""Of the descriptors that this process may have most are left to its work."""
MAX_WORKERS = 8
"""How many requests are worked on at once; the others wait for that. Each more would take its turns from the engine's
thread, of which only one runs at a time in this interpreter."""
MAX_ACCEPTED = min(32, max(1, MAX_CONNECTIONS // 4))
"""How many are accepted at one look: fewer than there is room for, so that what one has sent is read before those
that come after it can end it."""
MAX_STREAMS = 200
MAX_STREAMS_OF_ONE = 128
HEAD_SECONDS = 10.0
BODY_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 15
SEND_SECONDS = 20.0


class _Connection(h11.Connection):
    """Refuses a head that is too large however it comes; h11 measures only one that is not complete yet."""

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """The next event. Raises RemoteProtocolError."""
        before = len(self._receive_buffer)
        event = super().next_event()
        is_head = isinstance(event, h11.Request | h11.EndOfMessage)
        if is_head and before - len(self._receive_buffer) > MAX_HEAD_BYTES:
            raise h11.RemoteProtocolError("the head of the request is too large", error_status_hint=431)
        return event


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with an end to its patience: for the head of a request, and for a peer that does not read.

    When there are too many connections one that says nothing is ended, else one that has its answer, the oldest first,
    and not the new one turned away. What is under way for a caller who is known is left alone: `gate` puts the caller
    into the scope of the request.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _send_timer: asyncio.TimerHandle | None = None
    _since = 0.0
    head_seconds = HEAD_SECONDS
    send_seconds = SEND_SECONDS

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.conn = _Connection(h11.SERVER, MAX_HEAD_BYTES)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, not for ever."""
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family == socket.AF_UNIX:
            peer = peer_of(connection)
            if peer is None:
                transport.abort()
                return
            self.app = _of_peer(self.app, peer)
        self._wait_for_head()
        if len(self.connections) > MAX_CONNECTIONS:
            self._make_room()

    def on_response_complete(self) -> None:
        """Wait for the next request, not for ever."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._wait_for_head()

    def pause_writing(self) -> None:
        """The peer does not read; if it goes on like that it is cut off, with what is still to be sent."""
        super().pause_writing()
        self._send_timer = self.loop.call_later(self.send_seconds, self._cut_off)

    def resume_writing(self) -> None:
        """The peer reads again."""
        super().resume_writing()
        _cancel(self._send_timer)

    def connection_lost(self, exc: Exception | None) -> None:
        """No more waiting."""
        _cancel(self._head_timer)
        _cancel(self._send_timer)
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is told so as every other fault; nothing is added to an answer that is under way."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = problem(400, "BadRequest", msg, headers={"connection": "close"})
            head = h11.Response(status_code=400, headers=answer.raw_headers, reason=b"Bad Request")
            for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def _may_go(self) -> bool:
        """Whether nobody who is known, or whom the gate has not looked at yet, waits for an answer on it."""
        cycle: RequestResponseCycle | None = self.cycle
        is_free = cycle is None or cycle.response_complete or self.scope.get("caller", self) is None
        return (
            is_free
            and not self.transport.is_closing()
            and not ready([self.transport.get_extra_info("socket").fileno()], 0)
        )

    def _turn(self) -> tuple[int, float]:
        """Whose turn it is to go, the lowest first: who says nothing, then who has been answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return 0 if cycle is None or not cycle.response_complete else 1, self._since

    def _make_room(self) -> None:
        others = [one for one in self.connections if isinstance(one, PatientProtocol) and one is not self]
        first = min((one for one in others if one._may_go), key=PatientProtocol._turn, default=None)
        if first is None:
            self.app = _full
        else:
            self.connections.discard(first)
            first.transport.abort()

    def _wait_for_head(self) -> None:
        self._since = self.loop.time()
        _cancel(self._head_timer)
        self._head_timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _cut_off(self) -> None:
        """At once, and without leaving what was not taken to the kernel, which would keep it for minutes."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _give_up(self) -> None:
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete:
            self.transport.abort()


class QuietServer(Server):
    """Sleeps until it is to end; the original looks ten times a second whether it is."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on these sockets. The original would wait a minute for the handshake of TLS."""
        config, loop = self.config, asyncio.get_running_loop()
        await self.lifespan.startup()

        def protocol() -> asyncio.Protocol:
            return PatientProtocol(config, self.server_state, self.lifespan.state)

        patience = None if config.ssl is None else HEAD_SECONDS
        self.servers = []
        for sock in sockets or []:
            if sock.family == socket.AF_UNIX:
                server = await loop.create_unix_server(protocol, sock=sock, backlog=MAX_ACCEPTED)
            else:
                server = await loop.create_server(
                    protocol, sock=sock, ssl=config.ssl, ssl_handshake_timeout=patience, backlog=MAX_ACCEPTED
                )
            self.servers.append(server)
            sock.listen(MAX_WAITING)
        self.started = True

    async def main_loop(self) -> None:
        """Until `end`."""
        await self.on_tick(0)
        await self._ending.wait()

    def end(self) -> None:
        """End soon. Called on the server's thread."""
        self.should_exit = True
        self._ending.set()


def _of_peer(app: ASGIApp, peer: str) -> ASGIApp:
    """The application, told who is at the other end of a Unix socket."""

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        scope["peer"] = peer
        await app(scope, receive, send)

    return told


async def _full(scope: Scope, receive: Receive, send: Send) -> None:
    headers = {"connection": "close", "retry-after": "5"}
    answer = problem(503, "TooManyConnections", "Too many requests are under way.", headers=headers)
    await answer(scope, receive, send)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
