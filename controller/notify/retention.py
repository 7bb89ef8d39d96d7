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
        self._swept_at: datetime | None = None
        self._pause = timedelta()

    def sweep(self, now: datetime) -> datetime:
        """Delete one batch, if it is time for that. Return when to call it again. Raises StateError.

        A call after each commit writes nothing: its own commit would cause the next call.
        """
        if self._swept_at is not None and timedelta() <= now - self._swept_at < self._pause:
            return self._swept_at + self._pause
        with self._store.read() as tx:
            has_old = (
                messages.has_old(tx, before=now - KEPT)
                or messages.has_old(tx, before=now - HEARTBEATS_KEPT, state="heartbeat")
                or incidents.has_old(tx, before=now - KEPT)
            )
        has_more = has_old and self._delete(now)
        self._swept_at, self._pause = now, _BATCH_INTERVAL if has_more else INTERVAL
        return now + self._pause

    def _delete(self, now: datetime) -> bool:
        """Delete one batch. Return whether there may be more."""
        with self._store.write() as tx:
            counts = (
                messages.delete_old(tx, before=now - KEPT, limit=BATCH),
                messages.delete_old(tx, before=now - HEARTBEATS_KEPT, limit=BATCH, state="heartbeat"),
                incidents.delete_old(tx, before=now - KEPT, limit=BATCH),
            )
        return max(counts) == BATCH
