"""The runner's connection to the node API of a controller: one request at a time, repeated by its callers.

Every request may be repeated, so a connection that the other side has closed is opened again at once. Proxies in the
environment are ignored.
"""

import http.client
import json
import time
import urllib.parse
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
REQUEST_SECONDS = 30.0
_CHUNK = 1 << 16
_TRANSIENT = (408, 425, 429)


class UnansweredError(Exception):
    """No controller has answered. `pause`: how long it asks to wait, in seconds."""

    def __init__(self, text: str, pause: float = 0.0) -> None:
        super().__init__(text)
        self.pause = pause


class RefusedError(Exception):
    """The controller has answered that it does not take the request. `status`: that of HTTP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Backoff:
    """The pauses between repeated requests: they double, and begin again after an answer."""

    def __init__(self) -> None:
        self._next = FIRST_PAUSE

    def reset(self) -> None:
        """Begin again."""
        self._next = FIRST_PAUSE

    def pause(self, error: UnansweredError) -> float:
        """Return the seconds to wait after this error: at least as long as the controller asks, within limits."""
        pause, self._next = self._next, min(2 * self._next, LONGEST_PAUSE)
        return max(pause, min(error.pause, LONGEST_PAUSE))


class Connection:
    """Sends the requests of one runner. `url`: the address of the node API, which may have a path."""

    def __init__(self, url: str, ticket: str, instance: str) -> None:
        self._url = urllib.parse.urlsplit(url)
        self._headers = {"Authorization": f"Bearer {ticket}", "X-Instance": instance}
        self._connection: http.client.HTTPConnection | None = None

    def post(self, path: str, body: "bytes | dict[str, Any]", *, seconds: float = REQUEST_SECONDS) -> dict[str, Any]:
        """Send bytes or JSON, and return the answer. Raises UnansweredError, RefusedError."""
        is_json = isinstance(body, dict)
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        kind = "application/json" if is_json else "application/octet-stream"
        response = self._request("POST", path, content, {"Content-Type": kind}, seconds)
        try:
            answer = json.loads(response.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.close()
            raise UnansweredError(_text(error)) from error
        if not isinstance(answer, dict):
            raise UnansweredError("the answer is not a JSON object")
        return answer

    def download(self, path: str, write: Callable[[bytes], object]) -> None:
        """Pass the content at a path to `write`, in pieces. Raises UnansweredError, RefusedError."""
        response = self._request("GET", path, b"", {}, REQUEST_SECONDS)
        while True:
            try:
                data = response.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                raise UnansweredError(_text(error)) from error
            if not data:
                return
            write(data)

    def close(self) -> None:
        """Close the connection; the next request opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _request(
        self, method: str, path: str, content: bytes, headers: dict[str, str], seconds: float
    ) -> http.client.HTTPResponse:
        """Return a response with a status of 200 to 299. Raises UnansweredError, RefusedError."""
        response = self._send(method, path, content, headers, seconds)
        if 200 <= response.status < 300:
            return response
        try:
            detail = response.read(_CHUNK)
        except (OSError, http.client.HTTPException):
            detail = b""
        self.close()
        text = f"{response.status} {_detail(detail) or response.reason}"
        if response.status in _TRANSIENT or not 400 <= response.status < 500:
            pause = response.headers.get("Retry-After", "")
            raise UnansweredError(text, float(pause) if pause.isdigit() else 0.0)
        raise RefusedError(response.status, text)

    def _send(
        self, method: str, path: str, content: bytes, headers: dict[str, str], seconds: float
    ) -> http.client.HTTPResponse:
        is_reused = self._connection is not None
        try:
            connection = self._connection = self._connection or self._connect()
            connection.timeout = seconds
            if connection.sock is not None:
                connection.sock.settimeout(seconds)
            connection.request(method, f"{self._url.path.rstrip('/')}{path}", content, {**self._headers, **headers})
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if is_reused and not isinstance(error, TimeoutError):
                return self._send(method, path, content, headers, seconds)
            raise UnansweredError(_text(error)) from error

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        return kind(self._url.hostname or "", self._url.port)


def repeat(request: Callable[[], T], within: float) -> T:
    """Return the answer to a request, repeated for at most `within` seconds. Raises UnansweredError, RefusedError."""
    deadline = time.monotonic() + within
    backoff = Backoff()
    while True:
        try:
            return request()
        except UnansweredError as error:
            pause = backoff.pause(error)
            if time.monotonic() + pause > deadline:
                raise
            time.sleep(pause)


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _detail(content: bytes) -> str:
    """Return the text of a problem document."""
    try:
        said = json.loads(content)
        return str(said.get("detail") or said.get("title") or "")
    except (ValueError, AttributeError):
        return ""
