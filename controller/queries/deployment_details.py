"""All details of one deployment: fields, descriptions of its schedules, findings and fire times."""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from controller.errors import UsageError, unknown_deployment
from controller.model import INTERNAL, extend
from controller.model.commits import Commit
from controller.model.deployments import Deployment
from controller.model.findings import Finding, Severity
from controller.model.notifications import DeadlineKind, NotifyRule, Trouble
from controller.model.python_environments import PythonSummary
from controller.model.schedules import Schedule
from controller.model.status import InventoryEntry
from controller.model.trigger_texts import trigger_texts
from controller.model.triggers import After
from controller.queries.deployments import (
    DeploymentView,
    base_row,
    build_entry,
    complete_row,
    errors_of_never_valid,
    never_valid_row,
)
from controller.queries.moment import read_moment
from controller.queries.next_starts import fires_after
from controller.queries.watch_conditions import FileTriggerView, file_trigger_view
from controller.queries.webhook_view import WebhookView, webhook_view
from controller.records import dataclass
from controller.schedules import describe, find_skipped, next_fire_times, shared_zone, window_opening
from controller.store import Transaction, commits, dependencies, inventory, last_runs, python_environments
from controller.store.name_lookup import not_active

if TYPE_CHECKING:
    from controller.manifests.reader import DesiredState

MAX_SKIPPED = 1000
"""The maximum number of due times that are examined for those that are skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleView:
    """One schedule: its declaration, its description and its next fire times, which come after a hold."""

    id: str
    text: str
    timezone: str
    suspended: bool
    parameters: Mapping[str, Any]
    fire_times: tuple[datetime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleView:
    """A notification rule that the deployment declares.

    It reports the troubles `on` to the channels `to`, after this many consecutive failures, and only what has lasted
    for `for_seconds`.
    """

    to: tuple[str, ...]
    on: tuple[Trouble, ...]
    failures: int
    for_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentDetail(DeploymentView):
    """All details of one deployment. `revision` is the one that its next run would execute.

    `environment` is the one whose overlays are applied, if any. `python` is the Python environment of the active
    version, None for the controller's own interpreter; the condition PythonReady has what the newest version waits for.
    `changed_in` is the commit that changed the active version of the document, None if that is unknown. `after` are the
    upstream deployments of the active version, and `dependants` the deployments that name this one under `after`.
    `notify` are its own notification rules, `expect` its deadlines in seconds by their keys.
    `files` are the folders whose new files start runs.
    """

    revision: str | None
    spec_digest: str | None
    parameters: Mapping[str, Any]
    schedules: tuple[ScheduleView, ...]
    timeout_seconds: float | None
    env: Mapping[str, str]
    findings: tuple[Finding, ...]
    environment: str | None = None
    python: PythonSummary | None = None
    changed_in: Commit | None = None
    after: After = field(default_factory=After)
    dependants: tuple[str, ...] = ()
    notify: tuple[RuleView, ...] = ()
    expect: Mapping[str, float] = field(default_factory=dict)
    files: tuple[FileTriggerView, ...] = ()
    webhooks: tuple[WebhookView, ...] = ()
    trigger_texts: tuple[str, ...] = field(default=(), metadata=INTERNAL)
    """A phrase for each event that starts its runs, such as `for new files in /srv/inbox`."""


def show_deployment(tx: Transaction, name: str, now: datetime) -> DeploymentDetail:
    """Return the details of one deployment. Raises NotFoundError."""
    entry = inventory.find(tx, name)
    moment = read_moment(tx, now)
    source = moment.source
    errors = errors_of_never_valid(source, () if entry is None else (name,))
    if entry is None and name not in errors:
        raise not_active(tx, name)
    findings = tuple(finding for finding in (source.findings if source else ()) if finding.deployment == name)
    if entry is None:
        detail = _detail(never_valid_row(errors[name]), None, None, findings, now)
    else:
        revision = entry.pinned or (source and source.last_applied_revision) or entry.revision
        row = complete_row(base_row(entry), last_runs.find(tx, name), moment)
        detail = replace(
            _detail(row, build_entry(entry), revision, findings, now),
            python=_python(tx, entry),
            changed_in=commits.find(tx, entry.changed_in),
            dependants=tuple(dependencies.dependants_of(tx, name)),
        )
    return replace(detail, environment=None if source is None else source.environment)


def _python(tx: Transaction, entry: InventoryEntry) -> PythonSummary | None:
    if entry.python is None:
        return None
    environment = python_environments.find(tx, entry.python)
    return PythonSummary(
        digest=None if environment is None else environment.digest,
        version=None if environment is None else environment.version,
        packages={} if environment is None else environment.packages,
        declared_at=entry.python_declared_at or "",
    )


def fire_times(tx: Transaction, name: str, after: datetime, count: int) -> list[datetime]:
    """Return the next `count` due times of an active deployment, held or not; none while it is suspended.

    Raises NotFoundError.
    """
    entry = inventory.find(tx, name)
    deployment = None if entry is None else build_entry(entry)
    if deployment is None:
        show_deployment(tx, name, after)
        return []
    return [] if deployment.suspend else [time for time, _ in next_fire_times(deployment.schedules, after, count)]


def skipped_due_times(
    deployment: Deployment | None, after: datetime, fire_times: Sequence[datetime]
) -> list[tuple[datetime, str]]:
    """Return the due times before the last of these fire times that a calendar or a window skips, with the reasons."""
    if deployment is None or deployment.suspend or not fire_times:
        return []
    return find_skipped(deployment.schedules, after, fire_times[-1], MAX_SKIPPED)


def delayed_starts(deployment: Deployment | None, fire_times: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """Return those of these fire times outside of the windows of their schedules, with the times of their starts."""
    if deployment is None or not fire_times:
        return []
    before = fire_times[0] - timedelta(microseconds=1)
    owned = next_fire_times(deployment.schedules, before, len(fire_times))
    openings = ((time, window_opening(schedule, time)) for time, schedule in owned)
    return [(time, opening) for time, opening in openings if opening is not None and opening != time]


def find_deployment(tx: Transaction, name: str) -> Deployment | None:
    """Return an active deployment as it was applied; None if there is none."""
    entry = inventory.find(tx, name)
    return None if entry is None else build_entry(entry)


def zone_of(tx: Transaction, name: str) -> tzinfo | None:
    """Return the common time zone of an active or deleted deployment's schedules; None if there is none."""
    entry = inventory.find(tx, name) or inventory.find_removed(tx, name)
    deployment = None if entry is None else build_entry(entry)
    return None if deployment is None else common_zone(deployment)


