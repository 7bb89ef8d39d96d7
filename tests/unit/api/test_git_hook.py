"""`POST /hooks/git`: a git server that signs its request makes the controller sync at once, and nothing else."""

import hashlib
import hmac
import http.client
import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import parser

from controller.trigger_settings import TriggerSettings
from controller.triggers.webhook_guard import BURST, WebhookGuard
from tests.conftest import new_repository, wait_until
from tests.docs.pages import DOCS, code_blocks, sections
from tests.unit.api.conftest import DEPLOYMENTS, FLOWS, Answer, Served, serve

pytestmark = pytest.mark.integration

SECRET = "correct horse battery staple"
BODY = b'{"ref": "refs/heads/main"}'


@pytest.fixture(scope="module")
def polling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A controller that polls its repository once an hour, so that only requests make it sync."""
    top = tmp_path_factory.mktemp("hooked")
    repository = new_repository(top / "repo")
    repository.commit({"flows/all.py": FLOWS, "deployments/all.yaml": DEPLOYMENTS})
    instance = serve(
        repository,
        top / "state",
        url=f"file://{repository.path}",
        interval=timedelta(hours=1),
        triggers=TriggerSettings(git_hook_secret=f"file:{top / 'secret'}"),
    )
    yield instance
    instance.controller.stop()


@pytest.fixture
def secret(polling: Served) -> Path:
    """The file with the secret."""
    file = polling.state.with_name("secret")
    file.write_text(f"{SECRET}\n")
    return file


@pytest.fixture
def hooked(polling: Served, secret: Path) -> Served:
    """The controller, with limits and counters as after its start, and without events about refused requests."""
    assert secret.exists()
    polling.controller._web._webhooks.guard = WebhookGuard(polling.controller._clock)
    return polling


def signed(body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    """Return the header with which GitHub signs this body."""
    return {"X-Hub-Signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"}


def post(served: Served, headers: dict[str, str], body: bytes = BODY, path: str = "/hooks/git") -> Answer:
    return served.ask("POST", path, body, headers, token=None)


def counts(served: Served) -> dict[tuple[str, str], float]:
    """Return the requests to webhooks so far that are not 0, by webhook and result."""
    families = parser.text_string_to_metric_families(served.get("/metrics").text)
    [family] = [family for family in families if family.name == "controller_webhook_requests"]
    return {
        (sample.labels["webhook"], sample.labels["result"]): sample.value
        for sample in family.samples
        if sample.value and sample.name.endswith("_total")
    }


def last_event(served: Served) -> int:
    items = served.get("/api/v1/events?limit=1").json()["items"]
    return int(items[0]["id"]) if items else 0


def refusals(served: Served, after: int = 0) -> list[Any]:
    items: list[Any] = served.get("/api/v1/events?reason=WebhookRefused").json()["items"]
    return [item["message"] for item in items if item["id"] > after]


def test_a_signed_push_is_applied_at_once(hooked: Served) -> None:
    before = last_event(hooked)
    hooked.repository.commit({"deployments/new.yaml": "name: new\ncommand: [echo, new]\n"})
    answer = post(hooked, signed() | {"X-GitHub-Event": "push"})
    assert (answer.status, answer.json()) == (202, {"is_done": False})
    wait_until(lambda: hooked.get("/api/v1/deployments/new").status == 200)
    assert counts(hooked) == {("git", "accepted"): 1}
    assert refusals(hooked, before) == []


def test_a_request_without_a_valid_signature_is_refused_without_the_cause(hooked: Served) -> None:
    before = last_event(hooked)
    for headers in ({}, signed(secret="wrong"), signed(b"{}"), {"Authorization": f"Bearer {hooked.token}"}):
        answer = post(hooked, headers)
        assert (answer.status, answer.json()["reason"]) == (401, "InvalidSignature")
        assert answer.json()["detail"] == "The request has no valid signature."
        assert answer.headers["www-authenticate"] == "Signature"
    assert counts(hooked) == {("git", "unauthorized"): 4}
    cause = "it has no signature in a header that controller knows"
    assert refusals(hooked, before) == [f"A request to /hooks/git was refused: {cause}."]


def test_a_missing_secret_is_reported_to_the_operator_only(hooked: Served, secret: Path) -> None:
    before = last_event(hooked)
    secret.unlink()
    answer = post(hooked, signed())
    assert (answer.status, answer.json()["reason"]) == (503, "WebhookUnavailable")
    assert str(secret) not in answer.text
    [message] = refusals(hooked, before)
    assert message.startswith(f"A request to /hooks/git was refused: the file {secret} can't be read")
    secret.write_text(SECRET)
    assert post(hooked, signed()).status == 202


def test_too_many_requests_are_refused_for_a_while(hooked: Served) -> None:
    answers = [post(hooked, signed()) for _ in range(BURST + 5)]
    limited = [answer for answer in answers if answer.status == 429]
    assert len(limited) >= 1
    assert {answer.status for answer in answers} == {202, 429}
    assert int(limited[0].headers["retry-after"]) >= 1
    assert limited[0].json()["reason"] == "TooManyRequests"


def test_failed_signatures_do_not_use_up_the_limit_of_the_sender(hooked: Served) -> None:
    statuses = {post(hooked, signed(secret="wrong")).status for _ in range(BURST + 5)}
    assert statuses == {401, 429}
    assert post(hooked, signed()).status == 202


def test_a_large_body_is_refused_and_the_largest_one_is_checked(hooked: Served) -> None:
    large = b"x" * (1 << 20)
    assert post(hooked, signed(large), large).status == 202
    announced = {"Content-Length": str(len(large) + 1)}
    assert post(hooked, signed(large + b"x") | announced, b"").status == 413


def test_only_post_reaches_a_webhook_without_a_token(hooked: Served) -> None:
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        for path in ("/hooks/git", "/hooks/shop"):
            answer = hooked.ask(method, path, None, signed(b""), token=None)
            assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert hooked.ask("GET", "/hooks/git").status == 405
    assert post(hooked, signed(), path="/hooks/git/").status == 404
    assert post(hooked, signed() | {"Host": "evil.test"}).status == 421


def test_the_unix_socket_has_no_webhooks(hooked: Served) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.connect(str(hooked.controller.state.socket))
        head = f"POST /hooks/git HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(BODY)}\r\n"
        for name, value in signed().items():
            head += f"{name}: {value}\r\n"
        connection.sendall(head.encode() + b"\r\n" + BODY)
        response = http.client.HTTPResponse(connection)
        response.begin()
        answer = json.loads(response.read())
    assert (response.status, answer["detail"]) == (404, "Webhooks work at the TCP address only.")


def test_without_a_secret_there_is_no_webhook_for_git(served: Served) -> None:
    answer = post(served, signed())
    assert (answer.status, answer.json()["detail"]) == (404, "There is no webhook of this name.")
    assert refusals(served) == ["A request to /hooks/git was refused: controller runs without --git-hook-secret."]


def test_a_secret_appears_in_no_response_and_no_record(hooked: Served) -> None:
    post(hooked, {"X-Gitlab-Token": SECRET})
    post(hooked, {"X-Gitlab-Token": f"{SECRET}!"})
    for path in ("/api/v1/events", "/api/v1/settings", "/metrics", "/api/v1/status"):
        assert SECRET not in hooked.get(path).text
    assert all(SECRET.encode() not in file.read_bytes() for file in hooked.state.glob("state.db*"))


def test_the_documented_lines_with_openssl_and_curl_work(hooked: Served, secret: Path) -> None:
    [section] = [section for section in sections(DOCS / "sources.md", 2) if section.title == "Sync at each push"]
    [script] = code_blocks(section.text, "sh")
    done = subprocess.run(
        ["bash", "-euc", script],
        env={"URL": hooked.url, "SECRET_FILE": str(secret), "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ('{"is_done": false}', "")
    assert counts(hooked) == {("git", "accepted"): 1}
