"""Who comes in: the one door before every route, so that no route can be forgotten.

In this order: where the request ends (smuggling), the host (DNS rebinding), for changes where they come from (requests
across sites), who asks, and how large the body is and how long it takes. Every answer leaves with the same protective
headers. See docs/api.md.
"""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import format_datetime
from urllib.parse import quote, unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controller.api.http.credentials import Credentials
from controller.api.http.problem_details import problem
from controller.api.http.protocol import BODY_SECONDS, MAX_BODY_BYTES
from controller.clock import Clock

PUBLIC = frozenset({"/healthz", "/login"})
PUBLIC_FOLDER = "/static/"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_SMALLER = "Put large inputs into a file, and pass its path."
_FROM_BROWSERS = frozenset({"origin", "cookie", "referer", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"})
_SOCKET_HOSTS = frozenset({"localhost"})
_LONGEST_WANTED = 1000
_FREE_FAILURES = 20
_FAILURES_A_SECOND = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: the `author` that events name, and a `key` that tells callers apart."""

    author: str
    key: str
    is_session: bool = False


class SecurityMiddleware:
    """An ASGI application around another one. `hosts` are the values of `Host` that are ours, in lower case."""

    body_seconds = BODY_SECONDS

    def __init__(
        self, inside: ASGIApp, *, hosts: frozenset[str], credentials: Credentials, cookie: str, clock: Clock
    ) -> None:
        self._inside = inside
        self._hosts = hosts
        self._credentials = credentials
        self._cookie = cookie
        self._clock = clock
        self._failures = _Failures(clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] == "lifespan":
            await self._inside(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        _take_origin_form(scope)
        leave = self._with_headers(send)
        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers)
        if answer is None and "content-length" not in headers and "transfer-encoding" not in headers:
            await self._inside(scope, receive, leave)
            return
        if answer is None:
            body = await _read(receive, headers, self.body_seconds)
            if isinstance(body, bytes):
                await self._inside(scope, _replay(body, receive), leave)
                return
            answer = body
        answer.headers["connection"] = "close"
        await answer(scope, receive, leave)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        if _is_in_doubt(scope, headers):
            return problem(
                400, "BadRequest", "Content-Length and Transfer-Encoding do not say in one way where it ends."
            )
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts_of(scope):
            return problem(421, "UnknownHost", "This server does not go by that name.")
        if "peer" in scope:
            if not _FROM_BROWSERS.isdisjoint(headers.keys()):
                return problem(403, "CrossSite", "The socket is not for browsers.", hint="See `controller login`.")
        elif scope["method"] not in SAFE:
            refused = self._foreign(scope, headers)
            if refused is not None:
                return refused
        path: str = scope["path"]
        caller = self._caller(scope, headers)
        scope["caller"] = caller
        if caller is not None or path in PUBLIC or path.startswith(PUBLIC_FOLDER):
            return None
        return self._stranger(scope, headers)

    def _hosts_of(self, scope: Scope) -> frozenset[str]:
        """A Unix socket has no name; whoever forwards a port to it names that."""
        return _SOCKET_HOSTS if "peer" in scope else self._hosts

    def _foreign(self, scope: Scope, headers: Headers) -> Response | None:
        """A change that another site's page has asked a browser for."""
        site = headers.get("sec-fetch-site")
        origin = headers.get("origin")
        is_foreign = site is not None and site != "same-origin"
        if origin is not None:
            is_foreign = is_foreign or origin.lower().partition("://")[2] not in self._hosts
        elif site is None:
            caller = self._caller(scope, headers)
            is_by_session = caller is not None and caller.is_session
            # A program that sends nothing of a browser is no page of another site: it is asked for its token.
            is_browser = "cookie" in headers or scope["path"] in PUBLIC
            is_foreign = is_by_session or (is_browser and "authorization" not in headers)
        if is_foreign:
            return problem(403, "CrossSite", "Changes are not taken from other sites.")
        return None

    def _caller(self, scope: Scope, headers: Headers) -> Caller | None:
        if "peer" in scope:
            return Caller(author=scope["peer"], key="peer")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._credentials.is_token(token.strip()):
            return Caller(author="api", key="token")
        session = session_of(headers, self._cookie)
        if session is not None and self._credentials.is_session(session):
            return Caller(author="dashboard", key=session, is_session=True)
        return None

    def _stranger(self, scope: Scope, headers: Headers) -> Response:
        is_page = scope["method"] in SAFE and "text/html" in headers.get("accept", "")
        if is_page and not scope["path"].startswith("/api/"):
            return RedirectResponse(f"/login?next={quote(_wanted(scope), safe='')}", 303)
        if "authorization" in headers and not self._failures.may_fail():
            return problem(429, "TooManyFailures", "Too many wrong tokens.", headers={"retry-after": "5"})
        return problem(
            401,
            "Unauthorized",
            "A token is needed.",
            hint="Send `Authorization: Bearer TOKEN`; the token is in the file `token` of the state directory.",
            headers={"www-authenticate": "Bearer"},
        )

    def _with_headers(self, send: Send) -> Send:
        async def leave(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
                headers["date"] = format_datetime(self._clock.now(), usegmt=True)
            await send(message)

        return leave


def session_of(headers: Mapping[str, str], cookie: str) -> str | None:
    """The session that a browser sends."""
    return cookie_parser(headers.get("cookie", "")).get(cookie)


def _wanted(scope: Scope) -> str:
    """Where somebody wanted to go: a path and what was asked of it. The login looks whether it is a page of ours."""
    path: str = scope["path"]
    query: str = scope["query_string"].decode("latin-1")
    whole = f"{path}?{query}" if query else path
    return next((one for one in (whole, path) if len(one) <= _LONGEST_WANTED), "/")


class _Failures:
    """A bucket of failures for everybody together: bounded memory, whoever asks from wherever."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._left = float(_FREE_FAILURES)
        self._at = clock.monotonic()

    def may_fail(self) -> bool:
        with self._lock:
            now = self._clock.monotonic()
            self._left = min(_FREE_FAILURES, self._left + (now - self._at) * _FAILURES_A_SECOND)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


def _take_origin_form(scope: Scope) -> None:
    """A target may be a whole URL, whose host counts instead of the header's (RFC 9112, 3.2.2)."""
    scheme, mark, rest = scope["raw_path"].partition(b"://")
    if mark and scheme.lower() in (b"http", b"https"):
        authority, slash, path = rest.partition(b"/")
        raw_path = slash + path or b"/"
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        headers = [*others, (b"host", authority)]
        scope.update(path=unquote(raw_path.decode("ascii")), raw_path=raw_path, headers=headers)


def _is_in_doubt(scope: Scope, headers: Headers) -> bool:
    """Whether another server before this one may see another end of the request (RFC 9112, 6.1 and 6.3).

    Lengths that contradict each other do not come as far as here: the parser refuses them.
    """
    if "transfer-encoding" not in headers:
        return False
    return "content-length" in headers or scope["http_version"] != "1.1"


async def _read(receive: Receive, headers: Headers, seconds: float) -> bytes | Response:
    """The whole body, within its limits."""
    too_large = problem(413, "TooLarge", "A request body has at most 1 MiB.", hint=_SMALLER)
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
        return too_large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return problem(400, "Disconnected", "The body has not come to its end.")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > MAX_BODY_BYTES:
                    return too_large
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        return problem(408, "TooSlow", f"The body did not come within {seconds:.0f} seconds.")


def _replay(body: bytes, receive: Receive) -> Receive:
    is_given = False

    async def again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