def common_zone(deployment: Deployment) -> tzinfo | None:
    """Return the time zone that all schedules of this deployment share, or without schedules the declared one.

    None if they differ, or nothing declares one.
    """
    return shared_zone(deployment.zones)


def coming_fire_times(tx: Transaction, name: str, now: datetime, *, after: datetime, count: int) -> list[datetime]:
    """Return the next `count` times at which a deployment will fire: like `fire_times`, but not while it is held.

    Raises NotFoundError.
    """
    begin = fires_after(read_moment(tx, now).holds.get(name), after)
    return [] if begin is None else fire_times(tx, name, begin, count)


def declared_fire_times(desired: "DesiredState", name: str, after: datetime, count: int) -> list[datetime]:
    """Return the next `count` due times of a deployment declared on disk.

    Raises NotFoundError, and UsageError if the declaration is invalid.
    """
    deployment = desired.deployments.get(name)
    if deployment is None:
        for finding in desired.findings:
            if finding.deployment == name and finding.severity is Severity.ERROR:
                location = f"{finding.file}:{finding.line}:{finding.column}"
                raise UsageError(f"{name} is not valid: {location}: {finding.message}", hint=finding.hint)
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
    return extend(
        DeploymentDetail,
        view,
        revision=revision,
        spec_digest=None if deployment is None else deployment.spec_digest,
        parameters={} if deployment is None else deployment.parameters,
        schedules=tuple(_schedule(schedule, after) for schedule in schedules),
        timeout_seconds=None if deployment is None or not deployment.timeout else deployment.timeout.total_seconds(),
        env={} if deployment is None else deployment.env,
        findings=findings,
        after=After() if deployment is None else deployment.after,
        notify=() if deployment is None else tuple(map(_rule, deployment.notify)),
        expect={} if deployment is None else _deadlines(deployment),
        files=() if deployment is None else tuple(map(file_trigger_view, deployment.files)),
        webhooks=() if deployment is None else tuple(map(webhook_view, deployment.webhooks)),
        trigger_texts=() if deployment is None else trigger_texts(deployment),
    )


def _rule(rule: NotifyRule) -> RuleView:
    return RuleView(to=rule.to, on=rule.on, failures=rule.failures, for_seconds=rule.wait.total_seconds())


def _deadlines(deployment: Deployment) -> dict[str, float]:
    lengths = {kind.value: getattr(deployment.expect, kind.value) for kind in DeadlineKind}
    return {key: length.total_seconds() for key, length in lengths.items() if length is not None}


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
