"""Security checks for all requests, in one middleware before every route, so that no route can miss them.

The checks run in this order: ambiguous length (request smuggling), `Host` (DNS rebinding), origin of changes
(cross-site requests), authentication, size and time limit of the body. All responses get the same security headers.
Requests to webhooks are authenticated by their signature instead, and requests of nodes by the ticket of their attempt.
Their routes check both: no browser adds them to the request of another site. A standby signs the requests that it
forwards to the leader. See docs/api.md.
"""

import asyncio
from collections.abc import Mapping
from email.utils import format_datetime
from urllib.parse import quote, unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controller.api.http.credentials import Credentials
from controller.api.http.forwarder import NODE
from controller.api.http.problem_details import problem
from controller.api.http.protocol import BODY_SECONDS, MAX_BODY_BYTES
from controller.clock import Clock
from controller.rate_limit import TokenBucket
from controller.records import dataclass

PUBLIC = frozenset({"/healthz", "/login"})
PUBLIC_FOLDER = "/static/"
HOOKS = "/hooks/"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
FORWARDED = "x-controller-forwarded"
"""The header of a request that a standby forwards, with the signed author of the request."""
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
_TOO_LARGE_HINT = "Write large inputs to a file and pass its path."
_BROWSER_HEADERS = frozenset({"origin", "cookie", "referer", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"})
_SOCKET_HOSTS = frozenset({"localhost"})
_MAX_TARGET = 1000
_MAX_FAILURES = 20
_FAILURES_PER_SECOND = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The authenticated caller: the `author` recorded in events, and a `key` for limits per caller."""

    author: str
    key: str
    is_session: bool = False


class SecurityMiddleware:
    """ASGI middleware. `hosts` are the accepted values of the `Host` header, in lower case.

    `has_nodes`: nodes send their requests to this address. Those that a standby forwards are accepted everywhere.
    """

    body_seconds = BODY_SECONDS

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: frozenset[str],
        credentials: Credentials,
        cookie: str,
        clock: Clock,
        has_nodes: bool = False,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._credentials = credentials
        self._cookie = cookie
        self._has_nodes = has_nodes
        self._clock = clock
        self._failures = TokenBucket(clock, _MAX_FAILURES, _FAILURES_PER_SECOND)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on to the application, or reject it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        _to_origin_form(scope)
        send_with_headers = self._with_headers(send)
        headers = Headers(scope=scope)
        response = self._rejection(scope, headers)
        if response is None and "content-length" not in headers and "transfer-encoding" not in headers:
            await self._app(scope, receive, send_with_headers)
            return
        if response is None:
            body = await _read(receive, headers, self.body_seconds)
            if isinstance(body, bytes):
                await self._app(scope, _replay(body, receive), send_with_headers)
                return
            response = body
        response.headers["connection"] = "close"
        await response(scope, receive, send_with_headers)

    def _rejection(self, scope: Scope, headers: Headers) -> Response | None:
        if _has_ambiguous_length(scope, headers):
            return problem(400, "BadRequest", "Conflicting Content-Length and Transfer-Encoding.")
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts_of(scope):
            return problem(421, "UnknownHost", "Unknown host name.", hint="See --public-host.")
        is_hook = scope["path"].startswith(HOOKS)
        if scope["path"].startswith(NODE) and self._is_for_nodes(headers):
            scope["caller"] = None
            return None
        if "peer" in scope:
            if not _BROWSER_HEADERS.isdisjoint(headers.keys()):
                return problem(
                    403,
                    "CrossSite",
                    "Browsers cannot use the Unix socket.",
                    hint="Run `controller login` to get a link.",
                )
        elif is_hook:
            scope["caller"] = None
            return None if scope["method"] == "POST" else _not_a_post()
        elif scope["method"] not in SAFE:
            rejection = self._cross_site_rejection(scope, headers)
            if rejection is not None:
                return rejection
        path: str = scope["path"]
        caller = self._caller(scope, headers)
        scope["caller"] = caller
        if caller is not None or path in PUBLIC or path.startswith(PUBLIC_FOLDER):
            return None
        return self._unauthenticated_response(scope, headers)

    def _is_for_nodes(self, headers: Headers) -> bool:
        """Return whether a request to the node API is authenticated by its ticket."""
        return self._has_nodes or self._credentials.forwarded_author(headers.get(FORWARDED, "")) is not None

    def _hosts_of(self, scope: Scope) -> frozenset[str]:
        """Only `localhost` on the Unix socket: another name would mean that the request was forwarded to it."""
        return _SOCKET_HOSTS if "peer" in scope else self._hosts

    def _cross_site_rejection(self, scope: Scope, headers: Headers) -> Response | None:
        """Reject a change that a browser sends on behalf of another site's page."""
        site = headers.get("sec-fetch-site")
        origin = headers.get("origin")
        is_cross_site = site is not None and site != "same-origin"
        if origin is not None:
            is_cross_site = is_cross_site or origin.lower().partition("://")[2] not in self._hosts
        elif site is None:
            caller = self._caller(scope, headers)
            is_by_session = caller is not None and caller.is_session
            # A client without any browser header cannot be the page of another site: it only needs the token.
            is_browser = "cookie" in headers or scope["path"] in PUBLIC
            is_cross_site = is_by_session or (is_browser and "authorization" not in headers)
        if is_cross_site:
            return problem(403, "CrossSite", "Cross-site requests are not allowed.")
        return None

    def _caller(self, scope: Scope, headers: Headers) -> Caller | None:
        if "peer" in scope:
            return Caller(author=scope["peer"], key="peer")
        author = self._credentials.forwarded_author(headers.get(FORWARDED, ""))
        if author is not None:
            return Caller(author=author, key=f"forwarded {author}")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._credentials.is_token(token.strip()):
            return Caller(author="api", key="token")
        session = session_of(headers, self._cookie)
        if session is not None and self._credentials.is_session(session):
            return Caller(author="dashboard", key=session, is_session=True)
        return None

    def _unauthenticated_response(self, scope: Scope, headers: Headers) -> Response:
        is_page = scope["method"] in SAFE and "text/html" in headers.get("accept", "")
        if is_page and not scope["path"].startswith("/api/"):
            return RedirectResponse(f"/login?next={quote(_login_target(scope), safe='')}", 303)
        if "authorization" in headers and self._failures.take():
            return problem(
                429, "TooManyFailures", "Too many requests with an invalid token.", headers={"retry-after": "5"}
            )
        return problem(
            401,
            "Unauthorized",
            "A valid token is required.",
            hint="Send `Authorization: Bearer TOKEN`; the token is in the file `token` in the state directory.",
            headers={"www-authenticate": "Bearer"},
        )

    def _with_headers(self, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
                headers["date"] = format_datetime(self._clock.now(), usegmt=True)
            await send(message)

        return send_with_headers


def _not_a_post() -> Response:
    return problem(405, "MethodNotAllowed", "Webhooks accept only POST.", headers={"allow": "POST"})


def session_of(headers: Mapping[str, str], cookie: str) -> str | None:
    """Return the session cookie of a request."""
    return cookie_parser(headers.get("cookie", "")).get(cookie)


def _login_target(scope: Scope) -> str:
    """Return the path and query to go to after the login. The login page checks that it is a page of the dashboard."""
    path: str = scope["path"]
    query: str = scope["query_string"].decode("latin-1")
    full = f"{path}?{query}" if query else path
    return next((target for target in (full, path) if len(target) <= _MAX_TARGET), "/")


def _to_origin_form(scope: Scope) -> None:
    """Convert an absolute-form target; its host replaces the `Host` header (RFC 9112, section 3.2.2)."""
    scheme, mark, rest = scope["raw_path"].partition(b"://")
    if mark and scheme.lower() in (b"http", b"https"):
        authority, slash, path = rest.partition(b"/")
        raw_path = slash + path or b"/"
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        headers = [*others, (b"host", authority)]
        scope.update(path=unquote(raw_path.decode("ascii")), raw_path=raw_path, headers=headers)


def _has_ambiguous_length(scope: Scope, headers: Headers) -> bool:
    """Return whether a proxy might see the request end elsewhere (RFC 9112, sections 6.1 and 6.3).

    Contradictory Content-Length headers do not get here: the HTTP parser rejects them.
    """
    if "transfer-encoding" not in headers:
        return False
    return "content-length" in headers or scope["http_version"] != "1.1"


async def _read(receive: Receive, headers: Headers, seconds: float) -> bytes | Response:
    """Read the whole body, or return the error response if it exceeds the limits."""
    too_large = problem(413, "TooLarge", "The request body is larger than 1 MiB.", hint=_TOO_LARGE_HINT)
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
                    return problem(400, "Disconnected", "The connection was closed before the end of the body.")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > MAX_BODY_BYTES:
                    return too_large
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        return problem(408, "TooSlow", f"The body did not arrive within {seconds:.0f} seconds.")


def _replay(body: bytes, receive: Receive) -> Receive:
    is_sent = False

    async def receive_again() -> Message:
        nonlocal is_sent
        if is_sent:
            return await receive()
        is_sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again
