"""Deletes old messages and incidents, a few at a time. Called by the thread of notifications."""

from datetime import datetime, timedelta

from controller.store import Store, incidents, messages

KEPT = timedelta(days=30)
"""How long messages, and incidents that are over, are kept. Messages that wait for delivery are never deleted."""
HEARTBEATS_KEPT = timedelta(days=1)
INTERVAL = timedelta(hours=1)
BATCH = 500
"""How many rows of a kind one transaction deletes."""
_BATCH_INTERVAL = timedelta(seconds=2)


class MessageRetention:
    """Deletes what is older than 30 days, and heartbeats that are older than a day."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def sweep(self, now: datetime) -> datetime:
        """Delete one batch. Return when to call it again. Raises StateError."""
        with self._store.write() as tx:
            counts = (
                messages.delete_old(tx, before=now - KEPT, limit=BATCH),
                messages.delete_old(tx, before=now - HEARTBEATS_KEPT, limit=BATCH, state="heartbeat"),
                incidents.delete_old(tx, before=now - KEPT, limit=BATCH),
            )
        return now + (_BATCH_INTERVAL if max(counts) == BATCH else INTERVAL)
