"""Authentication, cross-site protection, and limits of size and time, checked for every route."""

import re
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from controller.api.http.application import API, PAGES, make_routes
from controller.api.http.protocol import MAX_STREAMS_OF_ONE, TimeoutProtocol
from controller.api.http.security_middleware import CSP, SecurityMiddleware
from controller.store.commit_counter import CommitCounter
from tests.conftest import wait_until
from tests.unit.api.conftest import Served

PUBLIC = {("GET", "/healthz"), ("GET", "/login"), ("POST", "/login"), ("GET", "/static/{digest}/{name}")}
PUBLIC |= {("POST", path) for path in ("/hooks/git", "/hooks/{name}")}
RUN = "01a20a24-34e0-7000-97e2-82f65b2a00a9"


def routes() -> Iterator[tuple[str, str]]:
    for route in [
        *make_routes(None, None).routes,
        *(route for router in (*API, *PAGES) for route in router.routes),
    ]:
        for method in getattr(route, "methods", None) or ():
            if method != "HEAD":
                yield method, getattr(route, "path", "")


ROUTES = sorted(set(routes()))
PROTECTED = [route for route in ROUTES if route not in PUBLIC]
CHANGES = [route for route in ROUTES if route[0] != "GET" and not route[1].startswith("/hooks/")]
READS = [path for method, path in ROUTES if method == "GET" and not path.endswith("/stream")]


def filled(path: str) -> str:
    return path.replace("{name}", "add").replace("{run_id}", RUN).replace("{digest}", "0")


def body_of(method: str) -> bytes | None:
    return None if method == "GET" else b"{}"


def test_the_routes_are_found() -> None:
    assert set(ROUTES) >= PUBLIC
    assert {("GET", "/api/v1/status"), ("POST", "/api/v1/deployments/{name}/runs"), ("GET", "/")} <= set(PROTECTED)
    assert len(PROTECTED) > 25


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_no_route_works_without_the_token(served: Served, method: str, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {served.token}"}):
        answer = served.ask(method, filled(path), body_of(method), {**headers, "Origin": served.url}, token=None)
        assert answer.status in (401, 429), headers
        assert answer.headers["content-type"] == "application/problem+json"
    in_query = served.ask(
        method, f"{filled(path)}?token={served.token}", body_of(method), {"Origin": served.url}, token=None
    )
    assert in_query.status == 401


@pytest.mark.parametrize("path", [path for path in READS if not path.startswith("/api") and ("GET", path) in PROTECTED])
def test_a_browser_without_a_session_is_redirected_to_the_login(served: Served, path: str) -> None:
    answer = served.ask("GET", filled(path), headers={"Accept": "text/html"}, token=None)
    assert answer.status == 303
    assert answer.headers["location"].startswith("/login?next=")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_rejects_other_hosts(served: Served, method: str, path: str) -> None:
    for host in ("evil.test", f"evil.test:{served.port}", "127.0.0.1", f"127.0.0.1:{served.port + 1}", ""):
        assert served.ask(method, filled(path), body_of(method), {"Host": host}).status in (400, 421), host


def test_the_names_of_the_server_are_accepted(served: Served) -> None:
    for host in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
        assert served.get("/healthz", Host=f"{host}:{served.port}").status == 200, host


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.test"},
        {},
    ],
    ids=str,
)
def test_no_other_site_can_change_anything(served: Served, method: str, path: str, headers: dict[str, str]) -> None:
    plain = {"Content-Type": "text/plain", "Cookie": served.log_in(), **headers}
    assert served.ask(method, filled(path), b"{}", plain, token=None).status == 403


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_a_program_without_a_token_gets_401(served: Served, method: str, path: str) -> None:
    if path == "/login":
        return
    answer = served.ask(method, filled(path), b"{}", {"Content-Type": "application/json"}, token=None)
    assert (answer.status, answer.json()["reason"]) == (401, "Unauthorized")


def test_a_session_works_from_its_own_pages(served: Served) -> None:
    cookie = served.log_in()
    headers = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin", "Origin": served.url}
    answer = served.ask("POST", "/api/v1/deployments/add/check", {"parameters": {}}, headers, token=None)
    assert (answer.status, answer.json()) == (200, {"errors": []})


