"""What a person has to know in ten seconds: what asks for attention, what runs, what failed, what is next.

The timeline has half hours: runs of the last 24 hours by how they ended, fire times of the next 24. A schedule that
fires very often is not counted out, but at the rate of its next few hundred times.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from controller.calendar import fire_times
from controller.errors import ControllerError
from controller.manifests import build_deployment
from controller.model.findings import Severity
from controller.model.runs import ACTIVE, RunState
from controller.model.schedules import Schedule
from controller.model.status import InventoryEntry, SourceStatus
from controller.store import Transaction, figures, inventory, sources
from controller.store.figures import FAILED, Failures
from controller.store.pages import RunsWanted, runs_page
from controller.views.deployments import DeploymentView, Health, Sync
from controller.views.runs import RunView, run_view

DAY = timedelta(hours=24)
SLOT = timedelta(minutes=30)
MOST_ATTENTION = 20
MOST_ROWS = 10
_COUNTED = 200
_BUDGET = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """One thing that somebody should look at. `kind` is `error` or `warning`; the rest says where to look."""

    kind: str
    title: str
    message: str
    deployment: str | None = None
    run_id: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Half an hour: how its runs stand, and about how many fire times are in it."""

    start: datetime
    succeeded: int
    failed: int
    other: int
    upcoming: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything on the first page."""

    attention: tuple[Attention, ...]
    more_attention: int
    running: tuple[RunView, ...]
    next_fires: tuple[DeploymentView, ...]
    failures: tuple[Failures, ...]
    slots: tuple[Slot, ...]
    now: datetime
    succeeded: int
    failed: int
    deployments: int


def overview(tx: Transaction, views: list[DeploymentView], now: datetime) -> Overview:
    """Look at everything once."""
    found = list(_attention(sources.find(tx), views))
    slots = tuple(_slots(tx, views, now))
    fires = sorted((view for view in views if view.next_fire_time is not None), key=_next_fire)
    active = RunsWanted(limit=MOST_ROWS, states=ACTIVE)
    return Overview(
        attention=tuple(found[:MOST_ATTENTION]),
        more_attention=max(0, len(found) - MOST_ATTENTION),
        running=tuple(run_view(run) for run in runs_page(tx, active)),
        next_fires=tuple(fires[:MOST_ROWS]),
        failures=tuple(figures.failures(tx, now - DAY, MOST_ROWS)),
        slots=slots,
        now=now,
        succeeded=sum(slot.succeeded for slot in slots),
        failed=sum(slot.failed for slot in slots),
        deployments=len(views),
    )


def _attention(source: SourceStatus | None, views: Iterable[DeploymentView]) -> Iterator[Attention]:
    yield from _source(source)
    for view in views:
        if view.sync is Sync.INVALID:
            message = next((one.message for one in view.conditions if one.type == "Ready"), "") or "never was valid"
            yield Attention(kind="error", title=f"{view.name} is not valid", message=message, deployment=view.name)
        elif view.health is Health.DEGRADED and view.last_run is not None:
            run = view.last_run
            yield Attention(
                kind="error",
                title=f"{view.name}: the last run {run.state.replace('_', ' ')}",
                message=run.reason or "",
                deployment=view.name,
                run_id=run.id,
                since=run.finished_at,
            )
    for view in views:
        if view.hold is not None:
            said = f"{view.hold.author}: {view.hold.reason}"
            yield Attention(
                kind="warning",
                title=f"{view.name} is held",
                message=said,
                deployment=view.name,
                since=view.hold.since,
            )


def _source(source: SourceStatus | None) -> Iterator[Attention]:
    if source is None:
        return
    for condition in source.conditions:
        is_bad = not condition.status if condition.type.value == "Ready" else condition.status
        if is_bad and condition.type.value in ("Ready", "Stalled", "PruneWithheld"):
            kind = "warning" if condition.type.value == "PruneWithheld" else "error"
            title = {"PruneWithheld": "Deletions wait for approval"}.get(
                condition.type.value, f"Source: {condition.reason}"
            )
            since = condition.last_transition_time
            yield Attention(kind=kind, title=title, message=condition.message, since=since)
    unnamed = [one for one in source.findings if one.severity is Severity.ERROR and one.deployment is None]
    for finding in unnamed:
        title = f"{finding.file}:{finding.line} can't be applied"
        yield Attention(kind="error", title=title, message=finding.message)


def _next_fire(view: DeploymentView) -> tuple[datetime, str]:
    assert view.next_fire_time is not None
    return view.next_fire_time, view.name


def _slots(tx: Transaction, views: Iterable[DeploymentView], now: datetime) -> Iterator[Slot]:
    first = _floor(now - DAY)
    past = figures.by_slot(tx, first, SLOT)
    awake = {view.name for view in views if view.next_fire_time is not None and not view.held}
    future = _upcoming((entry for name, entry in inventory.entries(tx).items() if name in awake), now)
    for index in range(int(2 * DAY / SLOT) + 1):
        start = first + index * SLOT
        ended = Counter({state: past.get((start, state), 0) for state in RunState})
        succeeded, failed = ended[RunState.SUCCEEDED], sum(ended[state] for state in FAILED)
        yield Slot(
            start=start,
            succeeded=succeeded,
            failed=failed,
            other=ended.total() - succeeded - failed - ended[RunState.SKIPPED],
            upcoming=round(future[start]),
        )


def _floor(moment: datetime) -> datetime:
    return datetime.fromtimestamp(moment.timestamp() // SLOT.total_seconds() * SLOT.total_seconds(), UTC)


def _upcoming(entries: Iterable[InventoryEntry], now: datetime) -> dict[datetime, float]:
    found: dict[datetime, float] = defaultdict(float)
    left = _BUDGET
    for entry in entries:
        try:
            deployment = build_deployment(entry.document, entry.file, entry.line)
            for schedule in deployment.schedules:
                if not schedule.suspend and left > 0:
                    left -= _count(schedule, now, found)
        except ControllerError:
            continue
    return found


def _count(schedule: Schedule, now: datetime, found: dict[datetime, float]) -> int:
    """Add the fire times of one schedule to their slots; returns how many were computed."""
    end = now + DAY
    times = list(islice(takewhile(lambda time: time <= end, fire_times(schedule, now)), _COUNTED))
    for time in times:
        found[_floor(time)] += 1
    if len(times) == _COUNTED:
        rate = (_COUNTED - 1) * SLOT / (times[-1] - times[0])
        last = times[-1]
        while last < end:
            stop = min(_floor(last) + SLOT, end)
            found[_floor(last)] += rate * ((stop - last) / SLOT)
            last = stop
    return len(times)
