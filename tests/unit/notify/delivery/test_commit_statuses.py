"""Commit statuses: the requests that git servers document, and what the controller does with their answers."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controller.model.commit_statuses import CommitState
from controller.model.notifications import ChannelState, Message, MessageState
from controller.store import messages
from tests.receivers import Request, WebhookReceiver, proxy_to, webhook_receiver
from tests.unit.notify.delivery.conftest import Desk

SHA, LATER = "a" * 40, "b" * 40
TOKEN = "t0ken-of-the-bot"
LINK = "https://flows.example.org/source"


def declare(desk: Desk, page: str, provider: str = "github") -> None:
    """Declare where commit statuses go."""
    desk.variables["TOKEN"] = TOKEN
    desk.declare(f"commit_status: {{provider: {provider}, token: {{env: TOKEN}}, url: '{page}'}}")


def write(
    desk: Desk, commit: str = SHA, state: CommitState = CommitState.SUCCESS, link: str | None = LINK, **more: Any
) -> Message:
    """Record a commit status that must be sent, as the evaluation does."""
    payload = {"commit": commit, "state": state.value, "context": "controller/prod", "ref": "main", "target_url": link}
    fields: dict[str, Any] = {"state": "commit_status", "body": "Applied", "deployment": None, "payload": payload}
    return desk.write("commit-status", f"Commit {commit[:12]}: {state}", **{**fields, **more})


def bodies(receiver: WebhookReceiver) -> list[dict[str, Any]]:
    """The JSON of the accepted requests."""
    return [json.loads(request.body) for request in receiver.accepted]


@pytest.mark.parametrize(
    ("provider", "path", "header", "body"),
    [
        (
            "github",
            f"/api/v3/repos/acme/flows/statuses/{SHA}",
            ("authorization", f"Bearer {TOKEN}"),
            {"state": "error", "context": "controller/prod", "target_url": LINK, "description": "Applied"},
        ),
        (
            "gitlab",
            f"/api/v4/projects/acme%2Fflows/statuses/{SHA}",
            ("private-token", TOKEN),
            {
                "state": "failed",
                "name": "controller/prod",
                "target_url": LINK,
                "ref": "main",
                "description": "Applied",
            },
        ),
        *(
            (
                provider,
                f"/api/v1/repos/acme/flows/statuses/{SHA}",
                ("authorization", f"token {TOKEN}"),
                {"state": "error", "context": "controller/prod", "target_url": LINK, "description": "Applied"},
            )
            for provider in ("gitea", "forgejo")
        ),
    ],
)
def test_a_server_of_ones_own_gets_the_documented_request(
    desk: Desk, receiver: WebhookReceiver, provider: str, path: str, header: tuple[str, str], body: dict[str, Any]
) -> None:
    declare(desk, f"{receiver.url}/acme/flows.git", provider)
    desk.open()
    message = write(desk, state=CommitState.ERROR)
    receiver.status = 201
    desk.deliver()
    [request] = receiver.accepted
    assert request.path == path
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers[header[0]] == header[1]
    assert headers["content-type"] == "application/json"
    assert json.loads(request.body) == body
    assert desk.message(message).delivery is MessageState.SENT
    assert (desk.status("commit-status").kind, desk.status("commit-status").state) == (provider, ChannelState.READY)


@pytest.mark.parametrize(
    ("provider", "host", "path", "page", "expected"),
    [
        (
            "github",
            "api.github.com",
            f"/repos/acme/flows/statuses/{SHA}",
            "https://github.com/acme/flows",
            {"state": "pending", "context": "controller/prod", "description": "Applied"},
        ),
        (
            "bitbucket",
            "api.bitbucket.org",
            f"/2.0/repositories/acme/flows/commit/{SHA}/statuses/build",
            "https://bitbucket.org/acme/flows",
            {
                "state": "INPROGRESS",
                "key": "controller/prod",
                "name": "controller/prod",
                "url": f"https://bitbucket.org/acme/flows/commits/{SHA}",
                "description": "Applied",
            },
        ),
    ],
)
def test_a_hosted_server_gets_it_at_the_host_of_its_api_with_a_verified_certificate(
    desk: Desk, tmp_path: Path, provider: str, host: str, path: str, page: str, expected: dict[str, Any]
) -> None:
    (tmp_path / "hosted").mkdir()
    with webhook_receiver(tmp_path / "hosted", host) as hosted, proxy_to(hosted.port) as (proxy, named):
        desk.ca = hosted.ca
        desk.variables["https_proxy"] = proxy
        declare(desk, page, provider)
        desk.open()
        write(desk, state=CommitState.PENDING, link=None)
        desk.deliver()
        assert named == [f"{host}:443"]
        assert [request.path for request in hosted.accepted] == [path]
        assert bodies(hosted) == [expected]
        assert hosted.accepted[0].headers["Authorization"] == f"Bearer {TOKEN}"
    desk.ca = None


def test_the_key_of_a_long_context_fits_bitbucket_and_differs_for_each_context(desk: Desk, tmp_path: Path) -> None:
    contexts = ["controller/" + "x" * 60 + end for end in ("-eu", "-us")]
    (tmp_path / "hosted").mkdir()
    with webhook_receiver(tmp_path / "hosted", "api.bitbucket.org") as hosted, proxy_to(hosted.port) as (proxy, _):
        desk.ca = hosted.ca
        desk.variables["https_proxy"] = proxy
        declare(desk, "https://bitbucket.org/acme/flows", "bitbucket")
        desk.open()
        for context in contexts:
            payload = {"commit": SHA, "state": "success", "context": context, "ref": None, "target_url": LINK}
            write(desk, payload=payload)
        desk.deliver()
        keys = [body["key"] for body in bodies(hosted)]
        assert [body["name"] for body in bodies(hosted)] == contexts
    assert {len(key) for key in keys} == {40}
    assert len(set(keys)) == 2


def test_without_a_url_the_status_goes_to_the_repository_that_is_followed(
    desk: Desk, receiver: WebhookReceiver
) -> None:
    desk.variables["TOKEN"] = TOKEN
    desk.declare("commit_status: {provider: gitea, token: {env: TOKEN}}")
    desk.repository = f"{receiver.url}/acme/flows"
    desk.open()
    write(desk)
    desk.deliver()
    assert [request.path for request in receiver.accepted] == [f"/api/v1/repos/acme/flows/statuses/{SHA}"]


@pytest.mark.parametrize(
    ("repository", "message"),
    [
        (
            None,
            (
                "The repository is not followed by a URL, so its git server is unknown."
                " Set commit_status.url in notify.yaml."
            ),
        ),
        (
            "https://git.example.org/flows",
            (
                "The URL of --repo does not fit the provider gitea: url is not the URL of a repository."
                " Set commit_status.url in notify.yaml."
            ),
        ),
    ],
)
def test_a_status_waits_until_it_is_known_where_it_goes(desk: Desk, repository: str | None, message: str) -> None:
    desk.variables["TOKEN"] = TOKEN
    desk.declare("commit_status: {provider: gitea, token: {env: TOKEN}}")
    desk.repository = repository
    desk.open()
    written = write(desk)
    desk.pass_time(timedelta(minutes=10))
    desk.skip_time(timedelta(days=2))
    status = desk.status("commit-status")
    assert (status.state, status.message) == (ChannelState.MISCONFIGURED, message)
    assert desk.message(written).delivery is MessageState.WAITING


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (
            401,
            b'{"message": "Bad credentials"}',
            "The git server responded 401 Unauthorized (Bad credentials): the token is invalid or has expired.",
        ),
        (
            403,
            b'{"message": "Resource not accessible by personal access token"}',
            (
                "The git server responded 403 Forbidden (Resource not accessible by personal access token):"
                " the token does not allow writing commit statuses to this repository."
            ),
        ),
        (
            404,
            b"<html>",
            (
                "The git server responded 404 Not Found: the server has no such repository or commit,"
                " or the token gives no access to it."
            ),
        ),
    ],
)
def test_a_token_that_the_server_rejects_makes_the_channel_misconfigured_until_it_is_replaced(
    desk: Desk, receiver: WebhookReceiver, status: int, body: bytes, message: str
) -> None:
    declare(desk, f"{receiver.url}/acme/flows")
    desk.open()
    receiver.status, receiver.body = status, body
    written = write(desk)
    desk.pass_time(timedelta(hours=1))
    assert 1 < receiver.attempts <= 4 + 1  # each 15 minutes
    desk.skip_time(timedelta(days=3))
    channel = desk.status("commit-status")
    assert (channel.state, channel.message) == (ChannelState.MISCONFIGURED, message)
    assert desk.message(written).delivery is MessageState.WAITING
    receiver.status, receiver.body = 201, b""
    desk.pass_time(timedelta(minutes=15))
    assert desk.message(written).delivery is MessageState.SENT
    assert desk.status("commit-status").state is ChannelState.READY


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (429, {"Retry-After": "3600"}),
        (403, {"Retry-After": "3600"}),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}),
        (503, {"Retry-After": "3600"}),
    ],
)
def test_a_server_that_is_overloaded_is_tried_again_not_before_it_says_so(
    desk: Desk, receiver: WebhookReceiver, status: int, headers: dict[str, str]
) -> None:
    declare(desk, f"{receiver.url}/acme/flows")
    desk.open()
    receiver.status, receiver.headers = status, headers
    written = write(desk)
    desk.deliver()
    assert desk.status("commit-status").state is ChannelState.FAILING
    pause = timedelta(hours=1) if "Retry-After" in headers else timedelta(seconds=10)
    assert desk.opened[-1].next_time() == desk.clock.now() + pause
    receiver.status, receiver.headers = 201, {}
    desk.pass_time(pause)
    assert receiver.attempts == 2
    assert desk.message(written).delivery is MessageState.SENT


def test_the_time_at_which_a_limit_is_reset_is_respected(desk: Desk, receiver: WebhookReceiver) -> None:
    declare(desk, f"{receiver.url}/acme/flows")
    desk.open()
    receiver.status = 403
    receiver.headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}
    write(desk)
    desk.deliver()
    # The longest pause that a server can demand.
    assert desk.opened[-1].next_time() == desk.clock.now() + timedelta(hours=6)


def test_a_commit_that_the_server_does_not_know_yet_is_tried_again_for_a_day(
    desk: Desk, receiver: WebhookReceiver
) -> None:
    declare(desk, f"{receiver.url}/acme/flows")
    desk.open()
    receiver.status, receiver.body = 422, b'{"message": "No commit found for SHA"}'
    written = write(desk)
    desk.deliver()
    assert desk.status("commit-status").message == (
        "Rejected: The git server responded 422 Unprocessable Entity (No commit found for SHA)."
    )
    desk.pass_time(timedelta(hours=2))
    assert receiver.attempts > 10
    desk.skip_time(timedelta(hours=21, minutes=30))
    assert desk.message(written).delivery is MessageState.WAITING
    desk.pass_time(timedelta(hours=1))
    assert desk.message(written).delivery is MessageState.UNDELIVERABLE


def test_a_redirect_is_not_followed_so_the_token_reaches_no_other_server(
    desk: Desk, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with webhook_receiver(tmp_path / "other") as other:
        declare(desk, f"{receiver.url}/acme/flows")
        desk.open()
        receiver.status, receiver.headers = 307, {"Location": f"{other.url}/acme/flows"}
        write(desk)
        desk.deliver()
        assert other.attempts == 0
    assert desk.status("commit-status").message == (
        "The git server responded 307 Temporary Redirect: redirects are not followed;"
        " set url to the repository's present URL."
    )


def test_the_token_is_in_no_error_even_if_the_server_repeats_it(desk: Desk, receiver: WebhookReceiver) -> None:
    declare(desk, f"{receiver.url}/acme/flows")
    desk.open()
    receiver.status, receiver.body = 401, json.dumps({"message": f"unknown token {TOKEN}"}).encode()
    written = write(desk)
    desk.deliver()
    assert desk.status("commit-status").message == (
        "The git server responded 401 Unauthorized (unknown token ****): the token is invalid or has expired."
    )
    assert TOKEN not in f"{desk.message(written)}"


def test_a_certificate_that_nobody_vouches_for_is_an_error(desk: Desk, receiver: WebhookReceiver) -> None:
    desk.ca = None
    declare(desk, f"{receiver.url}/acme/flows")
    desk.open()
    write(desk)
    desk.deliver()
    assert receiver.attempts == 0
    assert "certificate" in desk.status("commit-status").message


def test_a_token_with_a_line_break_is_never_sent(desk: Desk, receiver: WebhookReceiver) -> None:
    declare(desk, f"{receiver.url}/acme/flows")
    desk.variables["TOKEN"] = "two\nlines"
    desk.open()
    write(desk)
    desk.deliver()
    assert receiver.attempts == 0
    assert desk.status("commit-status").state is ChannelState.MISCONFIGURED
    assert "two" not in desk.status("commit-status").message


def test_gitlab_has_the_status_already_if_it_was_sent_before_a_crash(desk: Desk, receiver: WebhookReceiver) -> None:
    declare(desk, f"{receiver.url}/acme/flows", "gitlab")
    desk.open()
    receiver.status = 400
    receiver.body = b'{"message": "Cannot transition status via :enqueue from :pending (Reason(s): ...)"}'
    written = write(desk, state=CommitState.PENDING)
    desk.deliver()
    assert desk.message(written).delivery is MessageState.SENT


def test_a_status_that_was_superseded_while_it_was_being_sent_is_not_sent_again(
    desk: Desk, receiver: WebhookReceiver
) -> None:
    declare(desk, f"{receiver.url}/acme/flows")
    desk.open()
    newer: list[Message] = []

    def supersede(_: Request) -> None:
        receiver.asked = None
        with desk.store.write() as tx:
            messages.supersede(tx, "commit-status")
        newer.append(write(desk, LATER))
        receiver.status = 503

    receiver.asked = supersede
    older = write(desk)
    desk.deliver()
    receiver.status = 201
    desk.pass_time(timedelta(minutes=1))
    assert [request.path[-40:] for request in receiver.accepted] == [LATER]
    assert desk.message(older).delivery is MessageState.SUPERSEDED
    assert desk.message(newer[0]).delivery is MessageState.SENT


def test_a_status_that_was_superseded_but_arrived_is_recorded_as_sent(desk: Desk, receiver: WebhookReceiver) -> None:
    declare(desk, f"{receiver.url}/acme/flows")
    desk.open()

    def supersede(_: Request) -> None:
        with desk.store.write() as tx:
            messages.supersede(tx, "commit-status")

    receiver.asked = supersede
    older = write(desk)
    desk.deliver()
    assert desk.message(older).delivery is MessageState.SENT


def test_the_test_of_the_channel_sends_the_current_status_and_hastens_what_waits(
    desk: Desk, receiver: WebhookReceiver
) -> None:
    declare(desk, f"{receiver.url}/acme/flows")
    delivery = desk.open()
    receiver.status = 401
    waiting = write(desk)
    desk.deliver()
    payload = {"commit": SHA, "state": "success", "context": "controller", "ref": None, "target_url": None}
    delivery.find_commit_status = lambda _, state, now: Message(
        id=desk.ids.new(now),
        channel="commit-status",
        state=state,
        title="Commit",
        body="Applied",
        created_at=now,
        not_before=now,
        payload=payload,
    )
    refused = delivery.send_test("commit-status")
    assert refused.delivery is MessageState.UNDELIVERABLE
    assert "the token is invalid" in (refused.error or "")
    receiver.status = 201
    assert delivery.send_test("commit-status").delivery is MessageState.SENT
    desk.deliver()
    assert desk.message(waiting).delivery is MessageState.SENT
    assert len(receiver.accepted) == 2


def test_statuses_of_a_section_that_was_removed_wait_a_day_for_its_return(
    desk: Desk, receiver: WebhookReceiver
) -> None:
    declare(desk, f"{receiver.url}/acme/flows")
    desk.open()
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}'}}}}")
    desk.open()
    written = write(desk)
    desk.pass_time(timedelta(hours=23))
    assert desk.message(written).delivery is MessageState.WAITING
    desk.pass_time(timedelta(hours=2))
    assert desk.message(written).delivery is MessageState.UNDELIVERABLE
    assert desk.message(written).error == "Notify.yaml does not declare the channel commit-status."
    assert receiver.attempts == 0
