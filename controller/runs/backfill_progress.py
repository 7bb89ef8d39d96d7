"""Continues backfills when their runs have ended. Used by the engine's thread."""

import logging
from collections.abc import Callable, Iterable

from controller.clock import Clock
from controller.errors import ControllerError
from controller.model.runs import Run
from controller.runs.admission import Admission
from controller.runs.backfill_runs import REFILL, BackfillRuns
from controller.store import Store, backfills

log = logging.getLogger(__name__)


class BackfillProgress:
    """Creates further runs of backfills, and ends backfills. Calls `wake` when it has created runs."""

    def __init__(self, store: Store, clock: Clock, admission: Admission, wake: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._runs = BackfillRuns(admission)
        self._wake = wake
        self._has_changes = False

    def note_ended(self, ended: Iterable[Run]) -> None:
        """Record that these runs have ended. `advance` continues their backfills; if it fails, its next call does."""
        self._has_changes = self._has_changes or any(run.backfill_id is not None for run in ended)

    def advance(self, *, everything: bool) -> None:
        """Create further runs of backfills if one of their runs has ended, or if `everything`. Raises StateError."""
        if not everything and not self._has_changes:
            return
        with self._store.read() as tx:
            ready = backfills.find_ready(tx, REFILL)
        created = [backfill_id for backfill_id in ready if self._advance(backfill_id)]
        self._has_changes = bool(created)  # some of the new runs may have failed at once
        if created:
            self._wake()

    def _advance(self, backfill_id: str) -> bool:
        """Create further runs of one backfill, so that a fault in it does not affect others. Return whether it did."""
        try:
            with self._store.write() as tx:
                return bool(self._runs.advance(tx, backfill_id, self._clock.now()))
        except ControllerError:
            raise
        except Exception:
            log.exception("Runs of a backfill can't be created; retrying", extra={"backfill": backfill_id})
            return False