def test_invalid_cookies_of_other_applications_do_not_break_the_session(served: Served) -> None:
    cookie = f'a{{b}}="x y; {served.log_in()}; odd,name=[1]; ='
    assert served.ask("GET", "/api/v1/status", headers={"Cookie": cookie}, token=None).status == 200


def test_there_is_no_cors(served: Served) -> None:
    answer = served.ask("OPTIONS", "/api/v1/status", headers={"Origin": "http://evil.test"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    answer = served.get("/api/v1/status", Origin="http://evil.test")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("path", READS)
def test_get_requests_change_nothing(served: Served, path: str) -> None:
    changes = CommitCounter(served.controller.state.database)

    def is_unchanged() -> bool:
        before = changes.stamp()
        served.get(filled(path), Accept="text/html")
        served.get(filled(path))
        return changes.stamp() == before

    # Earlier tests may still cause writes now and then; a GET that writes would do so every time.
    wait_until(is_unchanged)
    changes.close()


@pytest.mark.parametrize("path", READS)
def test_every_response_has_the_security_headers(served: Served, path: str) -> None:
    for token in ("", None):
        answer = served.ask("GET", filled(path), headers={"Accept": "text/html"}, token=token)
        assert answer.headers["content-security-policy"] == CSP
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "server" not in {name.lower() for name in answer.headers}


@pytest.mark.parametrize(
    "path",
    [
        "/static/../templating.py",
        "/static/0/../templating.py",
        "/static/0/..%2ftemplating.py",
        "/static/0/%2e%2e/templating.py",
        "/static/0/dashboard.css%00",
        "/static/0//etc/passwd",
        "/static/0/%2fetc%2fpasswd",
        "/api/v1/runs/../../etc/passwd/logs",
        "/api/v1/runs/..%2f..%2fetc%2fpasswd/logs",
        "/api/v1/runs/%00/logs",
        f"/api/v1/runs/{RUN}/logs",
        f"/api/v1/runs/{RUN}/logs/raw",
        f"/api/v1/runs/{RUN}/logs/stream",
        "/api/v1/deployments/..%2f..%2ftoken",
        "/api/v1/deployments/add%00",
        "/api/v1/deployments/add/document/../../../token",
        "/runs/..%2f..%2ftoken",
    ],
)
def test_path_traversal_is_rejected(served: Served, path: str) -> None:
    answer = served.get(path)
    assert answer.status in (404, 422), answer
    assert served.token not in answer.text


@pytest.mark.parametrize("length", [(1 << 20) + 1, 1 << 40])
def test_a_body_announced_as_too_large_is_not_read(served: Served, length: int) -> None:
    answer = served.ask("POST", "/api/v1/reconcile", b"", {"Content-Length": str(length)})
    assert answer.status == 413
    assert answer.headers["connection"] == "close"


def test_a_chunked_body_that_becomes_too_large_is_rejected(served: Served) -> None:
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = (
        f"POST /api/v1/reconcile HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nAuthorization: Bearer {served.token}\r\n"
    )
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=60)) as connection:
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + piece * 17)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"parameters": ' * 20_000, b"{", b"\xff\xfe", b'"text"', b"[]", b"null", b'{"parameters": [1]}'],
    ids=lambda body: repr(body[:20]),
)
def test_an_invalid_body_is_rejected(served: Served, body: bytes) -> None:
    answer = served.ask("POST", "/api/v1/deployments/add/runs", body, {"Content-Type": "application/json"})
    assert answer.status in (400, 422)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "-Infinity"])
def test_non_json_numbers_are_rejected(served: Served, value: str) -> None:
    body = f'{{"parameters": {{"a": 1, "b": {value}}}}}'.encode()
    answer = served.ask("POST", "/api/v1/deployments/add/runs", body, {"Content-Type": "application/json"})
    assert answer.status == 422


