"""Sends one request per connection: HTTP over TCP, TLS, or the Unix socket of a state directory."""

import contextlib
import http.client
import json
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from controller.client.problems import NoAnswerError, NotReachedError, ProblemError
from controller.client.socket_path import short_path

_PREFIX = "/api/v1"


class Endpoint:
    """The address of a controller: an http:// or https:// URL with a token, or the path of its Unix socket."""

    def __init__(self, address: str | Path, token: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.address = address
        self._token = token
        self._tls = tls
        self._parts = urlsplit("http://localhost" if isinstance(address, Path) else address)
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise ValueError(f"{address!r} is not an http:// or https:// URL")

    def request(
        self, method: str, path: str, body: Any, headers: Mapping[str, str | bytes], seconds: float
    ) -> "http.client.HTTPResponse":
        """Send a request and return the response; closing it closes the connection.

        Raises ProblemError for an error response, NotReachedError if the connection fails, and NoAnswerError if there
        is no complete response.
        """
        all_headers: dict[str, str | bytes] = {"Accept": "application/json", "Connection": "close", **headers}
        if self._token:
            all_headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else _encode(body)
        if data is not None:
            all_headers["Content-Type"] = "application/json"
        connection = self._connect(seconds)
        try:
            with no_answer_errors():
                # A server may reject a body before reading all of it; its response says why.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(method, f"{self._parts.path.rstrip('/')}{_PREFIX}{path}", data, all_headers)
                response = connection.getresponse()
                if response.status >= 300:
                    raise ProblemError(_problem(response.read()), response.status)
                return response
        except BaseException:
            connection.close()
            raise

    def _connect(self, seconds: float) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if isinstance(self.address, Path):
            connection: http.client.HTTPConnection = _UnixConnection(self.address, seconds)
        elif self._parts.scheme == "https":
            connection = http.client.HTTPSConnection(host, port, timeout=seconds, context=self._tls)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=seconds)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise NotReachedError(f"No controller is running at {self.address}: {error.strerror or error}.") from error
        return connection


@contextlib.contextmanager
def no_answer_errors() -> Iterator[None]:
    """Context manager that converts a missing or incomplete response to NoAnswerError."""
    try:
        yield
    except NoAnswerError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswerError(f"The controller did not respond: {str(error) or type(error).__name__}.") from error


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """Connect to the Unix socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # With a Python timeout the socket is non-blocking, and connect() fails at once if the backlog is full.
        timeout = struct.pack("ll", max(1, int(self.timeout or 0)), 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        with short_path(self._path) as address:
            self.sock.connect(address)
        self.sock.settimeout(self.timeout)


def _encode(body: Any) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ProblemError({"reason": "Usage", "detail": f"The request is not valid JSON: {error}."}, 422) from error


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        problem = json.loads(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
