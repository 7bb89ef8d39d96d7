"""The limit of open streams holds for simultaneous requests, and every stream is released when it ends."""

import socket
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from controller.api.http.protocol import MAX_STREAMS_OF_ONE
from tests.conftest import wait_until
from tests.unit.api.conftest import Served

EVENTS = "/api/v1/events/stream"
MANY = 2 * MAX_STREAMS_OF_ONE


@pytest.fixture
def idle(served: Served) -> Served:
    """The controller, once nothing is left of earlier tests."""
    served.wait_until_idle()
    return served


def connect(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=60)


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
def test_simultaneous_requests_do_not_exceed_the_stream_limit(idle: Served, kind: str, tmp_path: Path) -> None:
    parameters = {"path": str(tmp_path / "go")}
    made = idle.post("/api/v1/deployments/wait/runs", {"parameters": parameters}).json()["run_id"]
    path = EVENTS if kind == "events" else f"/api/v1/runs/{made}/logs/stream"
    answers = opened_at_once(idle, path, MAX_STREAMS_OF_ONE + 30)
    assert (answers.count(200), answers.count(429)) == (MAX_STREAMS_OF_ONE, 30)
    with ExitStack() as stack:
        take_all_places(idle, stack)
        assert idle.get(EVENTS).status == 429
    (tmp_path / "go").touch()


def test_many_unread_streams_do_not_block_other_requests(idle: Served) -> None:
    with ExitStack() as stack:
        answers = []
        for _ in range(MANY):
            connection = stack.enter_context(closing(connect(idle)))
            connection.sendall(request(idle, EVENTS))
            answers.append(status(connection))
        assert (answers.count(200), answers.count(429)) == (MAX_STREAMS_OF_ONE, MANY - MAX_STREAMS_OF_ONE)
        assert idle.get("/healthz").status == 200
        assert idle.run("add")["state"] == "succeeded"
        assert idle.get("/deployments", Accept="text/html").status == 200
    wait_until(lambda: opened_at_once(idle, EVENTS, 1) == [200])


def test_finished_streams_are_released(idle: Served) -> None:
    run = idle.run("speak")["id"]
    for _ in range(MAX_STREAMS_OF_ONE + 1):
        assert idle.get(f"/api/v1/runs/{run}/logs/stream").status == 200
    with ExitStack() as stack:
        take_all_places(idle, stack)
        assert idle.get(EVENTS).status == 429


def test_a_rejected_stream_gets_problem_details_with_retry_after(idle: Served) -> None:
    with ExitStack() as stack:
        take_all_places(idle, stack)
        answer = idle.get(EVENTS)
    assert (answer.status, answer.json()["reason"]) == (429, "TooManyStreams")
    assert answer.headers["retry-after"] == "5"


def test_a_position_beyond_the_log_is_its_end(idle: Served) -> None:
    run = idle.run("speak")["id"]
    answer = idle.get(f"/api/v1/runs/{run}/logs/stream", Last_Event_ID="9" * 30)
    assert answer.status == 200
    assert 'data: {"state": "succeeded"}' in answer.text
