"""The complete status: the controller's process, the source, all deployments, and recent runs, events and passes."""

from collections.abc import Iterable, Sequence
from dataclasses import field, replace
from datetime import datetime

from controller.model import INTERNAL
from controller.model.commits import Commit
from controller.model.runs import Run, RunState
from controller.model.status import (
    Condition,
    ConditionStatus,
    ConditionType,
    ExecutorStatus,
    NumberedEvent,
    PassRecord,
    SourceStatus,
    Withheld,
)
from controller.queries.attention import find_attention
from controller.queries.attention_groups import MOST_GROUPS, AttentionGroup, group_attention
from controller.queries.deployments import DeploymentState, DeploymentView, Health, list_deployments
from controller.queries.events import list_events
from controller.queries.executor_conditions import list_cluster_executors
from controller.queries.in_progress import InProgress, find_in_progress
from controller.queries.leadership import Leadership, Standing, read_leadership
from controller.queries.notifications import NotificationStatus, read_notification_status
from controller.queries.runs import list_runs
from controller.records import dataclass
from controller.settings import Location
from controller.store import Store, Transaction, commits, passes, runs, source_status
from controller.store.condition_file import NOTICES, read_notices
from controller.store.events import EventFilter
from controller.store.open_state import open_read_only
from controller.store.run_search import RunFilter
from controller.store.state_directory import StateDirectory
from controller.time_format import in_utc

RECENT_RUNS = 8
RECENT_EVENTS = 8
RECENT_PASSES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerView:
    """The controller's process; all fields but `running` are None if there is none. `url` is that of its dashboard."""

    running: bool
    pid: int | None
    started_at: datetime | None
    version: str | None
    url: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCounts:
    """The number of unfinished runs by state."""

    running: int
    pending: int
    retrying: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """The output of `controller status -o json`.

    `withheld` is None if no deletion is; passes are newest first. `commit` is that of the last applied revision.
    `problems` are the first 100 groups of problems with the same cause, the worst first. `notifications` says whether
    messages reach the operator. `executors` are those that run flows on a cluster. `leadership` is None
    for a state in a file.
    """

    controller: ControllerView
    source: SourceStatus
    deployments: tuple[DeploymentView, ...]
    runs: RunCounts
    withheld: Withheld | None
    recent_runs: tuple[Run, ...]
    in_progress: InProgress = field(metadata=INTERNAL)
    events: tuple[NumberedEvent, ...]
    passes: tuple[PassRecord, ...]
    commit: Commit | None = None
    problems: tuple[AttentionGroup, ...] = ()
    leadership: Leadership | None = None
    executors: tuple[ExecutorStatus, ...] = ()
    notifications: NotificationStatus = field(default_factory=NotificationStatus)


def read_status(location: Location, now: datetime) -> StatusView:
    """Open the state and read the status, which is empty while the first controller is still creating the state.

    Raises StateError, UsageError: see `open_read_only`.
    """
    state = StateDirectory.at(location)
    store = open_read_only(location)
    if store is None:
        return _empty(read_controller(state), location)
    try:
        return current_status(store, state, location, now)
    finally:
        store.close()


def current_status(
    store: Store,
    state: StateDirectory,
    location: Location,
    now: datetime,
    *,
    deployments: Sequence[DeploymentView] | None = None,
    standing: Standing | None = None,
) -> StatusView:
    """Read the status from an open store.

    The caller may pass `deployments` if it has them already, and the role of the controller if it knows it.
    """
    with store.read() as tx:
        views = list_deployments(tx, now) if deployments is None else deployments
        status = _status(tx, read_controller(state), location, now, views)
        status = replace(status, leadership=read_leadership(tx, state, standing))
    notices = read_notices(state.path / NOTICES) if status.controller.running else ()
    return _with_notices(status, notices)


