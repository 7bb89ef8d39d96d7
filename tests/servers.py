"""Git servers on the loopback interface for tests: git's own HTTP backend, and a fake `ssh` that needs no network."""

import base64
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_PATIENCE_SECONDS = 60

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""A self-signed certificate for these tests, with its key. Clients only trust it if it is configured as a CA."""


@dataclass(slots=True)
class Behaviour:
    """The behaviour of a server, which tests may change while it is running."""

    credentials: tuple[str, str] | None = None
    stall_at_refs: bool = False
    stall_in_pack: bool = False
    redirect_to: str | None = None
    status: int | None = None


@dataclass(slots=True)
class HttpServer:
    """`git http-backend` behind a small CGI server.

    `requests` lists method and path of all requests, `authorizations` their Authorization headers.
    """

    root: Path
    url: str
    behaviour: Behaviour
    requests: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)


class _Handler(BaseHTTPRequestHandler):
    state: HttpServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay silent."""

    def _answer(self) -> None:
        state, behaviour = self.state, self.state.behaviour
        body = self._body()
        state.requests.append(f"{self.command} {self.path}")
        authorization = self.headers.get("Authorization")
        if authorization is not None:
            state.authorizations.append(authorization)
        if behaviour.stall_at_refs:
            self._stall()
        elif behaviour.redirect_to is not None:
            self._send_empty(302, Location=behaviour.redirect_to + self.path)
        elif behaviour.status is not None:
            self._send_empty(behaviour.status)
        elif behaviour.credentials is not None and authorization != _basic(*behaviour.credentials):
            self._send_empty(401, **{"WWW-Authenticate": 'Basic realm="git"'})
        else:
            self._backend(body)

    def _backend(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environment = {
            "PATH": os.defpath,
            "GIT_PROJECT_ROOT": str(self.state.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        is_pack = self.command == "POST" and b"PACK" in content
        if self.state.behaviour.stall_in_pack and is_pack:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self._stall()
        else:
            self.wfile.write(content)

    def _stall(self) -> None:
        self.close_connection = True
        self.state.stalled.set()
        self.state.release.wait(_PATIENCE_SECONDS)

    def _send_empty(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors, such as connections that the client closed."""


@contextmanager
def http_server(root: Path, *, certificate: Path | None = None) -> Iterator[HttpServer]:
    """Serve the repositories below `root` over HTTP, or over HTTPS if a certificate is given."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if certificate is None else "https"
    state = HttpServer(root=root, url=f"{scheme}://127.0.0.1:{server.server_port}", behaviour=Behaviour())
    handler.state = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        state.release.set()
        server.shutdown()
        server.server_close()
        thread.join()


FAKE_SSH = """#!/bin/sh
# Does what ssh does for git, but locally: record the arguments, then execute the last one.
printf '%s\\n' "$@" > "{log}"
for command; do :; done
exec sh -c "$command"
"""


def install_ssh(directory: Path, log: Path) -> None:
    """Install a program `ssh` in `directory` that runs commands on this machine and logs its arguments."""
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / "ssh"
    program.write_text(FAKE_SSH.format(log=log), encoding="utf-8")
    program.chmod(0o755)


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
