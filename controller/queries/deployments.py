"""Deployments as all user interfaces show them: declared and applied versions, sync status, health and last run."""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import field, replace
from datetime import datetime
from enum import IntEnum, StrEnum

from controller.errors import SOURCE_REASONS, ControllerError
from controller.manifests.build import build_deployment
from controller.model import INTERNAL
from controller.model.deployments import CommandTarget, Deployment
from controller.model.findings import Finding, Severity
from controller.model.graph import Edge, EdgeKind, edges_of
from controller.model.names import name_order
from controller.model.runs import FAILURES, FailureStreak, LastRun
from controller.model.schedules import Schedule
from controller.model.shared_values import share
from controller.model.status import (
    INVALID,
    KEPT,
    NO_PYTHON,
    WITHHELD,
    Condition,
    ConditionType,
    Hold,
    InventoryEntry,
    SourceStatus,
)
from controller.queries.deadline_conditions import deadline_conditions
from controller.queries.executor_conditions import missing_executor_conditions
from controller.queries.moment import Moment, read_moment
from controller.queries.next_starts import is_late, next_start
from controller.queries.watch_conditions import watch_conditions
from controller.records import dataclass
from controller.store import (
    Transaction,
    inventory,
    last_runs,
)


class Sync(StrEnum):
    """Whether the applied version of a deployment is the one in git."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    INVALID = "Invalid"
    UNKNOWN = "Unknown"


class Rank(IntEnum):
    """The place of a deployment in lists, the worst problem first."""

    INVALID = 0
    FAILING = 1
    OUT_OF_SYNC = 2
    LATE = 3
    RUNNING = 4
    HELD = 5
    HEALTHY = 6


class Health(StrEnum):
    """The health of a deployment: that of its last run that was not skipped, and of what starts its runs."""

    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    UNKNOWN = "Unknown"


class DeploymentState(StrEnum):
    """The state of a deployment in one word, the worst first."""

    INVALID = "invalid"
    FAILING = "failing"
    OUT_OF_SYNC = "out_of_sync"
    LATE = "late"
    HELD = "held"
    SUSPENDED = "suspended"
    OK = "ok"


_STATES = {
    Rank.INVALID: DeploymentState.INVALID,
    Rank.FAILING: DeploymentState.FAILING,
    Rank.OUT_OF_SYNC: DeploymentState.OUT_OF_SYNC,
    Rank.LATE: DeploymentState.LATE,
}
_RANKS = {Health.RUNNING: Rank.RUNNING, Health.SUSPENDED: Rank.HELD}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentView:
    """One deployment in a list.

    `file` (relative to the repository root) and `line` say where it is declared; `flow` is None for a command.
    `generation` counts the versions of its document; `observed_generation` lags behind while the newest is not applied.
    `next_start` is when its next run starts: at `next_fire_time`, or before it, if jitter delays a run that was due.
    `state` sums up `sync`, `health` and the hold; a deployment that is running and has no problem is `ok`. `matrix` has
    the values of a deployment whose document declares several. `timezone` is that of all its schedules, or without
    schedules the declared one; None if there is none, or if the schedules have different ones.
    """

    name: str
    flow: str | None
    command: tuple[str, ...] | None
    description: str
    file: str
    line: int
    tags: tuple[str, ...]
    version: str | None
    sync: Sync
    health: Health
    suspended: bool
    held: bool
    hold: Hold | None
    generation: int
    observed_generation: int
    next_fire_time: datetime | None
    next_start: datetime | None
    last_run: LastRun | None
    conditions: tuple[Condition, ...]
    state: DeploymentState = DeploymentState.OK
    matrix: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    timezone: str | None = None
    triggers: frozenset[EdgeKind] = field(default=frozenset(), metadata=INTERNAL)
    """The kinds of events that start its runs: other deployments, files and webhooks."""
    is_late: bool = field(default=False, metadata=INTERNAL)
    """Whether it has the condition `Late` or `Overdue`. Without `expect.start_within`, also whether the newest run has
    not started although the next due time has passed."""

    @property
    def document(self) -> str:
        """The place of the document that declares it: its file, a colon and its line."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRow:
    """The part of a row that depends on the inventory only: `row` without run and hold, and the data to add them.

    `reason` is that of the deployment's `Ready` condition. `executor` is the one that it names.
    `edges` are what starts or holds back its runs. `complete_row` makes the full row.
    """

    row: DeploymentView
    reason: str | None
    schedules: tuple[Schedule, ...]
    has_start_deadline: bool
    executor: str | None = None
    edges: tuple[Edge, ...] = ()


