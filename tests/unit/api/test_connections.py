"""With too many connections, the oldest idle or unauthenticated ones are closed, and all other requests are served."""

import http.client
import os
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest

from controller.api.http import protocol
from controller.api.http.credentials import Credentials
from controller.api.http.protocol import MAX_CONNECTIONS, TimeoutProtocol
from controller.api.http.security_middleware import SecurityMiddleware
from controller.api.http.server import HttpServer
from controller.client import Client
from controller.listen_settings import parse_listen
from tests.conftest import ManualClock, wait_until
from tests.unit.api.conftest import Served

MANY = MAX_CONNECTIONS + 50
HALF_A_HEAD = "GET /healthz HTTP/1.1\r\nHost: "
CERTIFICATE = Path(__file__).parents[2] / "localhost.pem"


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable the timeouts in this file."""
    monkeypatch.setattr(TimeoutProtocol, "head_seconds", 600.0)
    monkeypatch.setattr(SecurityMiddleware, "body_seconds", 600.0)


@pytest.fixture
def idle(served: Served) -> Served:
    """The controller, once nothing is left of earlier tests."""
    served.wait_until_idle()
    return served


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


def connect(stack: ExitStack, served: Served, sent: str = "") -> socket.socket:
    found = stack.enter_context(closing(socket.create_connection(("127.0.0.1", served.port), timeout=60)))
    found.sendall(sent.encode())
    return found


def half_a_body(served: Served, path: str, token: str | None = None) -> str:
    headers = f"Host: 127.0.0.1:{served.port}\r\nOrigin: {served.url}\r\nContent-Length: 14\r\nConnection: close\r\n"
    headers += "Content-Type: application/json\r\n" + (f"Authorization: Bearer {token}\r\n" if token else "")
    return f'POST {path} HTTP/1.1\r\n{headers}\r\n{{"wait": '


@pytest.mark.parametrize("kind", ["silent", "half a head", "half a body", "half a body that nobody reads"])
def test_idle_connections_do_not_block_other_clients(idle: Served, stack: ExitStack, kind: str) -> None:
    sent = {
        "silent": "",
        "half a head": HALF_A_HEAD,
        "half a body": half_a_body(idle, "/login"),
        "half a body that nobody reads": half_a_body(idle, "/healthz"),
    }
    for _ in range(2):
        for _ in range(MANY):
            connect(stack, idle, sent[kind])
        assert idle.ask("GET", "/healthz", token=None).text == "ok\n"
        assert idle.get("/api/v1/source").status == 200


def test_the_oldest_connection_is_closed_for_a_new_one(idle: Served, stack: ExitStack) -> None:
    opened = [connect(stack, idle) for _ in range(MAX_CONNECTIONS)]
    assert idle.ask("GET", "/healthz", token=None).status == 200
    assert opened[0].recv(1) == b""
    request = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{idle.port}\r\n\r\n"
    opened[-1].sendall(request.encode())
    assert opened[-1].recv(12) == b"HTTP/1.1 200"


def test_authenticated_requests_in_progress_are_not_interrupted(idle: Served, stack: ExitStack) -> None:
    head = f"Host: 127.0.0.1:{idle.port}\r\nAuthorization: Bearer {idle.token}\r\n\r\n"
    stream = connect(stack, idle, f"GET /api/v1/events/stream HTTP/1.1\r\n{head}").makefile("rb")
    assert b"200 OK" in stream.readline()
    slow = connect(stack, idle, half_a_body(idle, "/api/v1/reconcile", idle.token))
    for _ in range(2 * MANY):
        connect(stack, idle)
    idle.post("/api/v1/deployments/far/hold", {"reason": "one"})
    assert any(b'"Held"' in line for line in iter(stream.readline, b""))
    slow.sendall(b"true}")
    assert slow.recv(12) == b"HTTP/1.1 200"


def test_a_connection_gets_503_if_all_others_are_authenticated_and_busy(idle: Served, stack: ExitStack) -> None:
    busy = half_a_body(idle, "/api/v1/reconcile", idle.token).replace(
        "Content-Type", "Expect: 100-continue\r\nContent-Type"
    )
    opened = [connect(stack, idle, busy) for _ in range(MAX_CONNECTIONS)]
    assert {connection.recv(12) for connection in opened} == {b"HTTP/1.1 100"}
    answer = idle.ask("GET", "/healthz", token=None)
    assert (answer.status, answer.headers["connection"]) == (503, "close")
    for connection in opened[:10]:
        connection.close()
    wait_until(lambda: idle.ask("GET", "/healthz", token=None).status == 200)


def test_a_missing_tls_handshake_times_out(tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    listen = parse_listen("127.0.0.1:0", certificate=str(CERTIFICATE), key=str(CERTIFICATE))
    assert listen is not None

    async def empty(scope: dict[str, str], receive: object, send: object) -> None:
        raise AssertionError((scope, receive, send))

    found = HttpServer(tmp_path / "control.sock", listen, Credentials(tmp_path, clock), lambda _: empty)
    found.start()
    with closing(socket.create_connection(("127.0.0.1", found.port), timeout=60)) as silent:
        assert silent.recv(1) == b""
    found.close()


def test_responses_are_sent_with_tcp_nodelay(idle: Served) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", idle.port, timeout=60)) as connection:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        mine = connection.sock.getsockname()
        assert [is_at_once for peer, is_at_once in connections_of_this_process() if peer == mine] == [True]


def connections_of_this_process() -> Iterator[tuple[object, bool]]:
    """Yield the peer of each socket of this process, and whether TCP_NODELAY is set."""
    for name in [path.name for path in Path("/proc/self/fd").iterdir()]:
        with suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                with socket.socket(fileno=os.dup(int(name))) as copy:
                    yield copy.getpeername(), bool(copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


def test_every_authenticated_request_gets_a_response_however_many_there_are(idle: Served, stack: ExitStack) -> None:
    head = f"Host: 127.0.0.1:{idle.port}\r\nAuthorization: Bearer {idle.token}\r\n\r\n"
    opened = [connect(stack, idle, f"GET /api/v1/source HTTP/1.1\r\n{head}") for _ in range(400)]
    answers = {connection.recv(12) for connection in opened}
    assert answers <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}


def test_requests_on_the_unix_socket_are_not_interrupted(idle: Served, stack: ExitStack) -> None:
    pool = stack.enter_context(ThreadPoolExecutor(1))
    with idle.controller._store.write():
        idle.repository.commit({"deployments/new.yaml": "name: brand-new\ncommand: [echo]\n"})
        asked = pool.submit(Client.of_state(idle.state).reconcile, wait=True)
        wait_until(lambda: len(idle.controller._loop._requests) == 1)
        for _ in range(2 * MANY):
            connect(stack, idle)
        assert idle.get("/api/v1/source").status == 200
        assert not asked.done()
    assert asked.result(60) is True
