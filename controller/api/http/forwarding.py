"""Passes requests that a standby can't answer on to the leading controller: over one hop, and as a stream.

The security middleware has checked the caller before. The forwarded request has a proof of its author instead of the
caller's credentials, which the leader accepts if both controllers have the same token. A webhook keeps its signature,
and the request of a node its ticket.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing, suppress
from urllib.parse import urlsplit

import h11
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controller.api.http.credentials import Credentials
from controller.api.http.forwarder import NODE, Forwarder, Need
from controller.api.http.problem_details import problem, problem_of
from controller.api.http.responses import author_of
from controller.api.http.security_middleware import FORWARDED, HOOKS, SAFE
from controller.api.http.sse import wait_for_disconnect
from controller.errors import ControllerError, NoLeaderError, StateError

_CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 60.0
"""How long the beginning of an answer may take. A leader that is stopped never answers, and keeps its connections."""
_CHUNK_BYTES = 64 << 10
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
)
_NOT_SENT = _HOP_BY_HOP | {"host", "content-length", "authorization", "cookie", "origin", "referer", FORWARDED}
_NOT_RETURNED = _HOP_BY_HOP | {"date", "server"}


class ForwardingMiddleware:
    """ASGI middleware of a standby, within the security middleware. It forwards only paths below `folder`."""

    def __init__(self, app: ASGIApp, forwarder: Forwarder, credentials: Credentials, folder: str = "/") -> None:
        self._app = app
        self._folder = folder
        self._forwarder = forwarder
        self._credentials = credentials
        self._tls: ssl.SSLContext | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or pass it on to the application."""
        path: str = scope["path"]
        if not path.startswith(self._folder):
            await self._app(scope, receive, send)
            return
        is_safe = scope["method"] in SAFE
        try:
            need = await run_in_threadpool(self._forwarder.need, path, is_safe=is_safe)
        except StateError as error:
            await problem_of(error)(scope, receive, send)
            return
        if need is Need.NONE:
            await self._app(scope, receive, send)
        else:
            await self._forward(scope, receive, send, instead=self._app if need is Need.BETTER else None)

    async def _forward(self, scope: Scope, receive: Receive, send: Send, instead: ASGIApp | None = None) -> None:
        """Forward a request. If no leader answers, call `instead`, or respond with the problem."""
        try:
            if FORWARDED in Headers(scope=scope):
                raise NoLeaderError("This controller is a standby, and the request was forwarded to it.")
            url = await run_in_threadpool(self._forwarder.find_url)
            body = b"" if instead is not None else await _read(receive)
            answer = _exchange(url, self._tls_for(url), _head(scope, self._own_headers(scope, url), body), body)
            async with aclosing(answer):
                first = await _begin(answer, url)
                self._forwarder.count += 1
                if _is_refused(scope, first):
                    await (instead or _different_tokens(url))(scope, receive, send)
                    return
                await _relay(first, answer, receive, send)
        except ControllerError as error:
            if instead is not None:
                await instead(scope, receive, send)
            else:
                await problem_of(error)(scope, receive, send)

    def _own_headers(self, scope: Scope, url: str) -> list[tuple[bytes, bytes]]:
        """Return the headers that replace those of the caller."""
        path: str = scope["path"]
        is_node = path.startswith(NODE)
        author = "webhook" if path.startswith(HOOKS) else "node" if is_node else author_of(Request(scope))
        proof = self._credentials.sign_author(author)
        ticket = [(name, value) for name, value in scope["headers"] if is_node and name == b"authorization"]
        return [(b"host", urlsplit(url).netloc.encode()), (FORWARDED.encode(), proof.encode()), *ticket]

    def _tls_for(self, url: str) -> ssl.SSLContext | None:
        if not url.startswith("https:"):
            return None
        if self._tls is None:
            self._tls = ssl.create_default_context()
            if self._forwarder.certificate is not None:
                with suppress(OSError):  # ssl.SSLError is one
                    self._tls.load_verify_locations(self._forwarder.certificate)
        return self._tls


