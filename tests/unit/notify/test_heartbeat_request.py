"""The heartbeat of the controller is one GET request, and its failures never show the URL."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from controller.notify.heartbeat_request import HeartbeatRequest
from tests.conftest import ManualClock, wait_until

SECRET = "5f7c-secret"


@contextmanager
def monitor(*, status: int = 200, release: threading.Event | None = None) -> Iterator[tuple[str, list[str]]]:
    """Serve a monitor; yields its URL and the paths that were requested. It responds once `release` is set."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            if release is not None:
                release.wait(60)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/ping/{SECRET}", paths
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(request: HeartbeatRequest) -> None:
    request.send()
    assert request._thread is not None
    request._thread.join(60)


def test_the_url_is_requested() -> None:
    with monitor() as (url, paths):
        request = HeartbeatRequest(url, ManualClock())
        send(request)
        send(request)
    assert paths == [f"/ping/{SECRET}"] * 2


def test_a_request_in_progress_is_not_repeated() -> None:
    release = threading.Event()
    with monitor(release=release) as (url, paths):
        request = HeartbeatRequest(url, ManualClock())
        request.send()
        wait_until(lambda: paths)
        request.send()
        release.set()
        send(request)
    assert len(paths) <= 2


def test_failures_are_logged_less_and_less_often_and_without_the_url(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    unreachable = HeartbeatRequest(f"https://x.invalid/{SECRET}", ManualClock())
    with monitor(status=500) as (url, _):
        request = HeartbeatRequest(url, ManualClock())
        for _attempt in range(3):
            send(request)
            send(unreachable)
    with monitor(status=200) as (good, _):
        request._url = good
        send(request)
    errors = [record.__dict__["error"] for record in caplog.records if record.levelno == logging.WARNING]
    assert len(errors) == 4
    assert errors.count("the server responded with status 500") == 2
    assert caplog.records[-1].getMessage() == "The heartbeat is received again"
    assert SECRET not in str([record.__dict__ for record in caplog.records])