Build = Callable[[InventoryEntry], Deployment]


def list_deployments(tx: Transaction, now: datetime) -> list[DeploymentView]:
    """Return every active deployment, and every declared one that has never been valid; problems first."""
    moment, runs = read_moment(tx, now), last_runs.find_all(tx)
    entries = inventory.entries(tx)
    views = [complete_row(base_row(entry), runs.get(name), moment) for name, entry in entries.items()]
    views += [never_valid_row(finding) for finding in errors_of_never_valid(moment.source, entries).values()]
    return sorted(views, key=sort_key)


def base_row(entry: InventoryEntry, build: Build | None = None) -> BaseRow:
    """Build the part of a row that depends on this entry only."""
    deployment = build_entry(entry, build)
    target = None if deployment is None else deployment.target
    edges = () if deployment is None else tuple(edges_of(deployment))
    is_command = isinstance(target, CommandTarget)
    row = DeploymentView(
        name=entry.name,
        flow=None if target is None or is_command else share(str(target)),
        command=target.argv if isinstance(target, CommandTarget) else None,
        description="" if deployment is None else deployment.description,
        file=entry.file if deployment is None else deployment.file,
        line=entry.line,
        tags=() if deployment is None else deployment.tags,
        version=None if deployment is None else deployment.version,
        sync=Sync.UNKNOWN,
        health=Health.HEALTHY,
        suspended=deployment is not None and deployment.suspend,
        held=False,
        hold=None,
        generation=entry.generation + (not entry.is_valid),
        observed_generation=entry.generation,
        next_fire_time=None,
        next_start=None,
        last_run=None,
        conditions=entry.conditions,
        matrix={} if deployment is None else deployment.matrix,
        timezone=None if deployment is None else deployment.zone,
        triggers=share(frozenset(edge.kind for edge in edges if edge.kind is not EdgeKind.GATE)),
    )
    return BaseRow(
        row=row,
        reason=entry.reason,
        schedules=() if deployment is None else deployment.schedules,
        has_start_deadline=deployment is not None and deployment.expect.start_within is not None,
        executor=None if deployment is None else deployment.executor,
        edges=edges,
    )


def complete_row(base: BaseRow, run: LastRun | None, moment: Moment) -> DeploymentView:
    """Return the row of an active deployment, with its newest run, its hold and its next fire time."""
    hold = moment.holds.get(base.row.name)
    missed = deadline_conditions(moment.missed.get(base.row.name, ()))
    waits = hold is None and not (base.row.suspended or base.has_start_deadline)
    fire_time = None if base.row.suspended else moment.fire_times.find(base.schedules, hold)
    unwatched = watch_conditions(moment.unwatched.get(base.row.name, ()))
    lacking = missing_executor_conditions(base.executor, moment.executors)
    conditions = (*base.row.conditions, *missed, *unwatched, *lacking)
    sync = _sync(base.reason, moment.source)
    health = _health(run, conditions, suspended=base.row.suspended or hold is not None)
    last_run = None if run is None else replace(run, state=run.state.public)
    has_late_run = bool(missed) or (waits and is_late(run, base.schedules, moment.now))
    place = _rank(sync, health, conditions, last_run, is_late=has_late_run)
    return replace(
        base.row,
        sync=sync,
        health=health,
        held=hold is not None,
        hold=hold,
        next_fire_time=fire_time,
        next_start=fire_time if hold is not None else next_start(run, fire_time, moment.now),
        last_run=last_run,
        conditions=conditions,
        is_late=has_late_run,
        state=_state(place, held=hold is not None),
    )


def never_valid_row(finding: Finding) -> DeploymentView:
    """Return the row of a deployment that is declared but has never been valid."""
    return DeploymentView(
        name=finding.deployment or "",
        flow=None,
        command=None,
        description="",
        file=finding.file,
        line=finding.line,
        tags=(),
        version=None,
        sync=Sync.INVALID,
        health=Health.UNKNOWN,
        suspended=False,
        held=False,
        hold=None,
        generation=1,
        observed_generation=0,
        next_fire_time=None,
        next_start=None,
        last_run=None,
        conditions=(),
        state=DeploymentState.INVALID,
    )


