"""HEAD for every route that answers GET: the same answer, of which only the head is sent (RFC 9110, 9.3.2).

`application` puts it before the routes. What would go on for ever, a stream, asks `is_head` and does not begin.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadMiddleware:
    """An ASGI application around another one."""

    def __init__(self, inside: ASGIApp) -> None:
        self._inside = inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask for the whole, and send its head."""
        if scope.get("method") != "HEAD":
            await self._inside(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._inside({**scope, "method": "GET", "is_head": True}, receive, without_body)


def is_head(scope: Scope) -> bool:
    """Whether only the head of the answer was asked for."""
    return bool(scope.get("is_head"))
