"""What is forgotten, and when: runs with their logs, due times, events. A little with every tick.

Called on the engine's thread. A run that is not final is never touched, nor the newest final one of a deployment.
Nothing is forgotten for its age while the clock may be wrong: not within ten minutes of a start or of a jump.
"""

import logging
import re
import shutil
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from controller.clock import Clock
from controller.model.policies import Retention
from controller.model.status import InventoryEntry
from controller.runs.admission import Admission
from controller.store import Store, Transaction, inventory, retention

log = logging.getLogger(__name__)

RUNS = 1000
"""How many final runs of a deployment are kept unless it says otherwise."""
DAYS = 90
"""For how many days final runs are kept unless their deployment says otherwise; and skipped due times, and events."""
LEDGER_DAYS = 400
"""For how many days it is remembered that a due time had a run: that keeps it from having another one."""
EVENTS = 100_000
TRUST = timedelta(minutes=10)
"""How long the clock must have gone on evenly before anything is forgotten for its age."""
DEPLOYMENTS_A_TICK = 20
ROWS_A_TICK = 500
TICKS_BETWEEN_LOOKS_AT_THE_DISK = 360

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Sweeper:
    """Goes round the deployments. What it has deleted from the store it deletes from the disk afterwards."""

    def __init__(self, store: Store, clock: Clock, admission: Admission, directory: Path) -> None:
        self._store = store
        self._clock = clock
        self._admission = admission
        self._directory = directory
        self._last_name = ""
        self._ticks = 0
        self._stuck: set[str] = set()
        self._since = (clock.now(), clock.elapsed())

    def sweep(self) -> None:
        """Forget a little. Raises StateError."""
        now = self._clock.now()
        if not self._is_steady(now):
            return
        gone: list[str] = []
        with self._store.write() as tx:
            names = retention.deployments_after(tx, self._last_name, DEPLOYMENTS_A_TICK)
            self._last_name = names[-1] if len(names) == DEPLOYMENTS_A_TICK else ""
            for name in names:
                gone += self._sweep_one(tx, name, now, ROWS_A_TICK - len(gone))
            retention.delete_events(tx, keep=EVENTS, before=now - timedelta(days=DAYS), limit=ROWS_A_TICK)
        self._remove(gone)
        if self._ticks % TICKS_BETWEEN_LOOKS_AT_THE_DISK == 0:
            self._remove_orphans()
        self._ticks += 1

    def _is_steady(self, now: datetime) -> bool:
        """Whether the clock has gone on evenly for a while; a jump starts the while again."""
        elapsed = self._clock.elapsed()
        went = now - self._since[0]
        passed = timedelta(seconds=elapsed - self._since[1])
        if abs(went - passed) > timedelta(minutes=1):
            self._since = (now, elapsed)
            return False
        return passed >= TRUST

    def _sweep_one(self, tx: Transaction, name: str, now: datetime, limit: int) -> list[str]:
        entry = inventory.find(tx, name)
        said = self._retention(entry)
        days = DAYS if said.days is None else said.days
        gone = retention.find_expired(
            tx,
            name,
            keep=RUNS if said.runs is None else said.runs,
            before=now - timedelta(days=days),
            limit=max(0, limit),
        )
        retention.delete_runs(tx, gone)
        retention.delete_due_times(
            tx,
            name,
            skipped_before=now - timedelta(days=DAYS),
            run_before=now - timedelta(days=LEDGER_DAYS),
            limit=ROWS_A_TICK,
        )
        if gone:
            fields = {"deployment": name, "count": len(gone)}
            tx.after_commit(partial(log.info, "Old runs deleted", extra=fields))
        return list(gone)

    def _retention(self, entry: InventoryEntry | None) -> Retention:
        """What the deployment says; nothing if its recorded document can't be understood any more."""
        try:
            return Retention() if entry is None else self._admission.deployment(entry).retention
        except Exception:
            log.exception("The retention of a deployment can't be read", extra={"deployment": entry and entry.name})
            return Retention()

    def _remove(self, run_ids: Iterable[str]) -> None:
        """Remove the directories of these runs. Their names come from the database: nothing else is followed."""
        for run_id in run_ids:
            if _RUN_ID.fullmatch(run_id):
                self._remove_one(self._directory / run_id)

    def _remove_one(self, place: Path) -> None:
        """What can't be removed stays, and is told once."""
        failed: list[BaseException] = []
        try:
            if place.is_symlink() or not place.is_dir():
                place.unlink(missing_ok=True)
            else:
                shutil.rmtree(place, onerror=lambda _, __, raised: failed.append(raised[1]))
        except OSError as error:
            failed.append(error)
        if failed and place.name not in self._stuck:
            self._stuck.add(place.name)
            fields = {"directory": str(place), "error": str(failed[0])}
            log.warning("The directory of a deleted run can't be removed", extra=fields)

    def _remove_orphans(self) -> None:
        """Directories whose run is gone: a controller ended between the two deletions."""
        try:
            found = [path.name for path in self._directory.iterdir() if _RUN_ID.fullmatch(path.name)]
        except OSError as error:
            log.warning("The run directories can't be listed", extra={"error": str(error)})
            return
        with self._store.read() as tx:
            orphans = retention.unknown_ids(tx, found)
        self._remove(orphans)
