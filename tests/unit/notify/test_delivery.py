"""Delivery to real receivers: an HTTPS server with a private authority, and an SMTP server."""

import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from controller.errors import NotFoundError
from controller.model.notifications import ChannelState, ChannelStatus, Message, MessageState
from controller.notify.channels import ChannelRegistry
from controller.notify.delivery import Delivery
from controller.runs.ids import RunIds
from controller.store import Store, messages
from tests.conftest import ManualClock, wait_until
from tests.receivers import SmtpServer, WebhookReceiver, free_port, smtp_server, webhook_receiver

KEY = "the-key-that-signs"


@dataclass(slots=True, kw_only=True)
class Desk:
    """The delivery of one controller with a manual clock, and what a test asks it."""

    store: Store
    clock: ManualClock
    directory: Path
    ca: Path | None
    variables: dict[str, str] = field(default_factory=dict)
    ids: RunIds = field(default_factory=RunIds)
    opened: list[Delivery] = field(default_factory=list)

    def declare(self, text: str) -> None:
        """Write notify.yaml."""
        (self.directory / "notify.yaml").write_text(text, encoding="utf-8")

    def open(self) -> Delivery:
        """Start a controller's delivery, with the present file."""
        registry = ChannelRegistry(self.store, self.clock, self.directory / "notify.yaml", self.variables)
        registry.load()
        delivery = Delivery(self.store, self.clock, registry, new_id=self.ids.new, ca=self.ca)
        self.opened.append(delivery)
        return delivery

    def write(self, channel: str, title: str = "load-orders failed", **fields: object) -> Message:
        """Record a message that must be sent."""
        now = self.clock.now()
        message = Message(
            id=self.ids.new(now),
            channel=channel,
            title=title,
            created_at=now,
            not_before=now,
            **{"state": "failed", "body": "KeyError: 'total'", "deployment": "load-orders", **fields},  # type: ignore[arg-type]
        )
        with self.store.write() as tx:
            messages.add(tx, [message])
        return message

    def deliver(self) -> None:
        """Deliver all that is due now, as the notifier does, and wait until it is done."""
        delivery = self.opened[-1]
        while True:
            delivery.deliver_due(self.clock.now())
            if not delivery.active:
                return
            wait_until(lambda: not delivery.active)

    def pass_time(self, by: timedelta) -> None:
        """Let time pass, and deliver whatever becomes due, when it becomes due."""
        end = self.clock.now() + by
        self.deliver()
        while (moment := self.opened[-1].next_time()) is not None and moment <= end:
            self.clock.turn(moment - self.clock.now())
            self.deliver()
        self.clock.turn(end - self.clock.now())

    def message(self, message: Message) -> Message:
        with self.store.read() as tx:
            recorded = messages.find(tx, message.id)
        assert recorded is not None
        return recorded

    def status(self, channel: str) -> ChannelStatus:
        with self.store.read() as tx:
            [status] = [status for status in messages.find_channels(tx) if status.name == channel]
        return status


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[WebhookReceiver]:
    with webhook_receiver(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def smtp() -> Iterator[SmtpServer]:
    with smtp_server() as running:
        yield running


@pytest.fixture
def desk(store: Store, clock: ManualClock, tmp_path: Path, receiver: WebhookReceiver) -> Iterator[Desk]:
    made = Desk(store=store, clock=clock, directory=tmp_path, ca=receiver.ca)
    yield made
    for delivery in made.opened:
        delivery.stop()


def titles(receiver: WebhookReceiver) -> list[str]:
    return [json.loads(request.body)["title"] for request in receiver.accepted]


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


def test_after_an_outage_everything_arrives_once_and_in_order(desk: Desk, receiver: WebhookReceiver) -> None:
    receiver.status = 503
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}'}}}}")
    desk.open()
    first = desk.write("hook", "0")
    desk.pass_time(timedelta(minutes=30))
    assert desk.status("hook").state is ChannelState.FAILING
    assert desk.status("hook").message == "The receiver responded 503 Service Unavailable."
    for number in range(1, 20):
        desk.write("hook", str(number))
        desk.pass_time(timedelta(minutes=1))
    desk.open()  # the controller is started again
    desk.pass_time(timedelta(minutes=11))
    # 10 s, 20 s, … doubling up to 15 min, and once more at the restart
    assert desk.message(first).attempts == receiver.attempts < 15
    receiver.status = 204
    desk.pass_time(timedelta(minutes=15))
    assert titles(receiver) == [str(number) for number in range(20)]
    assert desk.status("hook").state is ChannelState.READY
    assert desk.opened[-1].next_time() is None


def test_a_channel_that_hangs_does_not_delay_others(desk: Desk, receiver: WebhookReceiver, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with webhook_receiver(tmp_path / "other") as stuck:
        desk.ca.write_bytes(desk.ca.read_bytes() + stuck.ca.read_bytes())  # type: ignore[union-attr]
        hooks = "".join(f"\n  stuck{i}: {{webhook: '{stuck.url}'}}" for i in range(6))
        desk.declare(f"channels:\n  hook: {{webhook: '{receiver.url}'}}{hooks}\n")
        delivery = desk.open()
        stuck.status = 500
        for number in range(6):
            desk.write(f"stuck{number}")
        desk.deliver()
        import threading

        stuck.release = threading.Event()
        desk.clock.turn(timedelta(seconds=10))
        delivery.deliver_due(desk.clock.now())
        assert len(delivery.active) == 3
        desk.write("hook")
        delivery.deliver_due(desk.clock.now())
        wait_until(lambda: len(receiver.accepted) == 1)
        stuck.release.set()
        wait_until(lambda: not delivery.active)


def test_a_message_is_undeliverable_after_a_day(desk: Desk, receiver: WebhookReceiver) -> None:
    desk.declare(f"channels: {{hook: {{webhook: 'https://localhost:{free_port()}'}}}}")
    desk.open()
    message = desk.write("hook")
    desk.clock.turn(timedelta(hours=23))
    with desk.store.write() as tx:  # nearly all of its attempts were made
        messages.update_delivery(tx, Message(**{**as_fields(message), "attempts": 95}))
    desk.deliver()
    assert desk.message(message).delivery is MessageState.WAITING
    desk.pass_time(timedelta(hours=1, minutes=15))
    recorded = desk.message(message)
    assert recorded.delivery is MessageState.UNDELIVERABLE
    assert recorded.error == "Connection failed: Connection refused."


def as_fields(message: Message) -> dict[str, object]:
    return {name: getattr(message, name) for name in Message.__dataclass_fields__}
