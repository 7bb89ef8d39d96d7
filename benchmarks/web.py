"""Measures response times of the HTTP API and the dashboard with a long history, and the effect of many listeners."""

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
CHANGES = 20

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
    "runs of a commit without runs": "/api/v1/runs?revision=0123456",
    "runs of last month": "/api/v1/runs?until={last_month}",
    "one run": "/api/v1/runs/{run}",
    "events": "/api/v1/events",
    "events of a severity": "/api/v1/events?severity=warning",
    "status": "/api/v1/status",
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
    """The address and token of a running controller."""

    host: str
    port: int
    token: str

    @classmethod
    def following(cls, root: Path) -> "Server":
        """Return the controller that follows this repository."""
        command = [CONTROLLER, "login", "--repo", str(root), "-o", "json"]
        login = subprocess.run(command, capture_output=True, check=True)
        url = urlsplit(str(json.loads(login.stdout)["url"]))
        token = (default_state_directory(root) / "token").read_text().strip()
        return cls(url.hostname or "", url.port or 0, token)

    def connect(self) -> http.client.HTTPConnection:
        """Return a persistent connection."""
        return http.client.HTTPConnection(self.host, self.port, timeout=120)

    def get(self, connection: http.client.HTTPConnection, path: str) -> tuple[float, bytes]:
        """Request `path`. Return the time to the complete response in milliseconds, and its body."""
        start = time.perf_counter()
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}", "Accept": "text/html"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path} returned {response.status}")
        return (time.perf_counter() - start) * 1000, body


def measure_responses(server: Server) -> Iterator[tuple[str, float]]:
    """Yield labels and response times in milliseconds: of each path the first, the median and the 99th percentile."""
    connection = server.connect()
    yield "first response (imports the server)", server.get(connection, "/healthz")[0]
    run = json.loads(server.get(connection, "/api/v1/runs?limit=1")[1])["items"][0]["id"]
    last_month = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 30 * 86_400))
    for label, pattern in _PATHS.items():
        path = pattern.format(run=run, last_month=last_month)
        first = server.get(connection, path)[0]
        durations = sorted(server.get(connection, path)[0] for _ in range(ROUNDS))
        yield f"{label}: first", first
        yield f"{label}: median", durations[ROUNDS // 2]
        yield f"{label}: p99", durations[ROUNDS * 99 // 100]


def measure_listeners(server: Server) -> Iterator[tuple[str, float]]:
    """Yield labels and times in milliseconds, from a user's command until the last of many listeners has the event."""
    listeners = [_listen(server) for _ in range(LISTENERS)]
    connection = server.connect()
    delays = []
    for number in range(CHANGES):
        begin = time.perf_counter()
        command = "hold" if number % 2 == 0 else "resume"
        _change(server, connection, command)
        reason = b'"Held"' if command == "hold" else b'"Resumed"'
        for listener in listeners:
            _read_until(listener, reason)
        delays.append((time.perf_counter() - begin) * 1000)
    durations = sorted(server.get(connection, "/api/v1/runs")[0] for _ in range(ROUNDS))
    yield f"event to the last of {LISTENERS} listeners: median", sorted(delays)[CHANGES // 2]
    yield f"event to the last of {LISTENERS} listeners: worst", max(delays)
    yield f"runs, with {LISTENERS} listeners: p99", durations[ROUNDS * 99 // 100]
    for listener in listeners:
        listener.close()


def _listen(server: Server) -> socket.socket:
    listener = socket.create_connection((server.host, server.port), timeout=30)
    listener.sendall(
        f"GET /api/v1/events/stream HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n"
        f"Authorization: Bearer {server.token}\r\n\r\n".encode()
    )
    _read_until(listener, b"event: change")
    return listener


def _read_until(listener: socket.socket, marker: bytes) -> None:
    received = b""
    while marker not in received:
        chunk = listener.recv(65536)
        if not chunk:
            raise RuntimeError(f"an event stream ended: {received[-200:]!r}")
        received += chunk


def _change(server: Server, connection: http.client.HTTPConnection, command: str) -> None:
    body = json.dumps({"reason": "benchmark"}) if command == "hold" else None
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
    connection.request("POST", f"/api/v1/deployments/d00000/{command}", body, headers)
    response = connection.getresponse()
    response.read()
    if response.status != 200:
        raise RuntimeError(f"{command} returned {response.status}")