def read_controller(state: StateDirectory) -> ControllerView:
    """Return the process that holds this state directory."""
    holder = state.holder()
    return ControllerView(
        running=holder is not None,
        pid=None if holder is None else holder.pid,
        started_at=None if holder is None else holder.started_at,
        version=None if holder is None else holder.version,
        url=None if holder is None else state.dashboard_url(),
    )


def _with_notices(view: StatusView, notices: tuple[Condition, ...]) -> StatusView:
    """Mark the source as not ready and deployments as degraded while the controller can't write to the database."""
    if not notices:
        return view
    return replace(
        view,
        source=replace(view.source, conditions=with_notices(view.source.conditions, notices)),
        deployments=tuple(
            replace(row, health=Health.DEGRADED, state=DeploymentState.FAILING) if row.health is Health.HEALTHY else row
            for row in view.deployments
        ),
    )


def with_notices(conditions: tuple[Condition, ...], notices: Sequence[Condition]) -> tuple[Condition, ...]:
    """Return the conditions of the source with these notices, with which it is not ready."""
    if not notices:
        return conditions
    unready = replace(notices[0], type=ConditionType.READY, status=ConditionStatus.FALSE)
    return (*_with_ready(conditions, unready), *notices)


def _status(
    tx: Transaction,
    controller: ControllerView,
    location: Location,
    now: datetime,
    deployments: Sequence[DeploymentView],
) -> StatusView:
    counts = runs.counts(tx)
    source = source_status.find(tx)
    notifications = read_notification_status(tx, now)
    executors = list_cluster_executors(tx)
    problems = group_attention(find_attention(source, deployments, notifications, executors))
    return StatusView(
        controller=controller,
        source=public_source(source, location),
        deployments=tuple(deployments),
        runs=RunCounts(
            running=counts.get(RunState.RUNNING, 0),
            pending=counts.get(RunState.PENDING, 0) + counts.get(RunState.LAUNCHING, 0),
            retrying=counts.get(RunState.RETRYING, 0),
        ),
        withheld=None if source is None else source.withheld,
        recent_runs=tuple(list_runs(tx, RunFilter(), now, limit=RECENT_RUNS)),
        in_progress=find_in_progress(tx, now, RECENT_RUNS),
        events=tuple(list_events(tx, EventFilter(limit=RECENT_EVENTS))),
        passes=tuple(passes.latest(tx, RECENT_PASSES)),
        commit=None if source is None else commits.find(tx, source.last_applied_revision),
        problems=tuple(problems[:MOST_GROUPS]),
        executors=executors,
        notifications=notifications,
    )


def public_source(status: SourceStatus | None, location: Location) -> SourceStatus:
    """Return the status of the source as users see it; before the first pass it has only the location.

    While a pass is overdue, `Ready` is `Unknown`.
    """
    if status is None:
        return SourceStatus(
            repo=str(location.repo),
            ref=location.ref,
            revision=None,
            last_attempted_revision=None,
            last_applied_revision=None,
            environment=location.environment,
            project_name=location.project,
        )
    since = status.overdue_since
    if since is None:
        return status
    unknown = Condition(
        type=ConditionType.READY,
        status=ConditionStatus.UNKNOWN,
        reason="PassOverdue",
        message=f"The pass that began at {in_utc(since)} has not finished; schedules keep firing.",
        last_transition_time=since,
    )
    return replace(status, conditions=_with_ready(status.conditions, unknown))


def _with_ready(conditions: Iterable[Condition], ready: Condition) -> tuple[Condition, ...]:
    """Return the conditions with this `Ready` condition, which comes first."""
    return (ready, *(condition for condition in conditions if condition.type is not ConditionType.READY))


def _empty(controller: ControllerView, location: Location) -> StatusView:
    return StatusView(
        controller=controller,
        source=public_source(None, location),
        deployments=(),
        runs=RunCounts(running=0, pending=0, retrying=0),
        withheld=None,
        recent_runs=(),
        in_progress=InProgress(running=(), more_running=0, waiting=()),
        events=(),
        passes=(),
    )
