"""When each deployment last succeeded, updated incrementally. `/metrics` reads it often.

Each call reads only the runs that have been created since the last one, and those that had not finished then.
"""

import threading
from collections.abc import Collection, Mapping
from datetime import datetime

from controller.model.runs import RunId, RunState, first_unread_id
from controller.store import Transaction, last_successes, runs


class LastSuccesses:
    """The end of the last successful run of each deployment. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._names: frozenset[str] = frozenset()
        self._times: dict[str, datetime] = {}
        self._is_loaded = False
        self._last_id = ""
        self._unfinished: set[RunId] = set()

    def refresh(self, tx: Transaction, deployments: Collection[str]) -> Mapping[str, datetime]:
        """Return the times of these deployments by name, without those that never succeeded."""
        with self._lock:
            names = frozenset(deployments)
            if self._is_loaded:
                self._read_changes(tx)
            else:
                self._unfinished, self._last_id = last_successes.find_unfinished(tx), runs.newest_id(tx) or ""
                self._is_loaded = True
            if new := names - self._names:  # also one that was renamed, whose runs have the new name now
                self._times |= last_successes.find(tx, new)
            self._names = names
            self._times = {name: at for name, at in self._times.items() if name in names}
            return self._times

    def _read_changes(self, tx: Transaction) -> None:
        for end in last_successes.find_ends(tx, first_unread_id(self._last_id), self._unfinished):
            self._last_id = max(self._last_id, end.id)
            if not end.state.is_terminal:
                self._unfinished.add(end.id)
                continue
            self._unfinished.discard(end.id)
            at, last = end.finished_at, self._times.get(end.deployment)
            if end.state is RunState.SUCCEEDED and at is not None and (last is None or at > last):
                self._times[end.deployment] = at
