"""Messages, digests, tests and heartbeats as receivers get them, and what is recorded about them."""

import hashlib
import hmac
import json
from datetime import timedelta

import pytest

from controller.errors import NotFoundError
from controller.model.notifications import ChannelState, MessageState
from tests.receivers import SmtpServer, WebhookReceiver
from tests.unit.notify.delivery.conftest import Desk, titles

KEY = "the-key-that-signs"


def test_a_webhook_gets_signed_json(desk: Desk, receiver: WebhookReceiver) -> None:
    desk.variables["KEY"] = KEY
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}/alerts?to=me', hmac: {{env: KEY}}}}}}")
    desk.open()
    message = desk.write(
        "hook", run_id="r1", reason="KeyError", incident_id=7, payload={"url": "https://flows/runs/r1"}
    )
    desk.deliver()
    [request] = receiver.accepted
    assert request.path == "/alerts?to=me"
    signed = request.headers["X-Controller-Timestamp"].encode() + b"." + request.body
    expected = hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()
    assert request.headers["X-Controller-Signature"] == f"sha256={expected}"
    assert request.headers["X-Controller-Timestamp"] == str(int(desk.clock.now().timestamp()))
    assert request.headers["X-Controller-Delivery"] == message.id
    assert json.loads(request.body) == {
        "id": message.id,
        "state": "failed",
        "deployment": "load-orders",
        "run_id": "r1",
        "reason": "KeyError",
        "title": "load-orders failed",
        "body": "KeyError: 'total'",
        "incident_id": 7,
        "created_at": "2026-06-01T12:00:00Z",
        "url": "https://flows/runs/r1",
    }
    recorded = desk.message(message)
    assert (recorded.delivery, recorded.attempts, recorded.error) == (MessageState.SENT, 1, None)
    assert recorded.sent_at == desk.clock.now()
    assert desk.status("hook").state is ChannelState.READY
    assert desk.status("hook").sent_at == desk.clock.now()


def test_a_mail_arrives(desk: Desk, smtp: SmtpServer) -> None:
    smtp.messages.clear()
    desk.declare(f"channels: {{mail: {{url: '{smtp.url()}'}}}}")
    desk.open()
    desk.write("mail", "load-orders failed: <KeyError>")
    desk.deliver()
    [mail] = smtp.messages
    assert mail["Subject"] == "load-orders failed: <KeyError>"
    assert mail["To"] == "ops@example.com"
    body = mail.get_body(("plain", "html"))
    assert body is not None
    assert "KeyError" in body.get_content()
    assert desk.status("mail").kind == "mailto"


def test_quiet_hours_delay_messages_and_keep_their_order(desk: Desk, receiver: WebhookReceiver) -> None:
    quiet = "{from: 11:00, to: 14:00, timezone: UTC}"
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}', quiet: {quiet}}}}}")
    delivery = desk.open()
    desk.write("hook", "first")
    desk.clock.turn(timedelta(seconds=5))
    desk.write("hook", "second")
    desk.deliver()
    assert receiver.attempts == 0
    assert delivery.next_time() == desk.clock.now().replace(hour=14, second=0)
    desk.pass_time(timedelta(hours=2))
    assert titles(receiver) == ["first", "second"]


def test_quiet_hours_that_are_removed_delay_nothing(desk: Desk, receiver: WebhookReceiver) -> None:
    quiet = "{from: 11:00, to: 14:00, timezone: UTC}"
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}', quiet: {quiet}}}}}")
    desk.open()
    desk.write("hook")
    desk.deliver()
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}'}}}}")
    assert desk.registry.refresh()
    desk.deliver()
    assert len(receiver.accepted) == 1


def test_a_digest_collects_the_messages_of_a_day(desk: Desk, receiver: WebhookReceiver) -> None:
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}', digest: 08:00, timezone: Europe/Berlin}}}}")
    desk.open()
    written = [desk.write("hook", title) for title in ("a failed", "b failed")]
    desk.pass_time(timedelta(hours=18) - timedelta(seconds=1))
    assert receiver.attempts == 0
    desk.pass_time(timedelta(seconds=1))
    [request] = receiver.accepted
    digest = json.loads(request.body)
    assert digest["state"] == "digest"
    assert digest["title"] == "2 messages"
    assert digest["body"] == ("2026-06-01 14:00:00+02:00: a failed\n2026-06-01 14:00:00+02:00: b failed")
    assert [message["id"] for message in digest["messages"]] == [message.id for message in written]
    assert {desk.message(message).delivery for message in written} == {MessageState.SENT}
    last = desk.write("hook", "c failed")
    desk.pass_time(timedelta(days=1))
    assert [json.loads(request.body)["id"] for request in receiver.accepted[1:]] == [last.id]


def test_a_test_message_is_sent_at_once_and_recorded(desk: Desk, receiver: WebhookReceiver) -> None:
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}', digest: 08:00}}}}")
    delivery = desk.open()
    sent = delivery.send_test("hook")
    assert sent.delivery is MessageState.SENT
    assert desk.message(sent) == sent
    assert titles(receiver) == ["Test message of controller"]
    receiver.status = 403
    failed = delivery.send_test("hook")
    assert failed.delivery is MessageState.UNDELIVERABLE
    assert failed.error == "The receiver responded 403 Forbidden."
    assert desk.status("hook").state is ChannelState.FAILING
    with pytest.raises(NotFoundError, match="There is no channel 'hok'") as near:
        delivery.send_test("hok")
    assert near.value.hint == "did you mean hook?"
    with pytest.raises(NotFoundError) as unknown:
        delivery.send_test("wrong")
    assert unknown.value.hint == "Declared channels: hook."


def test_heartbeats_are_sent_in_parallel_and_expire(desk: Desk, receiver: WebhookReceiver) -> None:
    desk.declare("channels: {}")
    desk.heartbeats = {"a": f"{receiver.url}/ping/a", "b": f"{receiver.url}/ping/b?rid=1"}
    desk.open()
    start = desk.write("heartbeat/a", state="heartbeat", deployment="a", body="", payload={"suffix": "/start"})
    desk.write("heartbeat/b", state="heartbeat", deployment="b", body="KeyError", payload={"suffix": "/fail"})
    desk.deliver()
    requests = {request.path: request.body for request in receiver.accepted}
    assert requests == {"/ping/a/start": b"", "/ping/b/fail?rid=1": b"KeyError"}
    assert desk.message(start).delivery is MessageState.SENT
    receiver.status = 500
    lost = desk.write("heartbeat/a", state="heartbeat", deployment="a", body="", payload={"suffix": ""})
    desk.pass_time(timedelta(minutes=15))
    assert desk.message(lost).delivery is MessageState.UNDELIVERABLE
    assert desk.message(lost).error == "The receiver responded 500 Internal Server Error."


def test_the_heartbeats_of_a_deployment_arrive_in_order(desk: Desk, receiver: WebhookReceiver) -> None:
    desk.declare("channels: {}")
    desk.heartbeats = {name: f"{receiver.url}/ping/{name}" for name in ("a", "b")}
    desk.open()
    suffixes = ("/start", "/fail", "/start", "")
    for suffix in suffixes:
        for name in ("a", "b"):
            desk.write(f"heartbeat/{name}", state="heartbeat", deployment=name, body="", payload={"suffix": suffix})
    desk.deliver()
    for name in ("a", "b"):
        paths = [request.path for request in receiver.accepted if request.path.startswith(f"/ping/{name}")]
        assert paths == [f"/ping/{name}{suffix}" for suffix in suffixes]
