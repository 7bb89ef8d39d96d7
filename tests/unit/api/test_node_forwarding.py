"""A standby forwards the requests of runners to the leader, with their tickets."""

import hashlib
import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from controller.api.http.application import make_node_application
from controller.api.http.credentials import Credentials
from controller.api.http.forwarder import Forwarder, Need
from controller.api.http.problem_details import problem_of
from controller.api.http.routes import node
from controller.api.http.security_middleware import SecurityMiddleware
from controller.api.http.server import HttpServer
from controller.clock import SystemClock
from controller.errors import ControllerError, NoLeaderError
from controller.listen_settings import Listen
from controller.runs.executors.remote.handle import RemoteHandle
from controller.store import Store
from tests.unit.api.conftest import Answer
from tests.unit.runs.environments import deployment_of
from tests.unit.runs.remote_world import ONE, RemoteWorld

Build = Callable[[frozenset[str], Credentials], object]
TOKEN, OTHER_TOKEN = "t" * 43, "u" * 43


def _answer(_: Request, error: Exception) -> Response:
    assert isinstance(error, ControllerError)
    return problem_of(error)


class Cluster:
    """A leader, and a standby that forwards to it. `is_for_nodes`: the leader serves nodes at the forwarded address."""

    def __init__(self, world: RemoteWorld, directory: Path, *, is_for_nodes: bool, token: str) -> None:
        self.world = world
        self.found: Callable[[], str] = lambda: f"http://127.0.0.1:{self.leader.port}"
        self.forwarder = Forwarder(find_url=lambda: self.found(), has_files=lambda _: True, has_source=True)
        self.leader = self._serve(directory / "leader", TOKEN, self._build_leader(is_for_nodes))
        self.standby = self._serve(
            directory / "standby",
            token,
            lambda hosts, credentials: make_node_application(self.forwarder, hosts, credentials, SystemClock()),
        )

    def _build_leader(self, is_for_nodes: bool) -> Build:
        def build(hosts: frozenset[str], credentials: Credentials) -> object:
            if is_for_nodes:
                return make_node_application(self.world.desk, hosts, credentials, SystemClock())
            app = FastAPI()
            node.add_routes(app, self.world.desk)
            app.add_exception_handler(ControllerError, _answer)
            return SecurityMiddleware(app, hosts=hosts, credentials=credentials, cookie="", clock=SystemClock())

        return build

    def _serve(self, state: Path, token: str, build: Build) -> HttpServer:
        state.mkdir()
        (state / "token").write_text(token)
        credentials = Credentials(state, SystemClock())
        server = HttpServer(
            state / "s", Listen(port=0, is_explicit=True), credentials, lambda one: build(one.hosts, credentials)
        )
        server.start()
        return server

    def close(self) -> None:
        self.world.release()
        self.standby.close()
        self.leader.close()

    def ask(
        self, method: str, path: str, body: Any = None, *, ticket: str | None = None, to: HttpServer | None = None
    ) -> Answer:
        """Send a request of a runner, to the standby unless another server is named."""
        content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        headers = {"X-Instance": ONE} | ({"Authorization": f"Bearer {ticket}"} if ticket else {})
        port = (to or self.standby).port
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request(method, path, content if method == "POST" else None, headers)
            response = connection.getresponse()
            return Answer(status=response.status, headers=dict(response.headers.items()), body=response.read())

    def post(self, handle: RemoteHandle, name: str, body: Any = None, *, to: HttpServer | None = None) -> Answer:
        job_id = handle.tracked.job_id
        return self.ask("POST", f"/node/v1/attempts/{job_id}/{name}", body, ticket=self.world.tickets[job_id], to=to)