def test_no_request_can_contain_code_a_command_a_path_or_an_environment(served: Served) -> None:
    for key in ("command", "flow", "path", "env", "environment", "spec", "revision"):
        answer = served.post("/api/v1/deployments/add/runs", {"parameters": {"a": 1}, key: "x"})
        assert answer.status == 422, key
    schemas = served.get("/api/v1/openapi.json").json()["components"]["schemas"]
    asked = {
        name: set(schemas[name]["properties"])
        for name in (
            *("Call", "HoldRequest", "ReconcileRequest", "Approval", "Cancellation", "BackfillRequest"),
            *("TriggerRequest", "RetryRequest", "BulkCancellation", "BulkRetry"),
        )
    }
    filters = {"deployment", "state", "tag", "trigger", "revision", "since", "until", "backfill", "dry_run", "cursor"}
    assert asked == {
        "Call": {"parameters"},
        "HoldRequest": {"reason", "until"},
        "ReconcileRequest": {"wait"},
        "Approval": {"digest"},
        "Cancellation": {"reason"},
        "BackfillRequest": {"since", "until", "redo", "code", "parameters", "parallel", "max", "dry_run"},
        "TriggerRequest": {"parameters", "due_time"},
        "RetryRequest": {"latest"},
        "BulkCancellation": {"run_ids", *filters, "reason"},
        "BulkRetry": {"run_ids", *filters, "latest"},
    }


def test_a_connection_without_a_request_times_out(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimeoutProtocol, "head_seconds", 0.2)
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=60)) as silent:
        assert silent.recv(100) == b""
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=60)) as half:
        half.sendall(b"GET /healthz HTTP/1.1\r\nHost: a")
        assert half.recv(100) == b""


def test_a_missing_body_times_out(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SecurityMiddleware, "body_seconds", 0.2)
    head = (
        f"POST /api/v1/reconcile HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nAuthorization: Bearer {served.token}\r\n"
    )
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=60)) as slow:
        slow.sendall(head.encode() + b"Content-Length: 100\r\n\r\n{")
        assert slow.recv(1000).startswith(b"HTTP/1.1 408")


def open_stream(served: Served, path: str = "/api/v1/events/stream") -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", served.port))
    host = f"127.0.0.1:{served.port}"
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {served.token}\r\n\r\n".encode())
    return connection


def test_streams_are_limited_per_caller_and_released(served: Served) -> None:
    served.wait_until_idle()
    opened = [open_stream(served) for _ in range(MAX_STREAMS_OF_ONE)]
    assert all(b" 200 OK" in connection.recv(64) for connection in opened)
    with closing(open_stream(served)) as one_more:
        assert b" 429 " in one_more.recv(64)
    for connection in opened:
        connection.close()

    def is_free() -> bool:
        with closing(open_stream(served)) as again:
            return b" 200 OK" in again.recv(64)

    wait_until(is_free)


def test_a_client_that_stops_reading_a_stream_is_disconnected(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TimeoutProtocol, "send_seconds", 0.2)
    run = served.run("speak", text="x" * 1000 + "\n", times=20_000)
    connection = open_stream(served, f"/api/v1/runs/{run['id']}/logs/stream")

    def is_cut_off() -> bool:
        # The TCP state of the connection: anything but ESTABLISHED (1) once the server has closed it.
        return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 1

    wait_until(is_cut_off)
    connection.close()
    assert served.get("/healthz").status == 200


def test_a_controller_with_open_streams_stops_at_once(fresh: Served) -> None:
    with closing(open_stream(fresh)) as connection:
        assert b" 200 OK" in connection.recv(64)
        fresh.controller._web.close()
        received = b"".join(iter(lambda: connection.recv(4096), b""))
    assert b"still here" not in received


def test_wrong_tokens_are_rate_limited_but_the_right_one_works(fresh: Served) -> None:
    statuses = [fresh.ask("GET", "/api/v1/status", token="x" * 43).status for _ in range(60)]
    assert set(statuses) == {401, 429}
    assert fresh.get("/api/v1/status").status == 200


def test_pages_contain_no_inline_or_external_scripts_and_styles(served: Served) -> None:
    for path in ("/", "/deployments", "/deployments/add", "/runs", "/source", "/events", "/login"):
        text = served.get(path, Accept="text/html").text
        assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", text), path
        assert not re.findall(r"(?:src|href|action)=\"(?:https?:)?//", text), path


def test_an_invalid_authorization_header_does_not_bypass_the_cross_site_check(served: Served) -> None:
    session = {"Cookie": served.log_in()}
    for odd in ("x", "Bearer", "Bearer wrong"):
        answer = served.ask("POST", "/api/v1/reconcile", {}, {**session, "Authorization": odd}, token=None)
        assert (answer.status, answer.json()["reason"]) == (403, "CrossSite")
