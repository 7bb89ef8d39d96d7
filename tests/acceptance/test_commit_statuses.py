"""A git server shows beside each commit whether the controller has applied it. The server is a real HTTPS server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.crashpoints import NOTIFY
from tests.acceptance.conftest import Start
from tests.acceptance.harness import Machine, Remote, Repository, Running, until
from tests.receivers import WebhookReceiver, webhook_receiver
from tests.servers import http_server

pytestmark = pytest.mark.acceptance

TOKEN = "t0ken-of-the-bot"
VALID = "name: report\ncommand: ['true']\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebhookReceiver]:
    with webhook_receiver(tmp_path) as receiver:
        receiver.status = 201
        yield receiver


@pytest.fixture
def unreported(repository: Repository) -> Repository:
    """A repository whose commits are not reported, with one commit."""
    repository.write("deployments/report.yaml", VALID)
    repository.commit("Add the report")
    return repository


@pytest.fixture
def reported(unreported: Repository, machine: Machine, server: WebhookReceiver) -> Repository:
    """A repository whose commits are reported to the server."""
    declare(machine, server)
    return unreported


def declare(machine: Machine, server: WebhookReceiver) -> None:
    """Declare where commit statuses go, in the default file."""
    file = machine.home / ".config/controller/notify.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"commit_status: {{provider: gitea, token: {{env: BOT_TOKEN}}, url: '{server.url}/acme/flows'}}\n")


def start(running: Start, repository: Repository, server: WebhookReceiver, **more: str) -> Running:
    """Start a controller with the token and the certificate authority of the server."""
    options = ("--public-url", "https://flows.example.org", "--notify-ca", str(server.ca))
    return running(repository, *options, BOT_TOKEN=TOKEN, **more)


def commit(repository: Repository, message: str) -> str:
    """Commit everything; returns the id of the commit."""
    return repository.commit(message).rpartition(":")[2]


def head(repository: Repository) -> str:
    return repository.git("rev-parse", "HEAD")


def statuses(server: WebhookReceiver) -> list[tuple[str, str]]:
    """The commits and the states that the server accepted."""
    bodies = [json.loads(request.body) for request in server.accepted]
    return [(request.path[-40:], body["state"]) for request, body in zip(server.accepted, bodies, strict=True)]


def test_the_server_shows_what_became_of_each_commit(
    reported: Repository, running: Start, server: WebhookReceiver
) -> None:
    first = head(reported)
    start(running, reported, server)
    until(lambda: statuses(server) == [(first, "success")], "the status of the first commit")
    [request] = server.accepted
    assert request.path == f"/api/v1/repos/acme/flows/statuses/{first}"
    assert request.headers["Authorization"] == f"token {TOKEN}"

    reported.write("deployments/other.yaml", "name: other\ncommand: ['true']\ntimeoutt: 5m\n")
    broken = commit(reported, "Add a deployment with a misspelt key")
    until(lambda: statuses(server)[1:] == [(broken, "failure")], "the status of the broken commit")
    body = json.loads(server.accepted[-1].body)
    assert body["description"].startswith("1 error: 1 invalid file; everything else is applied: deployments/other.yaml")
    assert body["target_url"] == "https://flows.example.org/source"
    assert body["context"] == "controller"

    reported.write("deployments/other.yaml", "name: other\ncommand: ['true']\ntimeout: 5m\n")
    repaired = commit(reported, "Correct the key")
    until(lambda: statuses(server)[2:] == [(repaired, "success")], "the status of the repaired commit")

    assert reported.ask("notify", "test", "commit-status").out == "delivered to commit-status\n"
    assert statuses(server)[3:] == [(repaired, "success")]
    rows = reported.tell("notify", "log")
    assert [(row["state"], row["delivery"]) for row in rows] == [
        ("test", "sent"),
        *[("commit_status", "sent")] * 3,
    ]
    [channel] = reported.tell("notify", "channels")
    assert (channel["name"], channel["kind"], channel["state"]) == ("commit-status", "gitea", "ready")
    assert TOKEN not in str(rows) + reported.ask("events").out + reported.ask("doctor").out


def test_a_rejected_token_is_shown_until_it_is_replaced(
    reported: Repository, running: Start, server: WebhookReceiver
) -> None:
    server.status = 401
    start(running, reported, server)
    until(lambda: reported.tell("notify", "channels")[0]["state"] == "misconfigured", "the channel")
    answer = reported.ask("notify", "test", "commit-status")
    assert answer.code == 1
    assert "The git server responded 401 Unauthorized: the token is invalid or has expired." in answer.err
    assert "misconfigured" in reported.ask("doctor").out
    server.status = 201
    assert reported.ask("notify", "test", "commit-status").code == 0
    until(lambda: statuses(server) == [(head(reported), "success")] * 2, "the status that waited")
    assert reported.tell("notify", "channels")[0]["state"] == "ready"


@pytest.mark.parametrize("point", NOTIFY)
def test_a_controller_that_is_killed_while_it_reports_a_commit_reports_it_again(
    unreported: Repository, running: Start, server: WebhookReceiver, machine: Machine, point: str
) -> None:
    killed = start(running, unreported, server, CONTROLLER_CRASHPOINT=f"notify:{point}")
    declare(machine, server)
    until(lambda: killed.process.poll() is not None, "the controller to be killed")
    assert len(statuses(server)) == NOTIFY.index(point)
    start(running, unreported, server)
    until(lambda: len(statuses(server)) > NOTIFY.index(point), "the status")
    assert set(statuses(server)) == {(head(unreported), "success")}
    until(lambda: unreported.tell("notify", "log")[0]["delivery"] == "sent", "the record of the delivery")
    assert len(unreported.tell("notify", "log")) == 1


def test_only_the_newest_of_the_commits_that_wait_is_reported(
    reported: Repository, running: Start, server: WebhookReceiver
) -> None:
    server.status = 503
    start(running, reported, server)
    until(lambda: server.attempts == 1, "the first attempt")
    heads = []
    for number in range(3):
        reported.write("deployments/report.yaml", f"{VALID}description: Version {number}\n")
        heads.append(commit(reported, f"Version {number}"))
        reported.wait_for_revision(f"main@sha1:{heads[-1]}")
    newest = f"Commit {heads[-1][:12]}: success"
    until(lambda: reported.tell("notify", "log")[0]["title"] == newest, "the status of the newest commit in the outbox")
    server.status = 201
    until(lambda: statuses(server) == [(heads[-1], "success")], "the status of the newest commit")
    deliveries = [row["delivery"] for row in reported.tell("notify", "log")]
    # A commit that was replaced before its status was written has none.
    assert deliveries == ["sent", *["superseded"] * (len(deliveries) - 1)]
    assert 2 <= len(deliveries) <= 4


def test_without_a_url_the_status_goes_to_the_server_of_the_repository(
    machine: Machine, running: Start, tmp_path: Path
) -> None:
    file = machine.home / ".config/controller/notify.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("commit_status: {provider: gitea, token: {env: BOT_TOKEN}}\n")
    (tmp_path / "acme").mkdir()
    with http_server(tmp_path) as git_server:
        remote = Remote(tmp_path / "acme" / "flows", machine, f"{git_server.url}/acme/flows/.git")
        remote.write("deployments/report.yaml", VALID)
        sha = commit(remote, "Add the report")
        running(remote, BOT_TOKEN=TOKEN)
        request = f"POST /api/v1/repos/acme/flows/statuses/{sha}"
        until(lambda: request in git_server.requests, "the status")
        until(lambda: remote.tell("notify", "channels")[0]["state"] == "misconfigured", "the answer of the server")
    # This server knows git, but has no API.
    [channel] = remote.tell("notify", "channels")
    assert "404 Not Found: the server has no such repository or commit" in channel["message"]
    assert git_server.authorizations == [f"token {TOKEN}"]