@pytest.fixture
def cluster(tmp_path: Path, store: Store, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    options = {"is_for_nodes": True, "token": TOKEN, **getattr(request, "param", {})}
    made = Cluster(RemoteWorld(store, tmp_path), tmp_path, **options)
    yield made
    made.close()


AT_OWN_ADDRESS = pytest.mark.parametrize("cluster", [{}, {"is_for_nodes": False}], indirect=True)


@AT_OWN_ADDRESS
def test_the_leader_answers_the_runner(cluster: Cluster) -> None:
    handle = cluster.world.launch(deployment_of(["true"]))
    order = cluster.post(handle, "fetch").json()
    digest = order["code"]["digest"]
    ticket = cluster.world.tickets[handle.tracked.job_id]
    package = cluster.ask("GET", f"/node/v1/packages/{digest}", ticket=ticket)
    assert hashlib.sha256(package.body).hexdigest() == digest
    assert package.headers["content-type"] == "application/zip"
    assert cluster.forwarder.count == 2


@AT_OWN_ADDRESS
def test_output_and_refusals_are_passed_on(cluster: Cluster) -> None:
    handle = cluster.world.start()
    assert cluster.post(handle, "log?offset=0", b"\x00one\n").json() == {"offset": 5}
    assert (handle.directory / "log").read_bytes() == b"\x00one\n"
    assert cluster.post(handle, "beat").json() == {"cancel": False, "next": 10}
    assert cluster.post(handle, "fail", {"reason": "no"}).status == 409
    wrong = cluster.ask("POST", f"/node/v1/attempts/{handle.tracked.job_id}/beat", ticket="wrong")
    assert (wrong.status, wrong.json()["reason"]) == (401, "Unauthorized")
    assert "ticket" in wrong.json()["detail"]


@pytest.mark.parametrize("path", ["/node/v1/packages/0", "/node/v1/attempts/x/beat", "/node/other"])
@pytest.mark.parametrize("is_safe", [True, False])
def test_all_requests_of_nodes_need_the_leader(cluster: Cluster, path: str, is_safe: bool) -> None:
    assert cluster.forwarder.need(path, is_safe=is_safe) is Need.ONLY


def test_without_a_leader_the_runner_repeats_its_request(cluster: Cluster) -> None:
    def find() -> str:
        raise NoLeaderError("No controller leads at the moment.")

    handle = cluster.world.start()
    address = cluster.found()
    cluster.found = find
    answer = cluster.post(handle, "beat")
    assert (answer.status, answer.json()["reason"], answer.headers["retry-after"]) == (503, "NoLeader", "2")
    cluster.found = lambda: "http://127.0.0.1:1"
    answer = cluster.post(handle, "beat")
    assert (answer.status, answer.json()["reason"], answer.headers["retry-after"]) == (503, "NoLeader", "2")
    cluster.found = lambda: address
    assert cluster.post(handle, "beat").status == 200


def test_a_request_is_forwarded_once(cluster: Cluster) -> None:
    handle = cluster.world.start()
    cluster.found = lambda: f"http://127.0.0.1:{cluster.standby.port}"
    answer = cluster.post(handle, "beat")
    assert (answer.status, answer.json()["reason"]) == (503, "NoLeader")
    assert "forwarded to it" in answer.json()["detail"]


@pytest.mark.parametrize("cluster", [{"is_for_nodes": False}], indirect=True)
def test_the_address_of_the_dashboard_takes_no_requests_of_nodes_themselves(cluster: Cluster) -> None:
    handle = cluster.world.start()
    assert cluster.post(handle, "beat", to=cluster.leader).status == 401


@pytest.mark.parametrize("cluster", [{"is_for_nodes": False, "token": OTHER_TOKEN}], indirect=True)
def test_a_leader_with_another_token_does_not_end_the_runner(cluster: Cluster) -> None:
    handle = cluster.world.start()
    answer = cluster.post(handle, "beat")
    assert (answer.status, answer.json()["reason"]) == (502, "DifferentTokens")


def test_the_address_for_nodes_forwards_nothing_else(cluster: Cluster) -> None:
    answer = cluster.ask("POST", "/api/v1/deployments/a/runs", {}, ticket=TOKEN)
    assert answer.status == 404
    assert cluster.forwarder.count == 0
