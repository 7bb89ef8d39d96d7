"""The routes of the node API: what runners send, as HTTP."""

import hashlib
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller.api.http.application import make_node_application
from controller.api.http.credentials import Credentials
from controller.api.http.routes import node
from controller.api.http.server import HttpServer
from controller.listen_settings import Listen
from controller.runs.executors.remote.handle import RemoteHandle
from controller.store import Store
from tests.conftest import wait_until
from tests.unit.api.conftest import Answer, Served
from tests.unit.runs.environments import deployment_of
from tests.unit.runs.remote_world import ONE, OTHER, RemoteWorld

POSTS = ("fetch", "start", "fail", "log?offset=0", "events?offset=0", "beat", "end")


@dataclass(slots=True)
class NodeApi:
    """The node API at an address of its own."""

    world: RemoteWorld
    server: HttpServer

    def ask(self, method: str, path: str, body: Any = None, **headers: str | None) -> Answer:
        """Send a request with these headers, and without those that are None."""
        content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)) as connection:
            with suppress(BrokenPipeError):  # the server has answered before it has read everything
                connection.request(method, path, content if method == "POST" else None, sent)
            response = connection.getresponse()
            return Answer(status=response.status, headers=dict(response.headers.items()), body=response.read())

    def post(self, handle: RemoteHandle, name: str, body: Any = None, instance: str | None = ONE) -> Answer:
        """Send a request of the runner of an attempt."""
        job_id = handle.tracked.job_id
        authorization = f"Bearer {self.world.tickets[job_id]}"
        path = f"/node/v1/attempts/{job_id}/{name}"
        return self.ask("POST", path, body, Authorization=authorization, X_Instance=instance)


@pytest.fixture
def api(tmp_path: Path, store: Store) -> Iterator[NodeApi]:
    world = RemoteWorld(store, tmp_path)
    credentials = Credentials(tmp_path, world.clock)

    def build(server: HttpServer) -> object:
        return make_node_application(world.desk, server.hosts, credentials, world.clock)

    server = HttpServer(tmp_path / "s", Listen(port=0, is_explicit=True), credentials, build)
    server.start()
    yield NodeApi(world, server)
    world.release()
    server.close()


def in_background(api: NodeApi, handle: RemoteHandle, name: str, body: Any) -> tuple[threading.Thread, list[Answer]]:
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(api.post(handle, name, body)))
    thread.start()
    return thread, answers


def test_an_attempt_from_its_order_to_its_end(api: NodeApi) -> None:
    world = api.world
    handle = world.launch(deployment_of(["true"]))
    order = api.post(handle, "fetch").json()
    headers = {"Authorization": f"Bearer {world.tickets[handle.tracked.job_id]}", "X_Instance": ONE}
    package = api.ask("GET", f"/node/v1/packages/{order['code']['digest']}", **headers)
    assert hashlib.sha256(package.body).hexdigest() == order["code"]["digest"]
    assert package.headers["content-type"] == "application/zip"
    thread, answers = in_background(api, handle, "start", {"node": "node\n1", "pid": 7})
    wait_until(lambda: handle.receive() and handle.attempt.instance)
    assert handle.attempt.node == "node\\n1"
    assert not answers
    world.allow(handle)
    thread.join()
    assert answers[0].json() == {"parameters": {"region": "eu"}, "secrets": {}, "upstream": None}
    assert api.post(handle, "log?offset=0", b"one\n").json() == {"offset": 4}
    assert api.post(handle, "log?offset=9", b"two\n").json() == {"offset": 4}
    assert api.post(handle, "events?offset=0", b"{}\n").json() == {"offset": 3}
    assert api.post(handle, "beat").json() == {"cancel": False, "next": 10}
    thread, answers = in_background(api, handle, "end", world.ending_of(handle))
    wait_until(lambda: handle.seat.ends)
    assert not answers
    world.finish(handle)
    thread.join()
    assert (answers[0].status, answers[0].json()) == (200, {})
    assert api.post(handle, "beat").status == 409


def test_the_order_of_a_failure(api: NodeApi) -> None:
    handle = api.world.launch()
    assert api.post(handle, "fail", {"reason": "no \u202espace"}).json() == {}
    assert not handle.receive()
    assert handle.launch_failure == "no \\u202espace"
    assert api.post(handle, "start").status == 409


