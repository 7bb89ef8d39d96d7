"""Deployments as every surface shows them: what git says, what is in force, how it goes."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from controller.errors import SOURCE_REASONS, ControllerError
from controller.manifests import build_deployment
from controller.model.deployments import CommandTarget, Deployment
from controller.model.findings import Finding, Severity
from controller.model.runs import RunState
from controller.model.schedules import Schedule
from controller.model.status import INVALID, KEPT, WITHHELD, Hold, InventoryEntry, SourceStatus
from controller.queries.condition_view import ConditionView, condition_views
from controller.queries.runs import shown
from controller.schedules import next_fire_times
from controller.store import Transaction, holds, inventory, last_runs, source_status
from controller.store.last_runs import LastRun as LastRunRecord


class Sync(StrEnum):
    """Whether what is in force is what git says, in one word."""

    SYNCED = "Synced"
    OUT_OF_SYNC = "OutOfSync"
    INVALID = "Invalid"
    UNKNOWN = "Unknown"


class Health(StrEnum):
    """How it goes, in one word."""

    HEALTHY = "Healthy"
    DEGRADED = "Degraded"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRun:
    """The newest run of a deployment, in short."""

    id: str
    state: str
    reason: str | None
    scheduled_for: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentView:
    """One row. `file` (from the repository root) and `line` say where it is declared; `flow` is None for a command.

    `generation` counts the documents that git gave; while the newest is not in force `observed_generation` is behind.
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
    last_run: LastRun | None
    conditions: tuple[ConditionView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """What an entry of the inventory says by itself: a `row` without run and hold, and what those are added by."""

    row: DeploymentView
    reason: str | None
    schedules: tuple[Schedule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What all rows have in common: the source, the holds that are not over, and the instant."""

    source: SourceStatus | None
    holds: Mapping[str, Hold]
    now: datetime


def list_deployments(tx: Transaction, now: datetime) -> list[DeploymentView]:
    """Every deployment in force, and every one that is declared but was never valid; problems first."""
    moment, runs = moment_of(tx, now), last_runs.of_all(tx)
    entries = inventory.entries(tx)
    views = [row_of(in_force(entry), runs.get(name), moment) for name, entry in entries.items()]
    views += [never_valid(finding) for finding in unknown_names(moment.source, entries).values()]
    return sorted(views, key=place)


def moment_of(tx: Transaction, now: datetime) -> Moment:
    """What all rows have in common now."""
    held = {name: hold for name, hold in holds.every(tx).items() if not hold.is_over(now)}
    return Moment(source=source_status.find(tx), holds=held, now=now)


def in_force(entry: InventoryEntry) -> InForce:
    """What this entry says by itself."""
    deployment = built(entry)
    target = None if deployment is None else deployment.target
    is_command = isinstance(target, CommandTarget)
    row = DeploymentView(
        name=entry.name,
        flow=None if target is None or is_command else str(target),
        command=target.argv if isinstance(target, CommandTarget) else None,
        description="" if deployment is None else deployment.description,
        file=entry.file,
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
        last_run=None,
        conditions=condition_views(entry.conditions),
    )
    return InForce(row=row, reason=entry.reason, schedules=() if deployment is None else deployment.schedules)


def row_of(said: InForce, run: LastRunRecord | None, moment: Moment) -> DeploymentView:
    """The row of a deployment at a moment."""
    hold = moment.holds.get(said.row.name)
    return replace(
        said.row,
        sync=_sync(said.reason, moment.source),
        health=_health(run, suspended=said.row.suspended or hold is not None),
        held=hold is not None,
        hold=hold,
        next_fire_time=None if said.row.suspended else _next(said.schedules, hold, moment.now),
        last_run=None if run is None else _last_run(run),
    )


def never_valid(finding: Finding) -> DeploymentView:
    """The row of what is declared, and was never valid."""
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
        last_run=None,
        conditions=(),
    )


def built(entry: InventoryEntry) -> Deployment | None:
    """What this entry declares; None if this version can't read it."""
    try:
        return build_deployment(entry.document, entry.file, entry.line)
    except ControllerError:
        return None


def unknown_names(source: SourceStatus | None, known: Container[str]) -> dict[str, Finding]:
    """What is declared with an error and not in force, by name; each with the first of its errors."""
    errors = [finding for finding in (source.findings if source else ()) if finding.severity is Severity.ERROR]
    return {
        finding.deployment: finding
        for finding in reversed(errors)
        if finding.deployment is not None and finding.deployment not in known
    }


def place(view: DeploymentView) -> tuple[int, str]:
    """Where it stands in a list: problems first, then by name."""
    return weight(view), view.name


def weight(view: DeploymentView) -> int:
    """How early it stands in a list: problems first."""
    if view.sync in (Sync.INVALID, Sync.OUT_OF_SYNC):
        return 0 if view.sync is Sync.INVALID else 1
    return {Health.DEGRADED: 1, Health.RUNNING: 2}.get(view.health, 3)


def fires_after(hold: Hold | None, after: datetime) -> datetime | None:
    """After which instant schedules fire that would after this one: not before their hold ends; None if never."""
    if hold is None:
        return after
    return None if hold.until is None else max(after, hold.until)


def _next(schedules: Sequence[Schedule], hold: Hold | None, now: datetime) -> datetime | None:
    after = fires_after(hold, now)
    found = () if after is None else next_fire_times(schedules, after, 1)
    return found[0][0] if found else None


def _sync(reason: str | None, source: SourceStatus | None) -> Sync:
    if source is None or any(condition.reason in SOURCE_REASONS for condition in source.conditions):
        return Sync.UNKNOWN
    if reason == INVALID:
        return Sync.INVALID
    if reason in (WITHHELD, KEPT):
        return Sync.OUT_OF_SYNC
    return Sync.SYNCED if source.last_attempted_revision == source.last_applied_revision else Sync.OUT_OF_SYNC


def _health(run: LastRunRecord | None, *, suspended: bool) -> Health:
    if run is not None and not run.state.is_terminal:
        return Health.RUNNING
    if suspended:
        return Health.SUSPENDED
    if run is not None and run.state in (RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED):
        return Health.DEGRADED
    return Health.HEALTHY


def _last_run(run: LastRunRecord) -> LastRun:
    return LastRun(
        id=run.id,
        state=shown(run.state).value,
        reason=run.reason,
        scheduled_for=run.scheduled_for,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
    )
