"""Which requests a standby forwards, and how the leader knows their authors."""

import asyncio
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.types import Message

from controller.api.http import forwarding
from controller.api.http.credentials import FORWARDED_LIFE, Credentials
from controller.api.http.forwarder import Forwarder, Need
from tests.conftest import ManualClock

HERE, THERE = (f"{number:08x}-0000-7000-8000-000000000000" for number in (1, 2))


def need(path: str, *, is_safe: bool = True, has_source: bool = True) -> Need:
    forwarder = Forwarder(find_url=lambda: "", has_files=lambda run_id: run_id == HERE, has_source=has_source)
    return forwarder.need(path, is_safe=is_safe)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", Need.NONE),
        ("/api/v1/deployments", Need.NONE),
        ("/api/v1/runs", Need.NONE),
        ("/api/v1/events/stream", Need.NONE),
        (f"/api/v1/runs/{HERE}/logs", Need.NONE),
        (f"/api/v1/runs/{THERE}/logs", Need.ONLY),
        (f"/api/v1/runs/{THERE}/logs/stream", Need.ONLY),
        (f"/api/v1/runs/{THERE}", Need.BETTER),
        (f"/runs/{THERE}", Need.BETTER),
        ("/api/v1/runs/unknown/logs", Need.NONE),
        ("/api/v1/python/0123", Need.BETTER),
        ("/api/v1/plan", Need.NONE),
        ("/deployments/a", Need.NONE),
    ],
)
def test_a_standby_answers_what_the_database_has(path: str, expected: Need) -> None:
    assert need(path) is expected


@pytest.mark.parametrize("path", ["/api/v1/plan", "/source", "/deployments/a", f"/api/v1/runs/{HERE}/diff"])
def test_a_standby_without_the_commits_asks_the_leader(path: str) -> None:
    assert need(path, has_source=False) is Need.BETTER


@pytest.mark.parametrize("path", ["/api/v1/deployments/a/runs", "/hooks/a", "/api/v1/unknown", "/"])
def test_changes_need_the_leader(path: str) -> None:
    assert need(path, is_safe=False) is Need.ONLY


@pytest.mark.parametrize("path", ["/login", "/logout", "/api/v1/login-links"])
def test_logins_are_those_of_one_controller(path: str) -> None:
    assert need(path, is_safe=False) is Need.NONE


def test_the_leader_believes_an_author_for_a_minute_if_the_tokens_are_equal(tmp_path: Path) -> None:
    clock = ManualClock()
    found = []
    for name, token in (("standby", "t"), ("leader", "t"), ("other", "u")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(token * 43)
        found.append(Credentials(tmp_path / name, clock))
    standby, leader, other = found
    proof = standby.sign_author("dashboard: Ada Lovelacé")
    assert leader.forwarded_author(proof) == "dashboard: Ada Lovelacé"
    assert other.forwarded_author(proof) is None
    assert leader.forwarded_author(proof.replace("forwarded.1", "forwarded.9")) is None
    assert leader.forwarded_author("") is None
    assert not leader.is_session(proof)
    assert leader.forwarded_author(leader.new_session()) is None
    clock.turn(FORWARDED_LIFE + timedelta(seconds=1))
    assert leader.forwarded_author(proof) is None


def test_a_leader_that_accepts_connections_and_never_answers_is_unreachable(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "ANSWER_SECONDS", 0.1)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    with socket.create_server(("127.0.0.1", 0)) as leader:
        url = f"http://127.0.0.1:{leader.getsockname()[1]}"
        forwarder = Forwarder(find_url=lambda: url, has_files=lambda _: True, has_source=True)
        middleware = forwarding.ForwardingMiddleware(FastAPI(), forwarder, Credentials(tmp_path, clock))
        path = "/node/v1/attempts/c/beat"
        scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
        asyncio.run(middleware({**scope, "headers": []}, receive, send))
    assert sent[0]["status"] == 503
