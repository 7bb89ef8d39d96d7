"""The limit of open streams holds for simultaneous requests, and every stream is released when it ends."""

import socket
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from controller.api.http.protocol import MAX_STREAMS_OF_ONE
from tests.conftest import wait_until
from tests.unit.api.conftest import Served

EVENTS = "/api/v1/events/stream"


def connect(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=20)


def request(served: Served, path: str, *more: str, method: str = "GET") -> bytes:
    lines = (f"Host: 127.0.0.1:{served.port}", f"Authorization: Bearer {served.token}", *more)
    return "\r\n".join((f"{method} {path} HTTP/1.1", *lines, "", "")).encode()


def status(connection: socket.socket) -> int:
    with connection.makefile("rb") as answer:
        return int(answer.readline().split()[1])


def opened_at_once(served: Served, path: str, count: int) -> list[int]:
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(connect(served))) for _ in range(count)]
        asked = request(served, path)
        for connection in connections:
            connection.sendall(asked)
        return [status(connection) for connection in connections]


def take_all_places(served: Served, stack: ExitStack) -> None:
    """Open streams, each as soon as one is available, and keep them open until the stack is closed."""

    def is_open() -> bool:
        connection = stack.enter_context(closing(connect(served)))
        connection.sendall(request(served, EVENTS))
        return status(connection) == 200

    for _ in range(MAX_STREAMS_OF_ONE):
        wait_until(is_open)


@pytest.mark.parametrize("kind", ["events", "log"])
def test_simultaneous_requests_do_not_exceed_the_stream_limit(fresh: Served, kind: str, tmp_path: Path) -> None:
    parameters = {"path": str(tmp_path / "go")}
    made = fresh.post("/api/v1/deployments/wait/runs", {"parameters": parameters}).json()["run_id"]
    path = EVENTS if kind == "events" else f"/api/v1/runs/{made}/logs/stream"
    answers = opened_at_once(fresh, path, MAX_STREAMS_OF_ONE + 30)
    assert (answers.count(200), answers.count(429)) == (MAX_STREAMS_OF_ONE, 30)
    with ExitStack() as stack:
        take_all_places(fresh, stack)
        assert fresh.get(EVENTS).status == 429
    (tmp_path / "go").touch()


def test_500_unread_streams_do_not_block_other_requests(fresh: Served) -> None:
    with ExitStack() as stack:
        answers = []
        for _ in range(500):
            connection = stack.enter_context(closing(connect(fresh)))
            connection.sendall(request(fresh, EVENTS))
            answers.append(status(connection))
        assert (answers.count(200), answers.count(429)) == (MAX_STREAMS_OF_ONE, 500 - MAX_STREAMS_OF_ONE)
        assert fresh.get("/healthz").status == 200
        assert fresh.run("add")["state"] == "succeeded"
        assert fresh.get("/deployments", Accept="text/html").status == 200
    wait_until(lambda: opened_at_once(fresh, EVENTS, 1) == [200])


def test_finished_streams_are_released(fresh: Served) -> None:
    run = fresh.run("speak")["id"]
    for _ in range(MAX_STREAMS_OF_ONE + 1):
        assert fresh.get(f"/api/v1/runs/{run}/logs/stream").status == 200
    with ExitStack() as stack:
        take_all_places(fresh, stack)
        assert fresh.get(EVENTS).status == 429


def test_a_rejected_stream_gets_problem_details_with_retry_after(fresh: Served) -> None:
    with ExitStack() as stack:
        take_all_places(fresh, stack)
        answer = fresh.get(EVENTS)
    assert (answer.status, answer.json()["reason"]) == (429, "TooManyStreams")
    assert answer.headers["retry-after"] == "5"


def test_a_position_beyond_the_log_is_its_end(fresh: Served) -> None:
    run = fresh.run("speak")["id"]
    answer = fresh.get(f"/api/v1/runs/{run}/logs/stream", Last_Event_ID="9" * 30)
    assert answer.status == 200
    assert 'data: {"state": "succeeded"}' in answer.text
