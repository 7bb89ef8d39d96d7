"""What the HTTP API and the dashboard cost with many deployments and a long history; and what many listeners do."""

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.measure import CONTROLLER
from controller.settings import default_state_directory

ROUNDS = 200
LISTENERS = 100
NEWS = 20

_PATHS = {
    "deployments": "/api/v1/deployments",
    "deployments, searched": "/api/v1/deployments?search=team-77",
    "one deployment": "/api/v1/deployments/d00500",
    "its due times": "/api/v1/deployments/d00500/occurrences",
    "next fire times": "/api/v1/fire-times",
    "runs": "/api/v1/runs",
    "runs of a deployment": "/api/v1/runs?deployment=d00500",
    "runs of two states": "/api/v1/runs?state=failed&state=crashed",
    "runs of a rare tag": "/api/v1/runs?tag=team-77",
    "runs of a commit that has none": "/api/v1/runs?revision=0123456",
    "runs of last month": "/api/v1/runs?until={last_month}",
    "one run": "/api/v1/runs/{run}",
    "events": "/api/v1/events",
    "events of a severity": "/api/v1/events?severity=warning",
    "status, whole": "/api/v1/status",
    "page: overview": "/",
    "page: deployments": "/deployments",
    "page: one deployment": "/deployments/d00500",
    "page: runs": "/runs",
    "page: one run": "/runs/{run}",
    "page: source": "/source",
    "page: events": "/events",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A controller that serves: where, and its token."""

    host: str
    port: int
    token: str

    @classmethod
    def of(cls, root: Path) -> "Server":
        """The one that follows this repository."""
        said = subprocess.run([CONTROLLER, "login", "--repo", str(root), "-o", "json"], capture_output=True, check=True)
        url = urlsplit(str(json.loads(said.stdout)["url"]))
        token = (default_state_directory(root) / "token").read_text().strip()
        return cls(url.hostname or "", url.port or 0, token)

    def connect(self) -> http.client.HTTPConnection:
        """A connection that is kept."""
        return http.client.HTTPConnection(self.host, self.port, timeout=120)

    def ask(self, connection: http.client.HTTPConnection, path: str) -> tuple[float, bytes]:
        """The milliseconds to the whole answer, and the answer."""
        start = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}", "Accept": "text/html"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path} was answered with {answer.status}")
        return (time.perf_counter() - start) * 1000, body


def answers(server: Server) -> Iterator[tuple[str, float]]:
    """What was asked, and milliseconds: of the first time, the middle one and the 99th of a hundred."""
    connection = server.connect()
    yield "the first answer, the server loaded for it", server.ask(connection, "/healthz")[0]
    run = json.loads(server.ask(connection, "/api/v1/runs?limit=1")[1])["items"][0]["id"]
    last_month = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 30 * 86_400))
    for words, pattern in _PATHS.items():
        path = pattern.format(run=run, last_month=last_month)
        first = server.ask(connection, path)[0]
        taken = sorted(server.ask(connection, path)[0] for _ in range(ROUNDS))
        yield f"{words}: first", first
        yield f"{words}: median", taken[ROUNDS // 2]
        yield f"{words}: p99", taken[ROUNDS * 99 // 100]


def listened(server: Server) -> Iterator[tuple[str, float]]:
    """With many who listen to events: milliseconds from an operator's command to the last of them."""
    listeners = [_listen(server) for _ in range(LISTENERS)]
    connection = server.connect()
    taken = []
    for number in range(NEWS):
        begin = time.perf_counter()
        command = "hold" if number % 2 == 0 else "resume"
        _change(server, connection, command)
        word = b'"Held"' if command == "hold" else b'"Resumed"'
        for listener in listeners:
            _until(listener, word)
        taken.append((time.perf_counter() - begin) * 1000)
    answered = sorted(server.ask(connection, "/api/v1/runs")[0] for _ in range(ROUNDS))
    yield f"news to the last of {LISTENERS} listeners: median", sorted(taken)[NEWS // 2]
    yield f"news to the last of {LISTENERS} listeners: worst", max(taken)
    yield f"runs, with {LISTENERS} listeners: p99", answered[ROUNDS * 99 // 100]
    for listener in listeners:
        listener.close()


def _listen(server: Server) -> socket.socket:
    listener = socket.create_connection((server.host, server.port), timeout=30)
    listener.sendall(
        f"GET /api/v1/events/stream HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n"
        f"Authorization: Bearer {server.token}\r\n\r\n".encode()
    )
    _until(listener, b"event: change")
    return listener


def _until(listener: socket.socket, word: bytes) -> None:
    seen = b""
    while word not in seen:
        part = listener.recv(65536)
        if not part:
            raise RuntimeError(f"a stream ended: {seen[-200:]!r}")
        seen += part


def _change(server: Server, connection: http.client.HTTPConnection, command: str) -> None:
    body = json.dumps({"reason": "to have news"}) if command == "hold" else None
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    connection.request("POST", f"/api/v1/deployments/d00000/{command}", body, headers)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{command} was answered with {answer.status}")
