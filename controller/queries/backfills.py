"""Backfills with their progress, as all user interfaces show them."""

from collections.abc import Sequence
from dataclasses import asdict

from controller.errors import NotFoundError
from controller.model import extend
from controller.model.backfills import Backfill, BackfillDetail, BackfillProgress
from controller.model.runs import ACTIVE, FAILURES, RunState
from controller.store import Transaction, backfills

_FAILURES_SHOWN = 100
_UNFINISHED_SHOWN = 10


def list_backfills(
    tx: Transaction, limit: int, *, deployment: str | None = None, before: str | None = None
) -> list[BackfillProgress]:
    """Return the newest `limit` backfills, of one deployment or of all, with ids below `before`; newest first."""
    return _with_progress(tx, backfills.find_newest(tx, limit, deployment=deployment, before=before))


def list_unfinished(tx: Transaction, limit: int) -> tuple[list[BackfillProgress], int]:
    """Return the newest `limit` running and paused backfills, newest first, and the number of the others."""
    unfinished = backfills.find_unfinished(tx)[::-1]
    return _with_progress(tx, unfinished[:limit]), len(unfinished[limit:])


def find_backfill(tx: Transaction, backfill_id: str) -> BackfillProgress:
    """Return a backfill by its id, or by a unique beginning or end of its id. Raises NotFoundError."""
    matches = backfills.find_by_prefix(tx, backfill_id) if backfill_id else []
    if len(matches) != 1:
        problem = (
            "There is no backfill" if not matches else "There is more than one backfill whose id begins or ends with"
        )
        raise NotFoundError(f"{problem} {backfill_id!r}.", hint="See `controller backfills list`.")
    return _with_progress(tx, matches)[0]


def show_backfill(tx: Transaction, backfill_id: str) -> BackfillDetail:
    """Return a backfill by its id, which may be abbreviated, and what failed and is left. Raises NotFoundError."""
    backfill = find_backfill(tx, backfill_id)
    failures = backfills.find_times(tx, backfill.id, FAILURES | {RunState.CANCELLED}, limit=_FAILURES_SHOWN)
    unfinished = backfills.find_times(tx, backfill.id, {None, *ACTIVE}, limit=_UNFINISHED_SHOWN)
    return extend(
        BackfillDetail,
        backfill,
        failures=tuple(failures),
        more_failures=backfill.failed + backfill.cancelled - len(failures),
        unfinished=tuple(unfinished),
        more_unfinished=backfill.running + backfill.waiting - len(unfinished),
    )


def _with_progress(tx: Transaction, matches: Sequence[Backfill]) -> list[BackfillProgress]:
    counts = backfills.count(tx, [backfill.id for backfill in matches])
    numbers = {backfill_id: asdict(progress) for backfill_id, progress in counts.items()}
    for of_backfill in numbers.values():
        del of_backfill["total"]  # a backfill has it
    return [extend(BackfillProgress, backfill, **numbers[backfill.id]) for backfill in matches]
