"""All deployments at a glance, remembered for as long as nothing changes: many may look at once and often.

It is made anew after a commit of the state, at the next fire time, and twice a minute; and where making it takes long,
not more often than every tenfold of that.
"""

import threading
from datetime import datetime, timedelta

from controller.clock import Clock
from controller.store import Store
from controller.store.changes import Changes
from controller.views.deployments import DeploymentView, list_deployments

_LONGEST = timedelta(seconds=30)
_REST = 10


class Board:
    """Safe to use from several threads."""

    def __init__(self, store: Store, changes: Changes, clock: Clock) -> None:
        self._store = store
        self._changes = changes
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp: int | None = None
        self._not_before = 0.0
        self._until: datetime | None = None
        self._views: list[DeploymentView] = []

    def deployments(self) -> list[DeploymentView]:
        """Every deployment, problems first, as `list_deployments` has it."""
        with self._lock:
            now, begin = self._clock.now(), self._clock.monotonic()
            stamp = self._changes.stamp()
            is_fresh = stamp == self._stamp and self._until is not None and now < self._until
            if is_fresh or begin < self._not_before:
                return self._views
            with self._store.read() as tx:
                self._views = list_deployments(tx, now)
            self._stamp = stamp
            fires = [view.next_fire_time for view in self._views if view.next_fire_time is not None]
            self._until = min([now + _LONGEST, *fires])
            took = self._clock.monotonic() - begin
            self._not_before = begin + took * _REST if took > 0.05 else 0.0
            return self._views

    def close(self) -> None:
        """Give the file back."""
        self._changes.close()
