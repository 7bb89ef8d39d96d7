"""One request over one connection: HTTP over TCP, TLS, or the Unix socket of a state directory."""

import contextlib
import http.client
import json
import os
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from controller.client.problems import NoAnswerError, NotReachedError, ProblemError

_PREFIX = "/api/v1"


class Endpoint:
    """Where a controller answers: an http:// or https:// URL with its token, or the path of its socket."""

    def __init__(self, where: str | Path, token: str = "", tls: ssl.SSLContext | None = None) -> None:
        self.where = where
        self._token = token
        self._tls = tls
        self._parts = urlsplit("http://localhost" if isinstance(where, Path) else where)
        if self._parts.scheme not in ("http", "https") or not self._parts.hostname:
            raise ValueError(f"{where!r} is not an http:// or https:// URL")

    def ask(
        self, method: str, path: str, body: Any, headers: Mapping[str, str | bytes], seconds: float
    ) -> "http.client.HTTPResponse":
        """Send a request and return its answer, whose end closes the connection.

        Raises ProblemError, NotReachedError, NoAnswerError.
        """
        sent: dict[str, str | bytes] = {"Accept": "application/json", "Connection": "close", **headers}
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else _encoded(body)
        if data is not None:
            sent["Content-Type"] = "application/json"
        connection = self._connect(seconds)
        try:
            with answering():
                # Who refuses a body does not read it to its end; the answer says why.
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.request(method, f"{self._parts.path.rstrip('/')}{_PREFIX}{path}", data, sent)
                answer = connection.getresponse()
                if answer.status >= 300:
                    raise ProblemError(_problem(answer.read()), answer.status)
                return answer
        except BaseException:
            connection.close()
            raise

    def _connect(self, seconds: float) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if isinstance(self.where, Path):
            connection: http.client.HTTPConnection = _UnixConnection(self.where, seconds)
        elif self._parts.scheme == "https":
            connection = http.client.HTTPSConnection(host, port, timeout=seconds, context=self._tls)
        else:
            connection = http.client.HTTPConnection(host, port, timeout=seconds)
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            raise NotReachedError(f"No controller answers at {self.where}: {error.strerror or error}.") from error
        return connection


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """Within, an answer that does not come, or that breaks off, is a NoAnswerError."""
    try:
        yield
    except NoAnswerError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswerError(f"The controller did not answer: {str(error) or type(error).__name__}.") from error


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """The path of a socket by way of its open directory: the kernel takes no more than 107 bytes."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        """To the socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # A socket with a timeout would be refused at once while many wait to be accepted.
        patience = struct.pack("ll", max(1, int(self.timeout or 0)), 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
        with short_path(self._path) as address:
            self.sock.connect(address)
        self.sock.settimeout(self.timeout)


def _encoded(body: Any) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ProblemError({"reason": "Usage", "detail": f"This is not JSON: {error}."}, 422) from error


def _problem(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