def build_entry(entry: InventoryEntry, build: Build | None = None) -> Deployment | None:
    """Build the deployment that this entry declares; None if this version of controller can't read the document.

    `build` may return one that was built before, as that of `ActiveDeployments` does.
    """
    try:
        return build_deployment(entry.document, entry.file, entry.line) if build is None else build(entry)
    except ControllerError:
        return None


def errors_of_never_valid(source: SourceStatus | None, active: Container[str]) -> dict[str, Finding]:
    """Return, by name, the first error of each deployment that is declared with errors and not `active`."""
    errors = [finding for finding in (source.findings if source else ()) if finding.severity is Severity.ERROR]
    return {
        finding.deployment: finding
        for finding in reversed(errors)
        if finding.deployment is not None and finding.deployment not in active
    }


def sort_key(view: DeploymentView) -> tuple[Rank, int, int, str]:
    """Return the key that sorts deployments in lists.

    Failing deployments are sorted by the number of consecutive failures, then the newest problem first.
    """
    place, streak = rank(view), find_streak(view)
    if place is not Rank.FAILING or streak is None:
        return place, 0, 0, name_order(view.name)
    return place, -streak.count, -int(streak.since.timestamp()), name_order(view.name)


def rank(view: DeploymentView) -> Rank:
    """Return what is most important about a deployment."""
    return _rank(view.sync, view.health, view.conditions, view.last_run, is_late=view.is_late)


def _rank(
    sync: Sync, health: Health, conditions: Iterable[Condition], last_run: LastRun | None, *, is_late: bool
) -> Rank:
    if sync is Sync.INVALID:
        return Rank.INVALID
    is_blocked = health is not Health.SUSPENDED and _prevents_starts(conditions)
    if health is Health.DEGRADED or is_blocked or _streak(last_run, health) is not None:
        return Rank.FAILING
    if sync is Sync.OUT_OF_SYNC:
        return Rank.OUT_OF_SYNC
    if is_late:
        return Rank.LATE
    return _RANKS.get(health, Rank.HEALTHY)


def count_states(views: Iterable[DeploymentView]) -> dict[DeploymentState, int]:
    """Return the number of deployments in each state, including zeros."""
    counts = Counter(view.state for view in views)
    return {state: counts[state] for state in DeploymentState}


def find_streak(view: DeploymentView) -> FailureStreak | None:
    """Return the consecutive failures of a deployment; None if its last run did not fail, or its schedules are off."""
    return _streak(view.last_run, view.health)


def _streak(last_run: LastRun | None, health: Health) -> FailureStreak | None:
    return None if last_run is None or health is Health.SUSPENDED else last_run.streak


def _prevents_starts(conditions: Iterable[Condition]) -> bool:
    """Return whether an upstream deployment, a folder that starts runs or the executor is missing or unusable."""
    return any(
        condition.is_true if condition.type is ConditionType.STALLED else not condition.is_true
        for condition in conditions
        if condition.type in (ConditionType.STALLED, ConditionType.FILES_WATCHED, ConditionType.EXECUTOR_READY)
    )


def _state(place: Rank, *, held: bool) -> DeploymentState:
    if place is Rank.HELD:
        return DeploymentState.HELD if held else DeploymentState.SUSPENDED
    return _STATES.get(place, DeploymentState.OK)


def depends_on_same_source(before: SourceStatus | None, after: SourceStatus | None) -> bool:
    """Return whether all rows that were complete with `before` are with `after`, too."""
    return _sync(None, before) is _sync(None, after)


def _sync(reason: str | None, source: SourceStatus | None) -> Sync:
    if source is None or any(condition.reason in SOURCE_REASONS for condition in source.conditions):
        return Sync.UNKNOWN
    if reason == INVALID:
        return Sync.INVALID
    if reason in (WITHHELD, KEPT, NO_PYTHON):
        return Sync.OUT_OF_SYNC
    return Sync.SYNCED if source.last_attempted_revision == source.last_applied_revision else Sync.OUT_OF_SYNC


def _health(last_run: LastRun | None, conditions: Iterable[Condition], *, suspended: bool) -> Health:
    run = None if last_run is None else last_run.relevant
    if run is not None and not run.state.is_terminal:
        return Health.RUNNING
    if suspended:
        return Health.SUSPENDED
    has_failed = run is not None and run.state in FAILURES
    return Health.DEGRADED if has_failed or _prevents_starts(conditions) else Health.HEALTHY