@pytest.mark.parametrize("name", POSTS)
def test_a_request_needs_the_ticket_and_an_instance(api: NodeApi, name: str) -> None:
    handle = api.world.start()
    path = f"/node/v1/attempts/{handle.tracked.job_id}/{name}"
    ticket = api.world.tickets[handle.tracked.job_id]
    for authorization in (None, "Bearer", "Bearer wrong", f"Basic {ticket}", ticket):
        answer = api.ask("POST", path, Authorization=authorization, X_Instance=ONE)
        assert answer.status == 401, authorization
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == 'Bearer realm="node"'
    for instance in (None, "", "x" * 32, ONE + "0"):
        assert api.ask("POST", path, Authorization=f"Bearer {ticket}", X_Instance=instance).status == 422
    assert api.post(handle, name, instance=OTHER).status == 409
    assert api.ask("POST", path.replace("/c-", "/x-"), Authorization=f"Bearer {ticket}", X_Instance=ONE).status == 404


def test_the_token_of_the_api_is_no_ticket(api: NodeApi, tmp_path: Path) -> None:
    handle = api.world.start()
    token = (tmp_path / "token").read_text(encoding="ascii").strip()
    path = f"/node/v1/attempts/{handle.tracked.job_id}/beat"
    assert api.ask("POST", path, Authorization=f"Bearer {token}", X_Instance=ONE).status == 401


def test_the_address_of_nodes_serves_nothing_else(api: NodeApi, tmp_path: Path) -> None:
    token = (tmp_path / "token").read_text(encoding="ascii").strip()
    for path in ("/", "/login", "/api/v1/status", "/api/v1/openapi.json", "/metrics", "/healthz", "/hooks/git"):
        assert api.ask("GET", path, Authorization=f"Bearer {token}").status in (404, 405), path
        assert api.ask("GET", path).status in (401, 404, 405), path


def test_another_host_name_is_refused(api: NodeApi) -> None:
    handle = api.world.start()
    ticket = api.world.tickets[handle.tracked.job_id]
    path = f"/node/v1/attempts/{handle.tracked.job_id}/beat"
    assert api.ask("POST", path, Authorization=f"Bearer {ticket}", X_Instance=ONE, Host="evil.test").status == 421


@pytest.mark.parametrize(
    "name",
    ["log", "log?offset=", "log?offset=-1", "events?offset=x", f"log?offset={1 << 63}", f"log?offset={'9' * 5000}"],
)
def test_an_offset_must_be_a_number(api: NodeApi, name: str) -> None:
    assert api.post(api.world.start(), name, b"x").status == 422


@pytest.mark.parametrize("name", ["start", "fail", "end"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 100_000])
def test_a_body_must_be_an_object(api: NodeApi, name: str, body: bytes) -> None:
    assert api.post(api.world.start(), name, body).status == 422


def test_a_piece_of_output_is_at_most_a_mebibyte(api: NodeApi) -> None:
    handle = api.world.start()
    assert api.post(handle, "log?offset=0", b"x" * (1 << 20)).json() == {"offset": 1 << 20}
    assert api.post(handle, f"log?offset={1 << 20}", b"x" * ((1 << 20) + 1)).status == 413


def test_a_request_that_waits_too_long_is_repeated_later(api: NodeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "WAIT_SECONDS", 0.01)
    handle = api.world.launch()
    answer = api.post(handle, "start")
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert handle.receive()
    api.world.allow(handle)
    assert api.post(handle, "start").status == 200


def test_requests_that_wait_occupy_no_thread(api: NodeApi) -> None:
    handles = [api.world.launch() for _ in range(12)]
    waiting = [in_background(api, handle, "start", {}) for handle in handles]
    wait_until(lambda: all(handle.seat.starts for handle in handles))
    assert api.post(handles[0], "fetch").status == 200
    for handle in handles:
        assert handle.receive()
        api.world.allow(handle)
    for thread, answers in waiting:
        thread.join()
        assert answers[0].status == 200


@pytest.mark.parametrize("digest", ["0" * 64, "0", "..%2f..%2ftoken"])
def test_only_packages_are_given(api: NodeApi, digest: str) -> None:
    handle = api.world.launch()
    headers = {"Authorization": f"Bearer {api.world.tickets[handle.tracked.job_id]}", "X_Instance": ONE}
    assert api.ask("GET", f"/node/v1/packages/{digest}", **headers).status in (404, 422)
    assert api.ask("GET", f"/node/v1/packages/{'0' * 64}", Authorization=None, X_Instance=ONE).status == 401


def test_a_controller_without_a_cluster_has_no_node_api(served: Served) -> None:
    assert served.ask("POST", "/node/v1/attempts/x/beat", b"{}", {"X-Instance": ONE}, token="t").status == 401
    assert served.post("/node/v1/attempts/x/beat").status == 404
