"""The runs in progress: running runs, and the waiting ones grouped by what they wait for.

The overview page and the live view on the terminal show it, so that a long queue hides no running flow.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import field
from datetime import datetime

from controller.model import INTERNAL
from controller.model.queues import (
    EVERYTHING,
    Load,
    QueuedRun,
    WaitKind,
    WaitReason,
    missing_resource,
    schedule_queue,
)
from controller.model.runs import Run, RunState
from controller.queries.runs import list_runs
from controller.records import dataclass
from controller.store import Transaction, queues
from controller.store.run_search import RunFilter

_MAX_NAMED = 3
_MAX_LISTED = 20
_ORDER = {kind: place for place, kind in enumerate([WaitKind.RETRY, None, *[*WaitKind][1:]])}
_TEXTS = {
    WaitKind.RETRY: ("waits for its next attempt", "wait for their next attempts"),
    WaitKind.START: ("waits for its start time", "wait for their start times"),
    WaitKind.HOLD: ("is held", "are held"),
    WaitKind.UPSTREAM: ("waits for", "wait for"),
    WaitKind.BACKFILL: ("waits for its backfill", "wait for their backfills"),
    WaitKind.DEPLOYMENT: ("waits for another run of its deployment", "wait for other runs of their deployments"),
    None: ("starts next", "start next"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingGroup:
    """The runs that wait for the same thing. `starts_at` is the first time at which one of them starts, if it is known.

    `runs` has only the first ones, and none if they only wait for a time. `first` is the deployment of the run that
    starts at `starts_at`.
    """

    text: str
    count: int
    starts_at: datetime | None
    runs: tuple[QueuedRun, ...]
    first: str | None = field(default=None, metadata=INTERNAL)

    @property
    def start_label(self) -> str:
        """The words between the text and `starts_at`."""
        return ", at" if self.count == 1 else ", the first at"


@dataclass(frozen=True, slots=True, kw_only=True)
class InProgress:
    """The runs in progress. `running` has those that have been running the longest; `more_running` counts the rest."""

    running: tuple[Run, ...]
    more_running: int
    waiting: tuple[WaitingGroup, ...]


def find_in_progress(tx: Transaction, now: datetime, limit: int) -> InProgress:
    """Return the runs in progress, with at most `limit` of the running ones."""
    active = list_runs(tx, RunFilter(states=[RunState.LAUNCHING, RunState.RUNNING]), now)
    running = [run for run in active if run.state is RunState.RUNNING]
    running.sort(key=lambda run: run.running_since or run.created_at)
    load = queues.read_load(tx, now)
    groups: dict[tuple[WaitKind | None, str], list[QueuedRun]] = defaultdict(list)
    for run, reason in schedule_queue(queues.find_waiting(tx), load, now):
        groups[_key(run, reason)].append(run)
    in_order = sorted(groups.items(), key=lambda item: (_ORDER[item[0][0]], -len(item[1])))
    return InProgress(
        running=tuple(running[:limit]),
        more_running=len(running[limit:]),
        waiting=tuple(_group(kind, place, runs, load, active) for (kind, place), runs in in_order),
    )


def _key(run: QueuedRun, reason: WaitReason | None) -> tuple[WaitKind | None, str]:
    return (None, missing_resource(run) or "") if reason is None else (reason.kind, reason.place)


def _group(
    kind: WaitKind | None, place: str, runs: Sequence[QueuedRun], load: Load, active: Iterable[Run]
) -> WaitingGroup:
    is_timed = kind in (WaitKind.RETRY, WaitKind.START)
    starts = [(run.not_before, run.deployment) for run in runs if run.not_before is not None] if is_timed else []
    starts_at, first = min(starts, default=(None, None))
    return WaitingGroup(
        text=_text(kind, place, len(runs), load, active),
        count=len(runs),
        starts_at=starts_at,
        first=first,
        runs=() if is_timed else tuple(runs[:_MAX_LISTED]),
    )


def _text(kind: WaitKind | None, place: str, count: int, load: Load, active: Iterable[Run]) -> str:
    if kind is WaitKind.SLOT or kind is WaitKind.LAST_SLOT:
        name = "--max-running" if place == EVERYTHING else f"queue {place}"
        if kind is WaitKind.LAST_SLOT:
            return f"{name}: {count} waiting, the last slot is kept for schedules"
        users = sorted({run.deployment for run in active if place in (run.queue, EVERYTHING)})
        more = f" and {len(users) - _MAX_NAMED} more" if len(users) > _MAX_NAMED else ""
        by = f" by {', '.join(users[:_MAX_NAMED])}{more}" if users else ""
        return f"{name}: {count} waiting, {load.limits[place]} of {load.limits[place]} taken{by}"
    if place and kind is not WaitKind.UPSTREAM:
        return f"{place}: {count} waiting"
    singular, plural = _TEXTS[kind]
    text = f"1 run {singular}" if count == 1 else f"{count} runs {plural}"
    return f"{text} {place}" if place else text
