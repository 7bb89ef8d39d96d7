"""The overview page: problems that need attention, running flows, backfills, failures, and the next fire times.

Its timeline has half-hour slots: the runs of the last 24 hours by outcome, and the fire times of the next 24 hours.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from controller.model.backfills import BackfillProgress
from controller.model.runs import FAILURES, RunState
from controller.queries.attention import RECENT, find_attention
from controller.queries.attention_groups import AttentionGroup, group_attention
from controller.queries.backfills import list_unfinished
from controller.queries.deployment_rows import DeploymentSummary, Start
from controller.queries.deployments import DeploymentState
from controller.queries.executor_conditions import list_cluster_executors
from controller.queries.fire_timeline import DAY, SLOT, SlotFires, Upcoming, floor
from controller.queries.notifications import read_notification_status
from controller.queries.progress import RunsInProgress, runs_in_progress
from controller.records import dataclass
from controller.store import Transaction, run_statistics, source_status
from controller.store.run_statistics import Bar, Failures

MOST_ATTENTION = 20
MOST_IN_GROUP = 20
MOST_ROWS = 10
MOST_BACKFILLS = 5
MOST_FIRES = 6
_MAX_NAMED = 5
_SOON = timedelta(minutes=1)
_NO_FIRES = SlotFires(count=0, first=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Half an hour of the timeline: its runs by outcome, and the fire times of deployments that fire rarely."""

    start: datetime
    succeeded: int
    failed: int
    other: int
    upcoming: SlotFires


@dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """A fire time, with the number of deployments that are due then and the first five of their names."""

    time: datetime
    count: int
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NextFires:
    """The next fires: the first six of deployments that fire rarely, and as one the next of those that fire often.

    `soon` is the number of deployments that fire often and are due within a minute.
    """

    rare: tuple[Fire, ...]
    frequent: Fire | None
    soon: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The content of the overview page. `more_attention` and `more_backfills` count what is not listed.

    `bars` has the last 10 runs of each deployment in `attention`, and `states` the number of deployments by state.
    `has_triggers`: whether other deployments, files or webhooks start runs.
    """

    attention: tuple[AttentionGroup, ...]
    more_attention: int
    bars: Mapping[str, list[Bar]]
    states: Mapping[DeploymentState, int]
    in_progress: RunsInProgress
    backfills: tuple[BackfillProgress, ...]
    more_backfills: int
    next_fires: NextFires
    has_triggers: bool
    failures: tuple[Failures, ...]
    slots: tuple[Slot, ...]
    now: datetime
    succeeded: int
    failed: int
    deployments: int


def overview(
    tx: Transaction, summary: DeploymentSummary, now: datetime, upcoming: Upcoming, directory: Path
) -> Overview:
    """Build the overview from a summary of all deployments. `directory` contains the directories of runs."""
    notifications, executors = read_notification_status(tx, now), list_cluster_executors(tx)
    problems = group_attention(find_attention(source_status.find(tx), summary.notable, notifications, executors))
    attention = problems[:MOST_ATTENTION]
    names = {item.deployment for group in attention for item in group.items[:MOST_IN_GROUP] if item.deployment}
    slots = tuple(_slots(tx, upcoming, now))
    backfills, more_backfills = list_unfinished(tx, MOST_BACKFILLS)
    return Overview(
        attention=tuple(attention),
        more_attention=len(problems) - len(attention),
        bars=run_statistics.last_bars_of(tx, names, RECENT),
        states=summary.states,
        in_progress=runs_in_progress(tx, now, directory, MOST_ROWS),
        backfills=tuple(backfills),
        more_backfills=more_backfills,
        next_fires=_next_fires(summary.starts, upcoming, now),
        has_triggers=summary.has_triggers,
        failures=tuple(run_statistics.failures(tx, now - DAY, MOST_ROWS)),
        slots=slots,
        now=now,
        succeeded=sum(slot.succeeded for slot in slots),
        failed=sum(slot.failed for slot in slots),
        deployments=summary.count,
    )


def _next_fires(starts: Sequence[Start], upcoming: Upcoming, now: datetime) -> NextFires:
    """Return the next fire times. Reads the sorted starts only as far as needed."""
    frequent: list[Start] = []
    rare: list[Fire] = []
    soon = 0
    named = min(_MAX_NAMED, len(upcoming.frequent))
    for time, names in ((time, [name for _, name in same]) for time, same in groupby(starts, key=itemgetter(0))):
        often = [name for name in names if name in upcoming.frequent]
        others = [name for name in names if name not in upcoming.frequent]
        if time > now + _SOON and len(frequent) >= named and len(rare) == MOST_FIRES:
            break
        if others and len(rare) < MOST_FIRES:
            rare.append(Fire(time=time, count=len(others), names=tuple(others[:_MAX_NAMED])))
        frequent += [(time, name) for name in often][: _MAX_NAMED - len(frequent)]
        soon += len(often) if time <= now + _SOON else 0
    first = frequent[0][0] if frequent else None
    names_of_frequent = tuple(name for _, name in frequent)
    return NextFires(
        rare=tuple(rare),
        frequent=None if first is None else Fire(time=first, count=len(upcoming.frequent), names=names_of_frequent),
        soon=soon,
    )


def _slots(tx: Transaction, upcoming: Upcoming, now: datetime) -> Iterator[Slot]:
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
            upcoming=upcoming.rare.get(start, _NO_FIRES),
        )