async def _read(receive: Receive) -> bytes:
    """Return the body of a request, which the security middleware has limited."""
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _head(scope: Scope, own: Iterable[tuple[bytes, bytes]], body: bytes) -> h11.Request:
    kept = [
        (name, value)
        for name, value in scope["headers"]
        if (text := name.decode("latin-1").lower()) not in _NOT_SENT and not text.startswith("sec-")
    ]
    query = scope["query_string"]
    target = scope["raw_path"] + (b"?" + query if query else b"")
    length = [] if scope["method"] in SAFE else [(b"content-length", str(len(body)).encode())]
    headers = [*kept, *own, *length, (b"connection", b"close")]
    return h11.Request(method=scope["method"], target=target, headers=headers)


async def _begin(answer: AsyncGenerator[h11.Response | h11.Data], url: str) -> h11.Response | h11.Data:
    """Return the head of the response. Raises NoLeaderError if it takes too long."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await anext(answer)
    except TimeoutError as error:
        raise _unreachable(url, error) from error


async def _exchange(
    url: str, tls: ssl.SSLContext | None, head: h11.Request, body: bytes
) -> AsyncGenerator[h11.Response | h11.Data]:
    """Send a request to the leader, and yield the head and the parts of its response. Raises NoLeaderError."""
    parts = urlsplit(url)
    port = parts.port or (443 if tls else 80)
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
    except OSError as error:  # also TimeoutError and ssl.SSLError
        raise _unreachable(url, error) from error
    try:
        connection = h11.Connection(h11.CLIENT)
        data = h11.Data(data=body)
        writer.write(b"".join(connection.send(event) or b"" for event in (head, data, h11.EndOfMessage())))
        await writer.drain()
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(_CHUNK_BYTES))
            elif isinstance(event, h11.Response | h11.Data):
                yield event
    except (OSError, h11.ProtocolError) as error:
        raise _unreachable(url, error) from error
    finally:
        writer.close()


async def _relay(
    first: h11.Response | h11.Data, rest: AsyncGenerator[h11.Response | h11.Data], receive: Receive, send: Send
) -> None:
    """Send the response of the leader, until it ends or the client disconnects."""
    assert isinstance(first, h11.Response)
    sending = asyncio.ensure_future(_send_response(first, rest, send))
    disconnected = asyncio.ensure_future(wait_for_disconnect(receive))
    try:
        await asyncio.wait((sending, disconnected), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, disconnected):
            task.cancel()
        await asyncio.wait((sending, disconnected))
    if not sending.cancelled():
        with suppress(NoLeaderError):  # the connection to the client ends, too: the response is not complete
            sending.result()


async def _send_response(head: h11.Response, rest: AsyncGenerator[h11.Response | h11.Data], send: Send) -> None:
    headers = [(name, value) for name, value in head.headers if name.decode("latin-1") not in _NOT_RETURNED]
    await send({"type": "http.response.start", "status": head.status_code, "headers": headers})
    async for part in rest:
        assert isinstance(part, h11.Data)
        message: Message = {"type": "http.response.body", "body": bytes(part.data), "more_body": True}
        await send(message)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _is_refused(scope: Scope, head: h11.Response | h11.Data) -> bool:
    """Return whether the leader does not accept the proof of this controller, whatever the caller has sent."""
    if not isinstance(head, h11.Response) or head.status_code != 401:
        return False
    return not scope["path"].startswith((HOOKS, NODE)) or (b"www-authenticate", b"Bearer") in head.headers


def _different_tokens(url: str) -> ASGIApp:
    return problem(
        502,
        "DifferentTokens",
        f"The leader at {url} does not accept requests of this controller.",
        hint="Give all controllers the same file `token` in their state directories, and start them again.",
    )


def _unreachable(url: str, error: Exception) -> NoLeaderError:
    cause = getattr(error, "strerror", None) or str(error) or "no answer"
    return NoLeaderError(
        f"The leader at {url} can't be reached: {cause}.",
        hint="See --advertise. Another controller may take over soon.",
    )
