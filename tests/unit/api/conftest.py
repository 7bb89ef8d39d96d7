"""Fixtures: a controller that serves on a local port, and an HTTP client that sends exactly what a test specifies."""

import http.client
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from uvicorn.server import ServerState

from controller.app.controller import Controller
from controller.app.stop_signal import StopSignal
from controller.listen_settings import parse_listen
from controller.settings import Settings, locate
from tests.conftest import GitRepository, new_repository, wait_until

FLOWS = '''
"""Flows of the tests."""
import sys
from typing import Literal


def add(a: int, b: int = 2, mode: Literal["slow", "fast"] = "fast") -> int:
    print(f"adding {a} and {b}")
    return a + b


def speak(text: str, times: int = 1) -> None:
    for _ in range(times):
        sys.stdout.write(text)
    sys.stdout.flush()


def wait(path: str) -> None:
    import os, time
    print("waiting", flush=True)
    while not os.path.exists(path):
        time.sleep(0.02)
    print("done waiting", flush=True)
'''

DEPLOYMENTS = """
name: add
flow: flows/all.py:add
description: Adds two numbers.
tags: [sums, tests]
parameters: {a: 1}
---
name: speak
flow: flows/all.py:speak
parameters: {text: "hello\\n"}
---
name: wait
flow: flows/all.py:wait
---
name: far
command: [echo, far]
schedules: [{cron: "0 0 29 2 *", timezone: Europe/Berlin}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True, kw_only=True)
class Served:
    """A running controller, with methods that send it requests."""

    controller: Controller
    repository: GitRepository
    state: Path
    port: int
    token: str
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        token: str | None = "",
    ) -> Answer:
        """Send a request with these headers, and the token unless it is None. Bytes are sent as is, else JSON."""
        defaults = {"Authorization": f"Bearer {token or self.token}"} if token is not None else {}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None and not isinstance(body, bytes):
            defaults["Content-Type"] = "application/json"
        all_headers = {**defaults, **(headers or {})}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.putrequest(method, path, skip_host="Host" in all_headers, skip_accept_encoding=True)
            for name, value in all_headers.items():
                connection.putheader(name, value)
            if data is not None and "Content-Length" not in all_headers:
                connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            response = connection.getresponse()
            return Answer(status=response.status, headers=dict(response.headers.items()), body=response.read())

    def get(self, path: str, **headers: str) -> Answer:
        """Send a GET request with the token."""
        return self.ask("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a POST request with the token."""
        all_headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", path, {} if body is None else body, all_headers)

    @property
    def server_state(self) -> ServerState:
        """The connections and the requests in progress of the HTTP server."""
        http = self.controller._web._server
        assert http is not None
        assert http._server is not None
        return http._server.server_state

    def wait_until_idle(self) -> None:
        """Wait until no connection is open and no request in progress: an earlier test may just have closed some."""
        assert self.get("/healthz").status == 200  # all earlier connections have been accepted now
        wait_until(lambda: not self.server_state.connections and not self.server_state.tasks)

    def log_in(self) -> str:
        """Log in and return the session as the value of a `Cookie` header."""
        code = self.controller._web.login_link().partition("#")[2]
        form = f"code={code}".encode()
        kind = {"Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "same-origin"}
        answer = self.ask("POST", "/login", form, kind, token=None)
        assert answer.status == 303, answer
        return answer.headers["set-cookie"].partition(";")[0]

    def run(self, name: str, **parameters: Any) -> Any:
        """Run a deployment and return the finished run."""
        made = self.post(f"/api/v1/deployments/{name}/runs", {"parameters": parameters})
        assert made.status == 201, made
        return self.wait_for(made.json()["run_id"])

    def wait_for(self, run_id: str) -> Any:
        """Wait until a run is finished, and return it."""
        last: list[Any] = [None]

        def is_final() -> bool:
            last[0] = self.get(f"/api/v1/runs/{run_id}").json()
            return last[0]["finished_at"] is not None

        wait_until(is_final)
        return last[0]

    def commit(self, files: dict[str, str]) -> str:
        """Commit files, wait until they are applied, and return the commit."""
        commit = self.repository.commit(files)
        assert self.post("/api/v1/reconcile", {"wait": True}).status == 200
        return commit


def serve(repository: GitRepository, state: Path, *, url: str | None = None, **settings: Any) -> Served:
    """Start a controller for this repository, with these settings, and wait until it is ready.

    With `url`, it follows the repository at this URL.
    """
    location = locate(url or str(repository.path), "deployments", None, str(state))
    controller = Controller(Settings(location=location, listen=parse_listen("127.0.0.1:0"), **settings), StopSignal())
    controller.start()
    link = controller._web.login_link()
    token = (state / "token").read_text().strip()
    port = int(link.partition("#")[0].rpartition(":")[2].partition("/")[0])
    served = Served(controller=controller, repository=repository, state=state, port=port, token=token)
    wait_until(lambda: served.get("/readyz").status == 200)
    return served


@pytest.fixture(scope="session")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the flows and deployments. Tests copy it, which is faster than running git."""
    repository = new_repository(tmp_path_factory.mktemp("committed") / "repo")
    repository.commit({"flows/all.py": FLOWS, "deployments/all.yaml": DEPLOYMENTS})
    return repository.path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, committed: Path) -> Iterator[Served]:
    """A controller shared by the tests of a module. Those that commit deployments use names of their own."""
    top = tmp_path_factory.mktemp("served")
    instance = serve(GitRepository(shutil.copytree(committed, top / "repo")), top / "state")
    yield instance
    instance.controller.stop()


@pytest.fixture
def fresh(tmp_path: Path, committed: Path) -> Iterator[Served]:
    """A controller of its own for each test."""
    instance = serve(GitRepository(shutil.copytree(committed, tmp_path / "repo")), tmp_path / "state")
    yield instance
    instance.controller.stop()


def messages(served: Served, path: str, **headers: str) -> Any:
    """Yield the messages of a stream as (event, id, data)."""
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)) as connection:
        extra = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers={"Authorization": f"Bearer {served.token}", **extra})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        fields: dict[str, str] = {}
        for raw in answer:
            name, _, value = raw.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "data" in fields:
                yield fields.get("event"), fields.get("id"), json.loads(fields["data"])
                fields = {}
