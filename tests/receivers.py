"""Receivers of messages on the loopback interface: a webhook and an SMTP server, which record what they get."""

import email
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller as SmtpController


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request to the webhook."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["X-Controller-Delivery"]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Webhook:
    """A webhook: its URL, and the requests that it got. It responds with `status`."""

    url: str = ""
    status: int = 204
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def messages(self) -> list[Any]:
        """The JSON of each request."""
        return [delivery.json() for delivery in self.deliveries]


class _Handler(BaseHTTPRequestHandler):
    webhook: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.webhook.deliveries.append(Delivery(dict(self.headers.items()), body))
        self.send_response(self.webhook.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Print nothing."""


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Serve a webhook on a free port."""
    receiver = Webhook()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"webhook": receiver}))
    receiver.url = f"http://127.0.0.1:{server.server_port}/alerts"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(slots=True)
class Mailbox:
    """An SMTP server: its port, and the mails that it accepted."""

    port: int
    mails: list[Message] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.mails.append(email.message_from_bytes(envelope.content))
        return "250 OK"

    @property
    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Serve SMTP on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    receiver = Mailbox(port)
    server = SmtpController(receiver, hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield receiver
    finally:
        server.stop()
