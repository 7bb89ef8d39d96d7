"""The controller's Unix socket: one JSON object a line each way, for the commands that change something.

`serve` belongs to the controller, `ask` to the command line. The socket lies in the private state directory and the
peer's user is checked. A request names a declared deployment and parameters; it can't carry code, a command or a path.
"""

import contextlib
import json
import logging
import os
import pwd
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from controller.errors import ConflictError, ControllerError, NotFoundError, NotRunningError, StateError, UsageError

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES = 1 << 20
DEADLINE_SECONDS = 30.0

Handler = Callable[[Mapping[str, Any], str], Mapping[str, Any]]
"""Takes a request and the name of the user who sent it."""


class ControlServer:
    """Answers requests, each on a thread of its own, with `handler`'s answer or its error."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self._path = path
        self._handler = handler
        self._server: _Server | None = None

    def start(self) -> None:
        """Begin to answer. Raises StateError."""
        try:
            self._path.unlink(missing_ok=True)
            with _short(self._path) as address:
                self._server = _Server(address, self._handler)
        except OSError as error:
            raise StateError(f"The socket {self._path} can't be made: {error.strerror}.") from error
        threading.Thread(target=self._server.serve_forever, args=(0.2,), name="control", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._path.unlink(missing_ok=True)


def ask(path: Path, request: Mapping[str, Any], *, seconds: float = DEADLINE_SECONDS) -> dict[str, Any]:
    """Send a request to the controller behind this socket and return its answer. Raises ControllerError.

    It may take so many `seconds`.
    """
    line = json.dumps(request).encode() + b"\n"
    if len(line) > MAX_REQUEST_BYTES:
        raise UsageError("The request is larger than 1 MiB.", hint="Put large inputs into a file, and pass its path.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        try:
            with _short(path) as address:
                connection.connect(address)
        except OSError as error:
            raise NotRunningError(
                f"No controller is running for {path.parent}.", hint="Start one with `controller run`."
            ) from error
        try:
            connection.sendall(line)
            with connection.makefile("rb") as stream:
                answer = json.loads(stream.readline())
        except (OSError, ValueError) as error:
            raise ControllerError(
                "The controller did not answer.", hint="It may have just ended; ask again."
            ) from error
    if "error" in answer:
        said = answer["error"]
        kinds = {kind.reason: kind for kind in (NotFoundError, UsageError, ConflictError)}
        raise kinds.get(said["reason"], ControllerError)(said["message"], hint=said["hint"])
    return dict(answer)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: str, handler: Handler) -> None:
        self.answer = handler
        super().__init__(address, _Conversation)

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        return _user_of(request) in (os.getuid(), 0)


class _Conversation(socketserver.StreamRequestHandler):
    timeout = DEADLINE_SECONDS

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            line = self.rfile.readline(MAX_REQUEST_BYTES + 1)
            self.wfile.write(json.dumps(self._answer(line)).encode() + b"\n")

    def _answer(self, line: bytes) -> Mapping[str, Any]:
        assert isinstance(self.server, _Server)
        try:
            if len(line) > MAX_REQUEST_BYTES:
                raise UsageError("The request is larger than 1 MiB.")
            request = json.loads(line, parse_constant=_refuse)
            if not isinstance(request, dict):
                raise UsageError("The request is not a JSON object.")
            return self.server.answer(request, _name_of(_user_of(self.connection)))
        except ControllerError as error:
            return _error(error.reason, error.message, error.hint)
        except (ValueError, RecursionError):
            return _error(UsageError.reason, "The request is not JSON.", None)
        except Exception as error:
            log.exception("A request failed")
            return _error("Internal", f"internal error: {type(error).__name__}: {error}", None)


def _user_of(connection: socket.socket) -> int:
    """The number of the user at the other end."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _error(reason: str, message: str, hint: str | None) -> dict[str, Any]:
    return {"error": {"reason": reason, "message": message, "hint": hint}}


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """The socket's path by way of an open directory: the kernel takes no more than 107 bytes."""
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise NotRunningError(f"There is no state at {path.parent}.", hint="Start `controller run` first.") from error
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
