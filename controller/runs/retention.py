"""Deletes old runs with their logs, due times, backfills and events, in small batches with every tick.

Called on the engine's thread. Unfinished runs and the newest finished run of a deployment are never deleted. For ten
minutes after a start or a clock jump, while the clock may be wrong, nothing is deleted because of its age.
"""

import logging
import re
import shutil
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from controller.clock import Clock
from controller.model.policies import Retention
from controller.model.runs import RunId
from controller.model.status import InventoryEntry
from controller.model.triggers import DELIVERY_LIFE
from controller.runs.admission import Admission
from controller.store import Store, Transaction, inventory, releases, retention, webhooks

log = logging.getLogger(__name__)

RUNS = 1000
"""The default for the number of finished runs to keep per deployment."""
DAYS = 90
"""How many days to keep finished runs by default, and skipped due times, backfills and events always."""
LEDGER_DAYS = 400
"""How many days to remember that a due time had a run, so that it does not get a second one."""
EVENTS = 100_000
TRUST = timedelta(minutes=10)
"""How long the clock must have run evenly before anything is deleted because of its age."""
DEPLOYMENTS_PER_TICK = 20
ROWS_PER_TICK = 500
BACKFILLS_PER_TICK = 1
"""A backfill may have 50,000 due times, which are deleted with it."""
SECONDS_PER_TICK = 0.5
"""How long the removal of directories may delay the runs and the due times. A busy disk needs 10 ms for each."""
TICKS_BETWEEN_ORPHAN_SCANS = 360

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Sweeper:
    """Visits the deployments in turn. Deletes runs from the store first, and then their directories."""

    def __init__(self, store: Store, clock: Clock, admission: Admission, directory: Path) -> None:
        self._store = store
        self._clock = clock
        self._admission = admission
        self._directory = directory
        self._last_name = ""
        self._ticks = 0
        self._stuck: set[str] = set()
        self._removable: deque[str] = deque()
        self._since = (clock.now(), clock.elapsed())

    def sweep(self) -> None:
        """Delete one batch. Raises StateError."""
        now = self._clock.now()
        if not self._is_steady(now):
            return
        with self._store.read() as tx:
            names = retention.deployments_after(tx, self._last_name, DEPLOYMENTS_PER_TICK)
            has_old = _has_old(tx, now) or any(self._has_old(tx, name, now) for name in names)
        if has_old:
            self._removable.extend(self._delete(names, now))
        self._last_name = names[-1] if len(names) == DEPLOYMENTS_PER_TICK else ""
        if self._ticks % TICKS_BETWEEN_ORPHAN_SCANS == 0:
            self._removable.extend(self._find_orphans().difference(self._removable))
        self._ticks += 1
        self._remove()

    def _delete(self, names: Iterable[str], now: datetime) -> list[str]:
        """Delete what has expired of these deployments, and a batch of the other records. Return the deleted runs."""
        deleted: list[str] = []
        with self._store.write() as tx:
            for name in names:
                deleted += self._sweep_one(tx, name, now, ROWS_PER_TICK - len(self._removable) - len(deleted))
            retention.delete_backfills(tx, before=now - timedelta(days=DAYS), limit=BACKFILLS_PER_TICK)
            webhooks.delete_deliveries(tx, before=now - DELIVERY_LIFE, limit=ROWS_PER_TICK)
            retention.delete_events(tx, keep=EVENTS, before=now - timedelta(days=DAYS), limit=ROWS_PER_TICK)
        return deleted

    def _is_steady(self, now: datetime) -> bool:
        """Whether the clock has run evenly for the time TRUST. A jump starts that time again."""
        elapsed = self._clock.elapsed()
        by_clock = now - self._since[0]
        passed = timedelta(seconds=elapsed - self._since[1])
        if abs(by_clock - passed) > timedelta(minutes=1):
            self._since = (now, elapsed)
            return False
        return passed >= TRUST

    def _has_old(self, tx: Transaction, name: str, now: datetime) -> bool:
        """Return whether `_sweep_one` deletes something."""
        skipped_before, run_before = now - timedelta(days=DAYS), now - timedelta(days=LEDGER_DAYS)
        return (
            bool(self._find_expired(tx, name, now, 1))
            or retention.has_old_due_times(tx, name, skipped_before=skipped_before, run_before=run_before)
            or releases.has_old(tx, name)
        )

    def _find_expired(self, tx: Transaction, name: str, now: datetime, limit: int) -> list[RunId]:
        policy = self._retention(inventory.find(tx, name))
        days = DAYS if policy.days is None else policy.days
        keep = RUNS if policy.runs is None else policy.runs
        return retention.find_expired(tx, name, keep=keep, before=now - timedelta(days=days), limit=limit)

    def _sweep_one(self, tx: Transaction, name: str, now: datetime, limit: int) -> list[str]:
        expired = self._find_expired(tx, name, now, max(0, limit))
        retention.delete_runs(tx, expired)
        retention.delete_due_times(
            tx,
            name,
            skipped_before=now - timedelta(days=DAYS),
            run_before=now - timedelta(days=LEDGER_DAYS),
            limit=ROWS_PER_TICK,
        )
        releases.delete_old(tx, name)
        if expired:
            fields = {"deployment": name, "count": len(expired)}
            tx.after_commit(partial(log.info, "Old runs deleted", extra=fields))
        return list(expired)

    def _retention(self, entry: InventoryEntry | None) -> Retention:
        """Return the retention of the deployment; the defaults if its recorded document is no longer valid."""
        try:
            return Retention() if entry is None else self._admission.deployment(entry).retention
        except Exception:
            log.exception("The retention of a deployment can't be read", extra={"deployment": entry and entry.name})
            return Retention()

    def _remove(self) -> None:
        """Remove directories of deleted runs, for `SECONDS_PER_TICK`; the others wait for the next tick.

        The ids come from the database, so only valid ids are accepted.
        """
        end = self._clock.elapsed() + SECONDS_PER_TICK
        while self._removable and self._clock.elapsed() < end:
            run_id = self._removable.popleft()
            if _RUN_ID.fullmatch(run_id):
                self._remove_one(self._directory / run_id)

    def _remove_one(self, directory: Path) -> None:
        """Remove a directory. If that fails, leave the rest in place and log it once."""
        failed: list[BaseException] = []
        try:
            if directory.is_symlink() or not directory.is_dir():
                directory.unlink(missing_ok=True)
            else:
                shutil.rmtree(directory, onerror=lambda _, __, raised: failed.append(raised[1]))
        except OSError as error:
            failed.append(error)
        if failed and directory.name not in self._stuck:
            self._stuck.add(directory.name)
            fields = {"directory": str(directory), "error": str(failed[0])}
            log.warning("The directory of a deleted run can't be removed", extra=fields)

    def _find_orphans(self) -> set[str]:
        """Return the directories without a run, which remain if a controller ends between the two deletions."""
        try:
            names = [path.name for path in self._directory.iterdir() if _RUN_ID.fullmatch(path.name)]
        except OSError as error:
            log.warning("The run directories can't be listed", extra={"error": str(error)})
            return set()
        with self._store.read() as tx:
            return retention.unknown_ids(tx, names)


def _has_old(tx: Transaction, now: datetime) -> bool:
    """Return whether backfills, deliveries or events have expired."""
    before = now - timedelta(days=DAYS)
    return (
        retention.has_old_backfills(tx, before=before)
        or webhooks.has_old_deliveries(tx, now - DELIVERY_LIFE)
        or retention.has_old_events(tx, keep=EVENTS, before=before)
    )
