"""One deployment, whole: its fields, schedules in words, findings, and when it fires."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, tzinfo
from typing import Any

from controller.errors import UsageError, unknown_deployment
from controller.manifests import DesiredState
from controller.model.deployments import Deployment
from controller.model.findings import Finding, Severity
from controller.model.schedules import Schedule
from controller.queries.deployments import (
    DeploymentView,
    built,
    fires_after,
    in_force,
    moment_of,
    never_valid,
    row_of,
    unknown_names,
)
from controller.schedules import describe, next_fire_times, shared_zone
from controller.store import Transaction, inventory, last_runs
from controller.store.name_lookup import not_active


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleView:
    """One schedule: as declared, in words, and its next fire times; while its deployment is held those after that."""

    id: str
    text: str
    timezone: str
    suspended: bool
    parameters: Mapping[str, Any]
    fire_times: tuple[datetime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentDetail(DeploymentView):
    """Everything about one deployment. `revision` is what its next run would execute.

    `environment` is the one whose overlays are applied, None where none are.
    """

    revision: str | None
    spec_digest: str | None
    parameters: Mapping[str, Any]
    schedules: tuple[ScheduleView, ...]
    timeout_seconds: float | None
    env: Mapping[str, str]
    findings: tuple[Finding, ...]
    environment: str | None = None


def show_deployment(tx: Transaction, name: str, now: datetime) -> DeploymentDetail:
    """One deployment. Raises NotFoundError."""
    entry = inventory.find(tx, name)
    moment = moment_of(tx, now)
    source = moment.source
    unknown = unknown_names(source, () if entry is None else (name,))
    if entry is None and name not in unknown:
        raise not_active(tx, name)
    findings = tuple(finding for finding in (source.findings if source else ()) if finding.deployment == name)
    if entry is None:
        found = _detail(never_valid(unknown[name]), None, None, findings, now)
    else:
        revision = entry.pinned or (source and source.last_applied_revision) or entry.revision
        row = row_of(in_force(entry), last_runs.of(tx, name), moment)
        found = _detail(row, built(entry), revision, findings, now)
    return replace(found, environment=None if source is None else source.environment)


def fire_times(tx: Transaction, name: str, after: datetime, count: int) -> list[datetime]:
    """When the schedules of a deployment in force are due, held or not; never while it is suspended.

    Raises NotFoundError.
    """
    entry = inventory.find(tx, name)
    deployment = None if entry is None else built(entry)
    if deployment is None:
        show_deployment(tx, name, after)
        return []
    return [] if deployment.suspend else [time for time, _ in next_fire_times(deployment.schedules, after, count)]


def zone_of(tx: Transaction, name: str) -> tzinfo | None:
    """The time zone of a deployment's schedules, also of a deleted one; None where they have none, or more than one."""
    entry = inventory.find(tx, name) or inventory.find_removed(tx, name)
    deployment = None if entry is None else built(entry)
    return None if deployment is None else common_zone(deployment)


def common_zone(deployment: Deployment) -> tzinfo | None:
    """The one time zone of all its schedules; None where they have none, or more than one."""
    return shared_zone(schedule.timezone for schedule in deployment.schedules)


def coming_fire_times(tx: Transaction, name: str, now: datetime, *, after: datetime, count: int) -> list[datetime]:
    """When it will fire: the same without what its hold keeps from firing. Raises NotFoundError."""
    begin = fires_after(moment_of(tx, now).holds.get(name), after)
    return [] if begin is None else fire_times(tx, name, begin, count)


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


def _detail(
    view: DeploymentView,
    deployment: Deployment | None,
    revision: str | None,
    findings: tuple[Finding, ...],
    now: datetime,
) -> DeploymentDetail:
    schedules = () if deployment is None else deployment.schedules
    after = None if view.suspended else fires_after(view.hold, now)
    return DeploymentDetail(
        **{field.name: getattr(view, field.name) for field in fields(view)},
        revision=revision,
        spec_digest=None if deployment is None else deployment.spec_digest,
        parameters={} if deployment is None else deployment.parameters,
        schedules=tuple(_schedule(schedule, after) for schedule in schedules),
        timeout_seconds=None if deployment is None or not deployment.timeout else deployment.timeout.total_seconds(),
        env={} if deployment is None else deployment.env,
        findings=findings,
    )


def _schedule(schedule: Schedule, after: datetime | None) -> ScheduleView:
    times = () if after is None or schedule.suspend else next_fire_times([schedule], after, 5)
    return ScheduleView(
        id=schedule.id,
        text=describe(schedule),
        timezone=schedule.timezone,
        suspended=schedule.suspend,
        parameters=schedule.parameters,
        fire_times=tuple(time for time, _ in times),
    )
