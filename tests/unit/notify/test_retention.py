"""The deletion of old messages causes no endless series of commits."""

from datetime import timedelta

from controller.notify.retention import INTERVAL, MessageRetention
from controller.store import Store
from tests.conftest import NOW
from tests.postgresql import BOTH_DATABASES


@BOTH_DATABASES
def test_a_call_after_each_commit_writes_once_an_hour(store: Store) -> None:
    retention = MessageRetention(store)
    before = store.commits
    assert retention.sweep(NOW) == NOW + INTERVAL
    for minutes in range(1, 60):
        assert retention.sweep(NOW + timedelta(minutes=minutes)) == NOW + INTERVAL
    assert store.commits == before + 1
    retention.sweep(NOW + INTERVAL)
    assert store.commits == before + 2
    retention.sweep(NOW)  # the clock was set back
    assert store.commits == before + 3
