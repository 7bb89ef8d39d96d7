"""The overview page: problems that need attention, running flows, backfills, failures, and the next fire times.

Its timeline has half-hour slots: the runs of the last 24 hours by outcome, and the fire times of the next 24 hours.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from controller.model.backfills import BackfillProgress
from controller.model.runs import FAILURES, RunState
from controller.queries.attention import Attention, find_attention
from controller.queries.backfills import list_unfinished
from controller.queries.deployments import DeploymentView
from controller.queries.fire_timeline import DAY, SLOT, floor
from controller.queries.in_progress import InProgress, find_in_progress
from controller.store import Transaction, run_statistics, source_status
from controller.store.run_statistics import Failures

MOST_ATTENTION = 20
MOST_ROWS = 10
MOST_BACKFILLS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Half an hour of the timeline: its runs by outcome, and the approximate number of its fire times."""

    start: datetime
    succeeded: int
    failed: int
    other: int
    upcoming: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The content of the overview page. `more_attention` and `more_backfills` count what is not listed."""

    attention: tuple[Attention, ...]
    more_attention: int
    in_progress: InProgress
    backfills: tuple[BackfillProgress, ...]
    more_backfills: int
    next_fires: tuple[DeploymentView, ...]
    failures: tuple[Failures, ...]
    slots: tuple[Slot, ...]
    now: datetime
    succeeded: int
    failed: int
    deployments: int


def overview(tx: Transaction, views: list[DeploymentView], now: datetime, future: Mapping[datetime, float]) -> Overview:
    """Build the overview from all deployments. `future` has the number of fire times by slot in the next 24 hours."""
    problems = list(find_attention(source_status.find(tx), views))
    slots = tuple(_slots(tx, future, now))
    backfills, more_backfills = list_unfinished(tx, MOST_BACKFILLS)
    fires = heapq.nsmallest(MOST_ROWS, (view for view in views if view.next_start is not None), key=_next_start)
    return Overview(
        attention=tuple(problems[:MOST_ATTENTION]),
        more_attention=max(0, len(problems) - MOST_ATTENTION),
        in_progress=find_in_progress(tx, now, MOST_ROWS),
        backfills=tuple(backfills),
        more_backfills=more_backfills,
        next_fires=tuple(fires),
        failures=tuple(run_statistics.failures(tx, now - DAY, MOST_ROWS)),
        slots=slots,
        now=now,
        succeeded=sum(slot.succeeded for slot in slots),
        failed=sum(slot.failed for slot in slots),
        deployments=len(views),
    )


def _next_start(view: DeploymentView) -> tuple[datetime, str]:
    assert view.next_start is not None
    return view.next_start, view.name


def _slots(tx: Transaction, future: Mapping[datetime, float], now: datetime) -> Iterator[Slot]:
    first = floor(now - DAY)
    past = run_statistics.by_slot(tx, first, SLOT)
    for index in range(int(2 * DAY / SLOT) + 1):
        start = first + index * SLOT
        ended = Counter({state: past.get((start, state), 0) for state in RunState})
        succeeded, failed = ended[RunState.SUCCEEDED], sum(ended[state] for state in FAILURES)
        yield Slot(
            start=start,
            succeeded=succeeded,
            failed=failed,
            other=ended.total() - succeeded - failed,
            upcoming=round(future.get(start, 0)),
        )
