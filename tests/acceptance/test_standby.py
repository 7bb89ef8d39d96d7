"""A standby serves the API and the dashboard from the shared database, and forwards to the leader what changes it."""

import json
import re
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from controller.state_url import StateUrl
from tests.acceptance.conftest import Start
from tests.acceptance.harness import Repository, Running, until
from tests.acceptance.several_controllers import each_a_process, new_database, select

pytestmark = pytest.mark.acceptance
commands = each_a_process
url = new_database

TOKEN = "t" * 43
SAY = """
    name: say
    command: ['sh', '-c', 'echo hello from the flow']
"""
GATED = """
    name: slow
    command: ['sh', '-c', 'echo begins; while [ ! -e {root}/gate ]; do sleep 0.05; done; echo ends']
"""


@pytest.fixture
def shared(repository: Repository, url: StateUrl) -> Repository:
    """A repository whose state is on the server, with a token that all controllers have."""
    repository.machine.environment |= {"CONTROLLER_STATE_URL": url.text, "CONTROLLER_LISTEN": "127.0.0.1:0"}
    repository.write("deployments/say.yaml", SAY)
    repository.write("deployments/slow.yaml", GATED.format(root=repository.root))
    repository.commit()
    give_token(repository.state)
    return repository


def give_token(state: Path, token: str = TOKEN) -> None:
    state.mkdir(mode=0o700, exist_ok=True)
    (state / "token").write_text(token)


class Standby:
    """A second controller of a repository, with a state directory of its own."""

    def __init__(self, folder: Repository, state: Path, log: Path) -> None:
        self.folder = folder
        self.running = Running(folder, log, ("--state-dir", str(state)), {})
        self.place = ("--state-dir", str(state))
        until(lambda: address_of(self.running), "the standby to serve")

    @property
    def address(self) -> str:
        return address_of(self.running)

    def tell(self, *arguments: str) -> Any:
        return self.folder.tell(*arguments, *self.place)


@pytest.fixture
def standby(shared: Repository, tmp_path: Path) -> Iterator[Callable[..., Standby]]:
    """`standby()` starts a second controller, which waits; `shared` has a leader."""
    started: list[Standby] = []

    def start(token: str = TOKEN) -> Standby:
        give_token(tmp_path / "other", token)
        new = Standby(shared, tmp_path / "other", tmp_path / "other.log")
        started.append(new)
        return new

    yield start
    for one in started:
        if one.running.process.poll() is None:
            one.running.stop()
        assert "Traceback" not in one.running.output
        one.running.kill()


@pytest.fixture
def leader(shared: Repository, url: StateUrl, running: Start) -> Running:
    """The controller that leads, with its address known to standbys."""
    controller = running(shared)
    until(lambda: leads_with_address(url), "the leader to publish its address")
    until(lambda: select(url, "SELECT 1 FROM source WHERE last_applied_revision IS NOT NULL"), "the first pass")
    return controller


def address_of(controller: Running) -> str:
    found = re.findall(r"http://127\.0\.0\.1:[0-9]+", controller.output)
    return found[-1] if found else ""


def leads_with_address(url: StateUrl) -> Any:
    return select(url, "SELECT 1 FROM leadership JOIN leases USING (holder) WHERE url IS NOT NULL")


def send(address: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, HTTPResponse]:
    """Send a request with the token; return the status, the JSON or the text, and the response."""
    connection = HTTPConnection(urlsplit(address).netloc, timeout=60)
    more = {} if body is None else {"Content-Type": "application/json"}
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, {"Authorization": f"Bearer {TOKEN}", **more, **headers})
    response = connection.getresponse()
    text = response.read().decode()
    connection.close()
    is_json = "json" in response.headers.get("content-type", "")
    return response.status, json.loads(text) if is_json else text, response


def trigger(address: str, name: str) -> tuple[int, Any, HTTPResponse]:
    return send(address, "POST", f"/api/v1/deployments/{name}/runs", {})


def test_a_standby_reads_and_forwards_changes_and_logs(
    url: StateUrl, leader: Running, standby: Callable[..., Standby]
) -> None:
    other = standby()
    status, page, _ = send(other.address, "GET", "/api/v1/deployments")
    assert (status, sorted(item["name"] for item in page["items"])) == (200, ["say", "slow"])
    assert send(other.address, "GET", "/")[0] == 200
    status, triggered, _ = trigger(other.address, "say")
    assert status == 201, triggered
    run_id = triggered["run_id"]
    until(lambda: select(url, f"SELECT 1 FROM runs WHERE id = '{run_id}' AND state = 'succeeded'"), "the run to end")
    assert send(other.address, "GET", f"/api/v1/runs/{run_id}")[1]["state"] == "succeeded"
    assert send(other.address, "GET", f"/api/v1/runs/{run_id}/logs")[1]["text"] == "hello from the flow\n"
    assert send(other.address, "GET", f"/runs/{run_id}")[0] == 200
    stream = send(other.address, "GET", f"/api/v1/runs/{run_id}/logs/stream")[1]
    assert "hello from the flow" in stream
    assert "event: end" in stream
    by_command = other.tell("trigger", "say", "--wait")
    assert by_command["state"] == "succeeded"
    problem = send(other.address, "POST", "/api/v1/deployments/missing/runs", {})
    assert (problem[0], problem[1]["reason"]) == (404, "NotFound")
    assert send(other.address, "POST", "/api/v1/deployments/say/runs", {}, Authorization="Bearer wrong")[0] == 401
    held = send(other.address, "POST", "/api/v1/deployments/say/hold", {"reason": "tests"})
    assert (held[0], held[1]["hold"]["author"]) == (200, "api")
    leader.stop()


