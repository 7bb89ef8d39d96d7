"""Deployments as every surface shows them: what git says, what is in force, how it goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from controller.calendar import describe, next_fire_times
from controller.errors import SOURCE_REASONS, ControllerError, UsageError, unknown_deployment
from controller.manifests import DesiredState, build_deployment
from controller.model.deployments import CommandTarget, Deployment
from controller.model.findings import Finding, Severity
from controller.model.runs import Run, RunState
from controller.model.schedules import Schedule
from controller.model.status import INVALID, KEPT, WITHHELD, Hold, InventoryEntry, SourceStatus
from controller.store import Transaction, holds, inventory, runs, sources
from controller.views.conditions import ConditionView, condition_views
from controller.views.runs import shown


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
class ScheduleView:
    """One schedule: as declared, in words, and its next fire times."""

    id: str
    text: str
    timezone: str
    suspended: bool
    parameters: Mapping[str, Any]
    fire_times: tuple[datetime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentDetail(DeploymentView):
    """Everything about one deployment. `revision` is what its next run would execute."""

    revision: str | None
    spec_digest: str | None
    parameters: Mapping[str, Any]
    schedules: tuple[ScheduleView, ...]
    timeout_seconds: float | None
    env: Mapping[str, str]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class _Context:
    source: SourceStatus | None
    last_runs: Mapping[str, Run]
    holds: Mapping[str, Hold]
    now: datetime


def list_deployments(tx: Transaction, now: datetime) -> list[DeploymentView]:
    """Every deployment in force, and every one that is declared but was never valid; problems first."""
    context = _context(tx, now)
    entries = inventory.entries(tx)
    views = [_view(entry, context) for entry in entries.values()]
    views += [_never_valid(finding) for finding in _unknown_names(context.source, entries).values()]
    return sorted(views, key=lambda view: (weight(view), view.name))


def show_deployment(tx: Transaction, name: str, now: datetime) -> DeploymentDetail:
    """One deployment. Raises NotFoundError."""
    entry = inventory.find(tx, name)
    source = sources.find(tx)
    unknown = _unknown_names(source, {} if entry is None else {name: entry})
    if entry is None and name not in unknown:
        raise unknown_deployment(name, [*inventory.entries(tx), *unknown])
    findings = tuple(finding for finding in (source.findings if source else ()) if finding.deployment == name)
    if entry is None:
        return _detail(_never_valid(unknown[name]), None, None, findings, now)
    context = _context(tx, now)
    revision = entry.pinned or (source and source.last_applied_revision) or entry.revision
    return _detail(_view(entry, context), _build(entry), revision, findings, now)


def fire_times(tx: Transaction, name: str, after: datetime, count: int) -> list[datetime]:
    """The next fire times of a deployment in force; none while it is suspended. Raises NotFoundError."""
    entry = inventory.find(tx, name)
    deployment = None if entry is None else _build(entry)
    if deployment is None:
        show_deployment(tx, name, after)
        return []
    return [] if deployment.suspend else [time for time, _ in next_fire_times(deployment.schedules, after, count)]


def declared_fire_times(desired: DesiredState, name: str, after: datetime, count: int) -> list[datetime]:
    """The same for a deployment that is declared on disk. Raises NotFoundError, UsageError."""
    deployment = desired.deployments.get(name)
    if deployment is None:
        for finding in desired.findings:
            if finding.deployment == name and finding.severity is Severity.ERROR:
                where = f"{finding.file}:{finding.line}:{finding.column}"
                raise UsageError(f"{name} is not valid: {where}: {finding.message}", hint=finding.hint)
        raise unknown_deployment(name, desired.declared_names)
    return [] if deployment.suspend else [time for time, _ in next_fire_times(deployment.schedules, after, count)]


def _context(tx: Transaction, now: datetime) -> _Context:
    held = {name: hold for name, hold in holds.every(tx).items() if not hold.is_over(now)}
    return _Context(sources.find(tx), runs.last_of_each(tx), held, now)


def _view(entry: InventoryEntry, context: _Context) -> DeploymentView:
    deployment = _build(entry)
    run = context.last_runs.get(entry.name)
    suspended = deployment is not None and deployment.suspend
    hold = context.holds.get(entry.name)
    return DeploymentView(
        name=entry.name,
        flow=_flow(deployment),
        command=_command(deployment),
        description="" if deployment is None else deployment.description,
        file=entry.file,
        line=entry.line,
        tags=() if deployment is None else deployment.tags,
        version=None if deployment is None else deployment.version,
        sync=_sync(entry, context.source),
        health=_health(run, suspended=suspended or hold is not None),
        suspended=suspended,
        held=hold is not None,
        hold=hold,
        generation=entry.generation + (not entry.is_valid),
        observed_generation=entry.generation,
        next_fire_time=None if deployment is None or suspended else _next(deployment, hold, context.now),
        last_run=None if run is None else _last_run(run),
        conditions=condition_views(entry.conditions),
    )


def _never_valid(finding: Finding) -> DeploymentView:
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


def _detail(
    view: DeploymentView,
    deployment: Deployment | None,
    revision: str | None,
    findings: tuple[Finding, ...],
    now: datetime,
) -> DeploymentDetail:
    from dataclasses import fields

    schedules = () if deployment is None else deployment.schedules
    return DeploymentDetail(
        **{field.name: getattr(view, field.name) for field in fields(view)},
        revision=revision,
        spec_digest=None if deployment is None else deployment.spec_digest,
        parameters={} if deployment is None else deployment.parameters,
        schedules=tuple(_schedule(schedule, now, suspended=view.suspended) for schedule in schedules),
        timeout_seconds=None if deployment is None or not deployment.timeout else deployment.timeout.total_seconds(),
        env={} if deployment is None else deployment.env,
        findings=findings,
    )


def _schedule(schedule: Schedule, now: datetime, *, suspended: bool) -> ScheduleView:
    asleep = suspended or schedule.suspend
    return ScheduleView(
        id=schedule.id,
        text=describe(schedule),
        timezone=schedule.timezone,
        suspended=schedule.suspend,
        parameters=schedule.parameters,
        fire_times=() if asleep else tuple(time for time, _ in next_fire_times([schedule], now, 5)),
    )


def _build(entry: InventoryEntry) -> Deployment | None:
    try:
        return build_deployment(entry.document, entry.file, entry.line)
    except ControllerError:
        return None


def _next(deployment: Deployment, hold: Hold | None, now: datetime) -> datetime | None:
    """The next instant at which it fires; after its hold, if that ends by itself."""
    if hold is not None and hold.until is None:
        return None
    after = now if hold is None or hold.until is None else max(now, hold.until)
    found = next_fire_times(deployment.schedules, after, 1)
    return found[0][0] if found else None


def _unknown_names(source: SourceStatus | None, entries: Mapping[str, InventoryEntry]) -> dict[str, Finding]:
    errors = [finding for finding in (source.findings if source else ()) if finding.severity is Severity.ERROR]
    return {
        finding.deployment: finding
        for finding in reversed(errors)
        if finding.deployment is not None and finding.deployment not in entries
    }


def _flow(deployment: Deployment | None) -> str | None:
    if deployment is None or isinstance(deployment.target, CommandTarget):
        return None
    return str(deployment.target)


def _command(deployment: Deployment | None) -> tuple[str, ...] | None:
    return deployment.target.argv if deployment and isinstance(deployment.target, CommandTarget) else None


def _sync(entry: InventoryEntry, source: SourceStatus | None) -> Sync:
    if source is None or any(condition.reason in SOURCE_REASONS for condition in source.conditions):
        return Sync.UNKNOWN
    if entry.reason == INVALID:
        return Sync.INVALID
    if entry.reason in (WITHHELD, KEPT):
        return Sync.OUT_OF_SYNC
    return Sync.SYNCED if source.last_attempted_revision == source.last_applied_revision else Sync.OUT_OF_SYNC


def _health(run: Run | None, *, suspended: bool) -> Health:
    if run is not None and not run.state.is_terminal:
        return Health.RUNNING
    if suspended:
        return Health.SUSPENDED
    if run is not None and run.state in (RunState.FAILED, RunState.TIMED_OUT, RunState.CRASHED):
        return Health.DEGRADED
    return Health.HEALTHY


def _last_run(run: Run) -> LastRun:
    return LastRun(
        id=run.id,
        state=shown(run.state).value,
        reason=run.reason,
        scheduled_for=run.scheduled_for,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
    )


def weight(view: DeploymentView) -> int:
    """How early it stands in a list: problems first."""
    if view.sync in (Sync.INVALID, Sync.OUT_OF_SYNC):
        return 0 if view.sync is Sync.INVALID else 1
    return {Health.DEGRADED: 1, Health.RUNNING: 2}.get(view.health, 3)
