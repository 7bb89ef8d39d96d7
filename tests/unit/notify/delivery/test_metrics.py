"""The metrics of the delivery: attempts, and the age of messages that should have been sent."""

from datetime import datetime, timedelta

from tests.conftest import NOW
from tests.receivers import WebhookReceiver
from tests.unit.notify.delivery.conftest import Desk


def oldest_due(desk: Desk) -> datetime | None:
    with desk.store.read() as tx:
        return desk.opened[-1].oldest_due(tx, desk.clock.now())


def test_attempts_are_counted_and_a_failing_message_is_due_since_it_was_written(
    desk: Desk, receiver: WebhookReceiver
) -> None:
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}'}}}}")
    delivery = desk.open()
    desk.write("hook")
    assert oldest_due(desk) == NOW
    receiver.status = 503
    desk.deliver()
    desk.clock.turn(timedelta(seconds=1))
    assert oldest_due(desk) == NOW  # also between two attempts
    receiver.status = 204
    desk.pass_time(timedelta(seconds=10))
    assert (delivery.statistics.failed, delivery.statistics.sent) == (1, 1)
    assert oldest_due(desk) is None


def test_messages_in_quiet_hours_and_heartbeats_are_not_due(desk: Desk, receiver: WebhookReceiver) -> None:
    quiet = "{from: 11:00, to: 14:00, timezone: UTC}"
    desk.declare(f"channels: {{hook: {{webhook: '{receiver.url}', quiet: {quiet}}}}}")
    desk.open()
    desk.write("hook")
    desk.write("/heartbeats", state="heartbeat")
    assert oldest_due(desk) is None
    desk.clock.turn(timedelta(hours=3))
    assert oldest_due(desk) == NOW
