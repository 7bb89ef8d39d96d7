"""Request framing: ambiguous requests are rejected and their connection is closed (RFC 9112, section 6)."""

import json
import socket
from contextlib import closing
from http.client import HTTPResponse

import pytest

from tests.unit.api.conftest import Served

SMUGGLED = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def exchange(served: Served, head: str, body: str, *, path: str = "/api/v1/reconcile") -> list[bytes]:
    """Return the lines of all data received until the server closes the connection."""
    first = f"Host: 127.0.0.1:{served.port}\r\nAuthorization: Bearer {served.token}\r\n"
    version, *headers = head.split("\n")
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=60)) as connection:
        lines = "".join(f"{line}\r\n" for line in headers)
        connection.sendall(f"POST {path} {version}\r\n{first}{lines}\r\n{body}".encode())
        with connection.makefile("rb") as answer:
            return answer.read().splitlines()


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1\nContent-Length: 7\nTransfer-Encoding: chunked",
        "HTTP/1.1\nTransfer-Encoding: chunked\nContent-Length: 7",
        "HTTP/1.1\nContent-Length: 7\nContent-Length: 7\nTransfer-Encoding: chunked",
        "HTTP/1.1\nContent-Length: 7\nContent-Length: 8",
        "HTTP/1.1\nContent-Length: 7, 8",
        "HTTP/1.1\nContent-Length: +7",
        "HTTP/1.1\nContent-Length: 0x7",
        "HTTP/1.1\nContent-Length: -7",
        "HTTP/1.1\nContent-Length : 7",
        "HTTP/1.1\nTransfer-Encoding : chunked",
        "HTTP/1.1\nTransfer-Encoding: chunked\n x",
        "HTTP/1.0\nTransfer-Encoding: chunked",
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/reconcile", "/healthz", "/login"])
def test_an_ambiguous_request_is_rejected(served: Served, head: str, path: str) -> None:
    answer = exchange(served, head, "2\r\n{}\r\n0\r\n\r\n" + SMUGGLED, path=path)
    assert answer[0].startswith(b"HTTP/1.1 400 ")
    assert [line for line in answer if line.startswith(b"HTTP/")] == answer[:1]
    assert b"connection: close" in [line.lower() for line in answer]


def test_an_unambiguous_request_is_accepted(served: Served) -> None:
    close = "\nConnection: close\nContent-Type: application/json"
    chunked = exchange(served, f"HTTP/1.1\nTransfer-Encoding: chunked{close}", "2\r\n{}\r\n0\r\n\r\n")
    plain = exchange(served, f"HTTP/1.1\nContent-Length: 2{close}", "{}")
    # The same length twice is one length (RFC 9110, section 8.6).
    twice = exchange(served, f"HTTP/1.1\nContent-Length: 2\nContent-Length: 2{close}", "{}")
    assert [answer[0] for answer in (chunked, plain, twice)] == [b"HTTP/1.1 200 OK"] * 3


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (b"nonsense\r\n\r\n", 400, "BadRequest"),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400, "BadRequest"),
        (b"GET /" + b"a" * 70_000, 431, "TooLarge"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nx-large: " + b"a" * 70_000 + b"\r\n\r\n", 431, "TooLarge"),
    ],
)
def test_invalid_http_gets_problem_details(served: Served, sent: bytes, status: int, reason: str) -> None:
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=60)) as connection:
        connection.sendall(sent)
        answer = HTTPResponse(connection)
        answer.begin()
        assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.headers["connection"] == "close"
        assert json.loads(answer.read())["reason"] == reason


def test_an_invalid_chunk_during_the_response_only_closes_the_connection(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    head = "HTTP/1.1\nTransfer-Encoding: chunked\nContent-Type: application/json"
    answer = exchange(served, head, "2\r\n{}\r\nnonsense\r\n", path="/healthz")
    assert answer == [] or answer[0].startswith(b"HTTP/1.1 400 ")
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_the_host_of_an_absolute_target_replaces_the_header(served: Served) -> None:
    close, here = "HTTP/1.1\nConnection: close\nContent-Type: application/json\nContent-Length: 2", served.url
    for url, status in (
        (f"{here}/api/v1/deployments/add/check", b"200"),
        ("http://evil.example/api/v1/deployments/add/check", b"421"),
        (here, b"405"),
        (f"{here}//evil.example/", b"404"),
    ):
        assert exchange(served, close, "{}", path=url)[0].split()[1] == status, url


@pytest.mark.parametrize(
    "head",
    [
        "x-large: " + "a" * 60_000,
        "\r\n".join(f"x-{number}: {'a' * 90}" for number in range(600)),
        "x-large: " + "a" * 33_000,
    ],
    ids=["one header", "many headers", "just above the limit"],
)
def test_a_head_that_is_too_large_is_rejected_even_in_one_packet(served: Served, head: str) -> None:
    first = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
    assert _status_of(served, f"{first}{head}\r\n\r\n") == b"431"
    assert (
        _status_of(served, f"GET /healthz?{'a' * 40_000} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n\r\n") == b"431"
    )


def test_a_head_within_the_limit_is_accepted(served: Served) -> None:
    first = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nConnection: close\r\n"
    assert _status_of(served, f"{first}x-large: {'a' * 30_000}\r\n\r\n") == b"200"


def _status_of(served: Served, request: str) -> bytes:
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=60)) as connection:
        connection.sendall(request.encode())
        with connection.makefile("rb") as answer:
            return answer.readline().split()[1]