def test_who_leads_is_shown_everywhere(shared: Repository, leader: Running, standby: Callable[..., Standby]) -> None:
    other = standby()
    of_leader = send(address_of(leader), "GET", "/api/v1/leadership")[1]
    assert (of_leader["role"], of_leader["leader"]["leads"], of_leader["leader"]["term"]) == ("leader", True, 1)
    assert of_leader["leader"]["url"] == address_of(leader)
    assert of_leader["leader"]["pid"] == leader.process.pid
    assert trigger(other.address, "say")[0] == 201
    of_standby = send(other.address, "GET", "/api/v1/leadership")[1]
    assert of_standby["leader"] == of_leader["leader"]
    assert (of_standby["role"], of_standby["forwarded_requests"]) == ("standby", 1)
    assert 0 <= of_standby["lag_seconds"] < 30
    assert send(other.address, "GET", "/api/v1/status")[1]["leadership"]["role"] == "standby"
    assert send(other.address, "GET", "/readyz")[1]["leadership"]["role"] == "standby"
    assert send(address_of(leader), "GET", "/readyz")[1]["leadership"]["role"] == "leader"
    assert shared.status()["leadership"]["role"] == "leader"
    status = other.tell("status")["leadership"]
    assert (status["role"], status["forwarded_requests"]) == ("standby", 1)
    assert "this controller is a standby" in shared.ask("status", *other.place).out
    assert "this controller is a standby" not in shared.ask("status").out
    doctor = shared.ask("doctor", *other.place).out
    assert re.search(r"role: standby, [0-9.]+ s behind, 1 request forwarded", doctor)
    assert f"at {address_of(leader)}" in doctor
    assert "role: leader" in shared.ask("doctor").out
    settings = send(other.address, "GET", "/settings")[1]
    assert "a standby. It last checked the leader" in settings
    assert "standby of " in settings
    metrics = send(other.address, "GET", "/metrics")[1]
    assert "controller_leads 0.0" in metrics
    assert "controller_forwarded_requests_total 1.0" in metrics
    assert "controller_runs" not in metrics
    assert "controller_leads 1.0" in send(address_of(leader), "GET", "/metrics")[1]


def test_without_a_leader_changes_are_refused_until_the_standby_leads(
    shared: Repository, leader: Running, standby: Callable[..., Standby]
) -> None:
    other = standby()
    run_id = trigger(other.address, "slow")[1]["run_id"]
    until(lambda: "begins" in str(send(other.address, "GET", f"/api/v1/runs/{run_id}/logs")[1]), "output of the run")
    leader.process.kill()
    leader.process.wait(60)
    answers = []

    def accepts_again() -> bool:
        try:
            answers.append(trigger(other.address, "say"))
        except OSError:  # between the standby's server and that of the new leader
            return False
        return answers[-1][0] == 201

    until(accepts_again, "the standby to lead")
    for status, problem, response in answers[:-1]:
        assert (status, problem["reason"], response.headers["retry-after"]) == (503, "NoLeader", "2")
    assert send(other.address, "GET", "/api/v1/leadership")[1]["role"] == "leader"
    (shared.root / "gate").touch()


def test_a_standby_follows_a_leader_that_stops(leader: Running, url: StateUrl, standby: Callable[..., Standby]) -> None:
    other = standby()
    before = trigger(other.address, "say")[1]["run_id"]
    leader.stop()
    until(lambda: select(url, "SELECT 1 FROM leadership WHERE term = 2 AND url IS NOT NULL"), "the standby to lead")
    assert select(url, "SELECT url FROM leadership") == [(other.address,)]
    assert send(other.address, "GET", f"/api/v1/runs/{before}")[0] == 200
    assert trigger(other.address, "say")[0] == 201


@pytest.mark.usefixtures("leader")
def test_a_request_is_forwarded_once(url: StateUrl, standby: Callable[..., Standby]) -> None:
    other = standby()
    select(url, f"UPDATE leadership SET url = '{other.address}'")
    status, problem, response = trigger(other.address, "say")
    assert (status, problem["reason"], response.headers["retry-after"]) == (503, "NoLeader", "2")
    assert "forwarded to it" in problem["detail"]
    select(url, "UPDATE leadership SET url = NULL")
    assert trigger(other.address, "say")[1]["detail"].endswith("is starting, or serves no address.")
    select(url, "UPDATE leadership SET url = 'http://127.0.0.1:4200', host = 'elsewhere'")
    assert "serves only its own machine" in trigger(other.address, "say")[1]["detail"]
    assert select(url, "SELECT 1 FROM runs") == []


def test_a_leader_with_another_token_is_named(leader: Running, standby: Callable[..., Standby]) -> None:
    token = "u" * 43
    other, own = standby(token), f"Bearer {token}"
    run_id = trigger(address_of(leader), "say")[1]["run_id"]
    changed = send(other.address, "POST", "/api/v1/deployments/say/runs", {}, Authorization=own)
    log = send(other.address, "GET", f"/api/v1/runs/{run_id}/logs", Authorization=own)
    for status, problem, _ in (changed, log):
        assert (status, problem["reason"]) == (502, "DifferentTokens")
        assert "token" in problem["hint"]
    assert send(other.address, "GET", f"/api/v1/runs/{run_id}", Authorization=own)[0] == 200
