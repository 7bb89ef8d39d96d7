"""The whole log as a download: all of it, however long, and little of it in memory at once."""

import socket
import tracemalloc
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPResponse

from controller.runs.log_files import log_files
from tests.conftest import wait_until
from tests.unit.api.conftest import Served

MIB = 1 << 20
SIZES = (17, 20, 18)


def with_attempts(served: Served, *sizes: int) -> str:
    """A run whose attempts have printed so many MiB."""
    run: str = served.run("speak", text="first\n")["id"]
    [first] = log_files(served.state / "runs", run)
    for number, size in enumerate(sizes, start=2):
        log = first.parent.parent / f"{number}-0000" / "log"
        log.parent.mkdir()
        log.write_bytes(bytes([48 + number]) * (size * MIB - 4) + b"end\n")
    return run


def taken(answer: HTTPResponse) -> tuple[int, bytes]:
    """How long it is, and how it ends."""
    size, end = 0, b""
    while part := answer.read(MIB):
        size, end = size + len(part), part[-4:]
    return size, end


def test_all_of_a_long_log_is_sent_and_little_of_it_is_held(fresh: Served) -> None:
    run = with_attempts(fresh, *SIZES)
    path, headers = f"/api/v1/runs/{run}/logs/raw", {"Authorization": f"Bearer {fresh.token}"}
    whole = sum(SIZES) * MIB + len("first\n")
    with ExitStack() as stack:
        fresh.get(path)  # what is imported at the first time is not counted
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        answers = []
        for _ in range(4):
            connection = stack.enter_context(closing(HTTPConnection("127.0.0.1", fresh.port, timeout=60)))
            connection.request("GET", path, headers=headers)
            answers.append(connection.getresponse())
        for answer in answers:
            size, end = taken(answer)
            assert (answer.status, size, end) == (200, whole, b"end\n")
        held = tracemalloc.get_traced_memory()[1]
    assert held < 12 * MIB


def test_the_end_of_every_attempt_is_in_a_download(fresh: Served) -> None:
    run = with_attempts(fresh, 17, 1)
    body = fresh.get(f"/api/v1/runs/{run}/logs/raw").body
    assert body == b"first\n" + b"2" * (17 * MIB - 4) + b"end\n" + b"3" * (MIB - 4) + b"end\n"


def test_a_download_is_known_again_and_has_a_head(fresh: Served) -> None:
    run = with_attempts(fresh, 1)
    path = f"/api/v1/runs/{run}/logs/raw"
    first = fresh.get(path)
    head = fresh.ask("HEAD", path)
    assert {**head.headers, "date": ""} == {**first.headers, "date": ""}
    assert (head.body, head.headers["content-length"]) == (b"", str(MIB + len("first\n")))
    assert fresh.get(path, If_None_Match=first.headers["etag"]).status == 304
    with (log_files(fresh.state / "runs", run)[-1]).open("ab") as log:
        log.write(b"more\n")
    assert fresh.get(path, If_None_Match=first.headers["etag"]).body.endswith(b"end\nmore\n")


def test_a_download_whose_reader_leaves_is_read_no_further(fresh: Served) -> None:
    run = with_attempts(fresh, *SIZES)
    request = f"GET /api/v1/runs/{run}/logs/raw HTTP/1.1\r\nHost: 127.0.0.1:{fresh.port}\r\n"
    with closing(socket.create_connection(("127.0.0.1", fresh.port), timeout=20)) as connection:
        connection.sendall(f"{request}Authorization: Bearer {fresh.token}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    http = fresh.controller._web._server
    server = None if http is None else http._server
    assert server is not None
    wait_until(lambda: not server.server_state.tasks)
