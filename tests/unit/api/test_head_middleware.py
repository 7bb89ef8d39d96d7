"""HEAD returns the headers of GET without the body (RFC 9110, section 9.3.2)."""

import socket
from contextlib import closing

import pytest

from controller.api.dashboard.static_files import static_folder
from controller.api.http.protocol import MAX_STREAMS_OF_ONE
from tests.unit.api.conftest import Served
from tests.unit.api.test_security_middleware import CHANGES, READS, filled


def received(served: Served, path: str, *headers: str, method: str = "HEAD") -> tuple[list[str], bytes]:
    """Return the lines of the head, and all data after it until the server closes the connection."""
    lines = (f"Host: 127.0.0.1:{served.port}", "Connection: close", *headers)
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=60)) as connection:
        connection.sendall("\r\n".join((f"{method} {path} HTTP/1.1", *lines, "", "")).encode())
        with connection.makefile("rb") as answer:
            head, _, body = answer.read().partition(b"\r\n\r\n")
    return head.decode().splitlines(), body


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_every_get_route_supports_head_without_a_body(served: Served, path: str, accept: str) -> None:
    headers = (f"Authorization: Bearer {served.token}", f"Accept: {accept}")
    head, body = received(served, filled(path), *headers)
    expected, _ = received(served, filled(path), *headers, method="GET")
    kept = ("HTTP/", "content-type", "content-security-policy", "cache-control", "connection")
    assert [line for line in head if line.startswith(kept)] == [line for line in expected if line.startswith(kept)]
    assert (body, [line for line in head if line.startswith("content-length: ")] != []) == (b"", True)


def test_head_returns_the_length_and_type_of_the_body(served: Served) -> None:
    for path in ("/api/v1/deployments/add", f"{static_folder()}/dashboard.css"):
        whole = served.get(path)
        head = served.ask("HEAD", path)
        for name in ("content-length", "etag", "content-type"):
            assert head.headers[name] == whole.headers[name]
        assert served.ask("HEAD", path, headers={"If-None-Match": whole.headers["etag"]}).status == 304


def test_head_of_a_stream_does_not_count_as_a_stream(served: Served) -> None:
    for _ in range(MAX_STREAMS_OF_ONE + 1):
        head, body = received(served, "/api/v1/events/stream", f"Authorization: Bearer {served.token}")
        assert (head[0], body) == ("HTTP/1.1 200 OK", b"")
        assert "content-type: text/event-stream; charset=utf-8" in head


def test_head_needs_the_token(served: Served) -> None:
    head, body = received(served, "/api/v1/status")
    assert (head[0], body) == ("HTTP/1.1 401 Unauthorized", b"")
    head, body = received(served, "/runs", "Accept: text/html")
    assert (head[0], body) == ("HTTP/1.1 303 See Other", b"")


def test_routes_without_get_reject_head(served: Served) -> None:
    both = set(READS)
    for path in sorted({path for _, path in CHANGES} - both):
        answer = served.ask("HEAD", filled(path))
        assert (answer.status, answer.headers["allow"]) == (405, "POST"), path
    assert served.ask("POST", "/api/v1/status", b"{}").headers["allow"] == "GET, HEAD"
