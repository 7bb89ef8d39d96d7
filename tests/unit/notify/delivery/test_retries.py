"""Failing deliveries: the pauses, the order, other channels, and the end after a day."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from controller.errors import StateError
from controller.model.notifications import ChannelState, MessageState
from controller.store import messages
from tests.conftest import wait_until
from tests.receivers import WebhookReceiver, free_port, webhook_receiver
from tests.unit.notify.delivery.conftest import Desk, titles


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
    [request] = receiver.accepted
    combined = json.loads(request.body)
    assert (combined["state"], combined["title"]) == ("digest", "20 messages")
    assert [message["title"] for message in combined["messages"]] == [str(number) for number in range(20)]
    assert desk.message(first).delivery is MessageState.SENT
    assert desk.status("hook").state is ChannelState.READY
    assert desk.opened[-1].next_time() is None


def test_a_few_messages_or_new_ones_are_sent_one_by_one(desk: Desk, receiver: WebhookReceiver) -> None:
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}'}}}}")
    desk.open()
    for number in range(5):
        desk.write("hook", f"new {number}")
    desk.deliver()
    receiver.status = 503
    for number in range(3):
        desk.write("hook", f"old {number}")
    desk.pass_time(timedelta(minutes=30))
    receiver.status = 204
    desk.pass_time(timedelta(minutes=15))
    assert titles(receiver) == [*(f"new {number}" for number in range(5)), *(f"old {number}" for number in range(3))]


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
        stuck.release = threading.Event()
        desk.clock.turn(timedelta(seconds=10))
        delivery.deliver_due(desk.clock.now())
        assert len(delivery.active) == 3
        desk.write("hook")
        delivery.deliver_due(desk.clock.now())
        wait_until(lambda: len(receiver.accepted) == 1)
        stuck.release.set()
        wait_until(lambda: not delivery.active)


def test_a_message_is_undeliverable_after_a_day(desk: Desk) -> None:
    desk.declare(f"channels: {{hook: {{webhook: 'https://localhost:{free_port()}'}}}}")
    desk.open()
    message = desk.write("hook")
    desk.clock.turn(timedelta(hours=23))
    with desk.store.write() as tx:  # nearly all of its attempts were made
        messages.update_delivery(tx, replace(message, attempts=95))
    desk.deliver()
    assert desk.message(message).delivery is MessageState.WAITING
    desk.pass_time(timedelta(hours=1, minutes=15))
    recorded = desk.message(message)
    assert recorded.delivery is MessageState.UNDELIVERABLE
    assert recorded.error == "The server refused the connection; check the host and the port."


def test_the_receiver_can_demand_a_longer_pause(desk: Desk, receiver: WebhookReceiver) -> None:
    receiver.status, receiver.headers = 429, {"Retry-After": "120"}
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}'}}}}")
    delivery = desk.open()
    desk.write("hook")
    desk.deliver()
    assert delivery.next_time() == desk.clock.now() + timedelta(seconds=120)


def test_a_receiver_that_is_gone_is_asked_once(desk: Desk, receiver: WebhookReceiver) -> None:
    receiver.status = 410
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}'}}}}")
    desk.open()
    message = desk.write("hook")
    desk.pass_time(timedelta(hours=1))
    assert receiver.attempts == 1
    assert desk.message(message).delivery is MessageState.UNDELIVERABLE
    assert desk.message(message).error == "The receiver responded 410 Gone."


def test_a_message_that_is_rejected_delays_others_only_at_first(desk: Desk, receiver: WebhookReceiver) -> None:
    receiver.rejects = b"poison"
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}'}}}}")
    desk.open()
    poison = desk.write("hook", "poison")
    desk.write("hook", "1")
    desk.write("hook", "2")
    desk.pass_time(timedelta(minutes=2))
    assert titles(receiver) == ["1", "2"]
    assert desk.message(poison).error == "Rejected: The receiver responded 422 Unprocessable Entity."
    receiver.rejects = None
    desk.pass_time(timedelta(minutes=15))
    assert titles(receiver) == ["1", "2", "poison"]


def test_a_redirect_is_not_followed(desk: Desk, receiver: WebhookReceiver) -> None:
    receiver.status, receiver.headers = 308, {"Location": "https://elsewhere.example/collect"}
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}'}}}}")
    desk.open()
    message = desk.write("hook")
    desk.deliver()
    error = "The receiver responded 308 Permanent Redirect; redirects are not followed, so use its final URL."
    assert desk.message(message).error == error


def test_a_server_with_an_unknown_certificate_gets_nothing(desk: Desk, receiver: WebhookReceiver) -> None:
    desk.ca = None
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}'}}}}")
    desk.open()
    message = desk.write("hook")
    desk.deliver()
    assert receiver.attempts == 0
    error = (
        "The certificate of the server is not trusted: it comes from an unknown authority; --notify-ca FILE adds it."
    )
    assert desk.message(message).error == error


def test_an_outcome_that_can_not_be_recorded_is_recorded_later(
    desk: Desk, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}'}}}}")
    delivery = desk.open()
    message = desk.write("hook")
    delivery.deliver_due(desk.clock.now())

    def full() -> None:
        raise StateError("The disk is full.")

    monkeypatch.setattr(desk.store, "check", full)
    wait_until(lambda: not delivery.active)
    with pytest.raises(StateError):
        delivery.deliver_due(desk.clock.now())
    monkeypatch.undo()
    desk.deliver()
    assert receiver.attempts == 1
    assert desk.message(message).delivery is MessageState.SENT


CONTROLLER = """
import sys, threading
from pathlib import Path
from controller.clock import SystemClock
from controller.notify.channels import ChannelRegistry
from controller.notify.delivery import Delivery
from controller.store import Store

database, settings, ca = map(Path, sys.argv[1:])
clock, store = SystemClock(), Store.open(database)
registry = ChannelRegistry(store, clock, settings, {})
registry.load()
print("committed", flush=True)
sys.stdin.readline()
delivery = Delivery(store, clock, registry, new_id=str, ca=ca)
delivery.deliver_due(clock.now())
threading.Event().wait()
"""


@pytest.mark.parametrize("moment", ["before the delivery", "during the delivery"])
def test_a_message_arrives_after_the_controller_was_killed(
    desk: Desk, receiver: WebhookReceiver, moment: str, tmp_path: Path
) -> None:
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}'}}}}")
    message = desk.write("hook")
    receiver.release = threading.Event()
    arguments = [str(path) for path in (tmp_path / "state.db", tmp_path / "notify.yaml", receiver.ca)]
    with subprocess.Popen(
        [sys.executable, "-c", CONTROLLER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "committed\n"
        if moment == "during the delivery":
            process.stdin.write("go\n")
            process.stdin.flush()
            wait_until(lambda: receiver.attempts)
        os.kill(process.pid, signal.SIGKILL)
    receiver.release.set()
    desk.open()
    desk.deliver()
    assert desk.message(message).delivery is MessageState.SENT
    assert {request.headers["X-Controller-Delivery"] for request in receiver.accepted} == {message.id}


def test_stopping_does_not_wait_for_a_server(desk: Desk, receiver: WebhookReceiver) -> None:
    receiver.release = threading.Event()
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}'}}}}")
    delivery = desk.open()
    message = desk.write("hook")
    delivery.deliver_due(desk.clock.now())
    wait_until(lambda: receiver.attempts)
    delivery.stop()
    assert not delivery.active
    assert desk.message(message).delivery is MessageState.WAITING
    assert desk.message(message).attempts == 0
