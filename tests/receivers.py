"""Real receivers on the loopback interface: an HTTPS server for webhooks, a proxy that leads to it, an SMTP server."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller as SmtpController
from aiosmtpd.smtp import AuthResult, LoginPassword


@dataclass(slots=True, kw_only=True)
class Request:
    """A request that a receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True, kw_only=True)
class WebhookReceiver:
    """An HTTPS server that answers each POST with `status`, `headers` and `body`, and keeps the accepted requests.

    `ca`: the file with the authority that issued its certificate. `attempts` counts all requests. `asked`, if set, is
    called with each request.
    """

    url: str
    ca: Path
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    accepted: list[Request] = field(default_factory=list)
    attempts: int = 0
    release: threading.Event | None = None
    rejects: bytes | None = None
    body: bytes = b""
    asked: Callable[[Request], None] | None = None

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@contextmanager
def webhook_receiver(directory: Path, *hosts: str) -> Iterator[WebhookReceiver]:
    """Serve HTTPS on a free port of localhost, with a certificate of an authority of its own, also for these hosts."""
    authority = trustme.CA()
    ca = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", *hosts).configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    receiver = WebhookReceiver(url=f"https://localhost:{server.server_port}", ca=ca)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"receiver": receiver})
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        if receiver.release is not None:
            receiver.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    receiver: WebhookReceiver

    def do_POST(self) -> None:
        receiver = self.receiver
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        receiver.attempts += 1
        request = Request(path=self.path, headers=dict(self.headers), body=body)
        if receiver.asked is not None:
            receiver.asked(request)
        if receiver.release is not None:
            receiver.release.wait(60)
        status = 422 if receiver.rejects is not None and receiver.rejects in body else receiver.status
        if status < 300:
            receiver.accepted.append(request)
        self.send_response(status)
        for name, value in receiver.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(receiver.body)))
        self.end_headers()
        self.wfile.write(receiver.body)

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay silent."""


@contextmanager
def proxy_to(port: int) -> Iterator[tuple[str, list[str]]]:
    """Run an HTTP proxy that connects each client to this port, whatever host it names.

    Yields the URL of the proxy, and the hosts that clients have named.
    """
    named: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            named.append(self.path)
            self.send_response(200)
            self.end_headers()
            with socket.create_connection(("127.0.0.1", port)) as server:
                back = threading.Thread(target=_copy, args=(server, self.connection))
                back.start()
                _copy(self.connection, server)
                back.join()
            self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Stay silent."""

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_port}", named
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on what arrives until the connection ends."""
    with suppress(OSError):
        while chunk := source.recv(65536):
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@dataclass(slots=True, kw_only=True)
class SmtpServer:
    """An SMTP server that accepts one user and password, and keeps the messages."""

    port: int
    user: str
    password: str
    messages: list[EmailMessage] = field(default_factory=list)

    def url(self, *, to: str = "ops@example.com", password: str | None = None) -> str:
        """Return the URL of apprise with which this server accepts messages."""
        credentials = f"{self.user}:{self.password if password is None else password}"
        return f"mailto://{credentials}@localhost:{self.port}?from=controller@example.com&to={to}&mode=insecure"


@contextmanager
def smtp_server(user: str = "mailer", password: str = "pa55-of-the-mailer") -> Iterator[SmtpServer]:
    """Serve SMTP on a free port."""
    server = SmtpServer(port=free_port(), user=user, password=password)

    class Handler:
        async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:
            message = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            server.messages.append(message)
            return "250 OK"

    def authenticate(_: Any, __: Any, ___: Any, ____: str, data: Any) -> AuthResult:
        is_valid = (
            isinstance(data, LoginPassword) and data.login == user.encode() and data.password == password.encode()
        )
        return AuthResult(success=is_valid, handled=False)

    controller = SmtpController(
        Handler(), hostname="127.0.0.1", port=server.port, authenticator=authenticate, auth_require_tls=False
    )
    controller.start()
    try:
        yield server
    finally:
        controller.stop()


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
