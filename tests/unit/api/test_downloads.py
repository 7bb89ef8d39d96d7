"""A download contains the whole log, however long, with little of it in memory at a time."""

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
    """Create a run with attempts whose logs have these sizes in MiB, and return its id."""
    run: str = served.run("speak", text="first\n")["id"]
    [first] = log_files(served.state / "runs", run)
    for number, size in enumerate(sizes, start=2):
        log = first.parent.parent / f"{number}-0000" / "log"
        log.parent.mkdir()
        log.write_bytes(bytes([48 + number]) * (size * MIB - 4) + b"end\n")
    return run


def read_all(answer: HTTPResponse) -> tuple[int, bytes]:
    """Read a response in pieces; return its length and its last bytes."""
    size, end = 0, b""
    while part := answer.read(MIB):
        size, end = size + len(part), part[-4:]
    return size, end


def test_a_long_log_is_sent_completely_with_little_memory(served: Served) -> None:
    run = with_attempts(served, *SIZES)
    path, headers = f"/api/v1/runs/{run}/logs/raw", {"Authorization": f"Bearer {served.token}"}
    whole = sum(SIZES) * MIB + len("first\n")
    with ExitStack() as stack:
        served.get(path)  # the memory of lazy imports is not counted
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        answers = []
        for _ in range(4):
            connection = stack.enter_context(closing(HTTPConnection("127.0.0.1", served.port, timeout=60)))
            connection.request("GET", path, headers=headers)
            answers.append(connection.getresponse())
        for answer in answers:
            size, end = read_all(answer)
            assert (answer.status, size, end) == (200, whole, b"end\n")
        held = tracemalloc.get_traced_memory()[1]
    assert held < 12 * MIB


def test_a_download_contains_the_end_of_every_attempt(served: Served) -> None:
    run = with_attempts(served, 17, 1)
    body = served.get(f"/api/v1/runs/{run}/logs/raw").body
    assert body == b"first\n" + b"2" * (17 * MIB - 4) + b"end\n" + b"3" * (MIB - 4) + b"end\n"


def test_a_download_supports_etags_and_head(served: Served) -> None:
    run = with_attempts(served, 1)
    path = f"/api/v1/runs/{run}/logs/raw"
    first = served.get(path)
    head = served.ask("HEAD", path)
    assert {**head.headers, "date": ""} == {**first.headers, "date": ""}
    assert (head.body, head.headers["content-length"]) == (b"", str(MIB + len("first\n")))
    assert served.get(path, If_None_Match=first.headers["etag"]).status == 304
    with (log_files(served.state / "runs", run)[-1]).open("ab") as log:
        log.write(b"more\n")
    assert served.get(path, If_None_Match=first.headers["etag"]).body.endswith(b"end\nmore\n")


def test_a_download_stops_when_the_client_disconnects(served: Served) -> None:
    run = with_attempts(served, *SIZES)
    request = f"GET /api/v1/runs/{run}/logs/raw HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
    with closing(socket.create_connection(("127.0.0.1", served.port), timeout=60)) as connection:
        connection.sendall(f"{request}Authorization: Bearer {served.token}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    wait_until(lambda: not served.server_state.tasks)
