"""The deletion of old messages writes only if there are any, and causes no endless series of commits."""

from datetime import timedelta

from controller.model.notifications import Message, MessageState
from controller.notify.retention import INTERVAL, MessageRetention
from controller.store import Store, messages
from tests.conftest import NOW
from tests.postgresql import BOTH_DATABASES

DAY = timedelta(days=1)


def add_old_message(store: Store) -> None:
    """Record a message that was sent long ago."""
    old = NOW - 40 * DAY
    message = Message(
        id=f"message-{store.commits}",
        channel="ops",
        state="failing",
        title="etl failed",
        body="",
        delivery=MessageState.SENT,
        created_at=old,
        not_before=old,
    )
    with store.write() as tx:
        messages.add(tx, [message])


@BOTH_DATABASES
def test_a_call_after_each_commit_writes_once_an_hour(store: Store) -> None:
    retention = MessageRetention(store)
    add_old_message(store)
    before = store.commits
    assert retention.sweep(NOW) == NOW + INTERVAL
    assert store.commits == before + 1
    add_old_message(store)
    for minutes in range(1, 60):
        assert retention.sweep(NOW + timedelta(minutes=minutes)) == NOW + INTERVAL
    assert store.commits == before + 2
    retention.sweep(NOW + INTERVAL)
    assert store.commits == before + 3
    add_old_message(store)
    retention.sweep(NOW)  # the clock was set back
    assert store.commits == before + 5


@BOTH_DATABASES
def test_without_old_messages_nothing_is_written(store: Store) -> None:
    before = store.writes.count
    retention = MessageRetention(store)
    for hours in range(5):
        retention.sweep(NOW + hours * INTERVAL)
    assert store.writes.count == before
