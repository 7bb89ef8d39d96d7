"""Adds HEAD to every GET route: the same response without its body (RFC 9110, section 9.3.2).

`application` wraps the routes in it. Endless responses (streams) check `is_head` and send only their headers.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadMiddleware:
    """ASGI middleware that handles HEAD requests as GET and drops the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope.get("method") != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET", "is_head": True}, receive, without_body)


def is_head(scope: Scope) -> bool:
    """Return whether this is a HEAD request."""
    return bool(scope.get("is_head"))
