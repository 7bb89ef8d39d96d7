"""The delivery of one controller with a manual clock, and real receivers for it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from controller.model.notifications import ChannelStatus, Message, SettingsProblem
from controller.notify.channels import ChannelRegistry
from controller.notify.delivery import Delivery
from controller.runs.ids import RunIds
from controller.store import Store, messages
from tests.conftest import ManualClock, wait_until
from tests.receivers import SmtpServer, WebhookReceiver, smtp_server, webhook_receiver


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
    registries: list[ChannelRegistry] = field(default_factory=list)
    heartbeats: dict[str, str] = field(default_factory=dict)
    repository: str | None = None

    def declare(self, text: str) -> None:
        """Write notify.yaml."""
        (self.directory / "notify.yaml").write_text(text, encoding="utf-8")

    def open(self) -> Delivery:
        """Start a controller's delivery, with the present file."""
        file = self.directory / "notify.yaml"
        registry = ChannelRegistry(self.store, self.clock, file, self.variables, repository=self.repository)
        registry.load()
        delivery = Delivery(
            self.store,
            self.clock,
            registry,
            new_id=self.ids.new,
            ca=self.ca,
            find_heartbeat_url=lambda _, message: self.heartbeats.get(message.deployment or ""),
        )
        self.registries.append(registry)
        self.opened.append(delivery)
        return delivery

    @property
    def registry(self) -> ChannelRegistry:
        return self.registries[-1]

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

    def skip_time(self, by: timedelta) -> None:
        """Let time pass, and deliver only what is due at its end, as after a suspension of the machine."""
        self.clock.turn(by)
        self.deliver()

    def message(self, message: Message) -> Message:
        with self.store.read() as tx:
            recorded = messages.find(tx, message.id)
        assert recorded is not None
        return recorded

    def problem(self) -> SettingsProblem | None:
        """The recorded problem of the file, which is the one that the controller knows."""
        with self.store.read() as tx:
            problem = messages.find_settings_problem(tx)
        assert problem == self.registry.problem
        return problem

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
    """The titles of the messages that the receiver accepted."""
    return [json.loads(request.body)["title"] for request in receiver.accepted]
