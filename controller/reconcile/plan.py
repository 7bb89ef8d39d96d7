"""What has to change: desired against recorded. Pure; the same input gives the same plan."""

from collections.abc import Mapping
from dataclasses import dataclass

from controller.manifests import DesiredState, build_deployment
from controller.model.deployments import Deployment
from controller.model.findings import Finding, Severity, refusal_finding
from controller.model.schedules import Schedule
from controller.model.snapshots import Snapshot
from controller.model.status import InventoryEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A deployment whose record changes. `is_rescheduled`: its fire times may move, so they count from now on."""

    before: InventoryEntry
    after: Deployment
    is_rescheduled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A deployment whose newest document is bad or in doubt: its last good version stays, for this reason."""

    entry: InventoryEntry
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The difference, each deployment in exactly one place. `unchanged` counts the rest."""

    revision: str
    create: tuple[Deployment, ...]
    update: tuple[Update, ...]
    delete: tuple[InventoryEntry, ...]
    keep: tuple[Kept, ...]
    unchanged: int
    findings: tuple[Finding, ...]


def make_plan(snapshot: Snapshot, desired: DesiredState, recorded: Mapping[str, InventoryEntry]) -> Plan:
    """Compare what the snapshot declares with what is in force."""
    refused = tuple(refusal_finding(file) for file in snapshot.refused)
    create: list[Deployment] = []
    update: list[Update] = []
    for name, deployment in desired.deployments.items():
        entry = recorded.get(name)
        if entry is None:
            create.append(deployment)
        elif _differs(entry, deployment):
            update.append(Update(before=entry, after=deployment, is_rescheduled=_is_rescheduled(entry, deployment)))
    doubt = _Doubt(snapshot, desired, refused, recorded)
    absent = [entry for name, entry in recorded.items() if name not in desired.deployments]
    reasons = [(entry, doubt.about(entry)) for entry in absent]
    return Plan(
        revision=snapshot.revision,
        create=tuple(create),
        update=tuple(update),
        delete=tuple(entry for entry, reason in reasons if reason is None),
        keep=tuple(Kept(entry=entry, message=reason) for entry, reason in reasons if reason is not None),
        unchanged=len(desired.deployments) - len(create) - len(update),
        findings=(*desired.findings, *refused),
    )


def active_schedules(deployment: Deployment) -> tuple[Schedule, ...]:
    """The schedules that fire."""
    if deployment.suspend:
        return ()
    return tuple(schedule for schedule in deployment.schedules if not schedule.suspend)


def _differs(entry: InventoryEntry, deployment: Deployment) -> bool:
    recorded = (entry.spec_digest, entry.file, entry.line)
    return recorded != (deployment.spec_digest, deployment.file, deployment.line) or not entry.is_valid


def _is_rescheduled(entry: InventoryEntry, deployment: Deployment) -> bool:
    if entry.spec_digest == deployment.spec_digest:
        return False
    before = build_deployment(entry.document, entry.file, entry.line)
    return active_schedules(before) != active_schedules(deployment)


class _Doubt:
    """Whether a deployment that is not declared (well) any more has really left the repository."""

    def __init__(
        self,
        snapshot: Snapshot,
        desired: DesiredState,
        refused: tuple[Finding, ...],
        recorded: Mapping[str, InventoryEntry],
    ) -> None:
        errors = [finding for finding in (*desired.findings, *refused) if finding.severity is Severity.ERROR]
        self._declared = desired.declared_names
        self._by_name = {finding.deployment: finding for finding in reversed(errors) if finding.deployment}
        self._by_file = {finding.file: finding for finding in reversed(errors)}
        self._broken = desired.broken_files
        self._present = {file.path for file in snapshot.files}
        known = {entry.file for entry in recorded.values()}
        # A bad file that nothing is known of may be where a vanished deployment has moved to.
        self._strangers = [finding for file, finding in self._by_file.items() if file not in known]
        self._errors = errors

    def about(self, entry: InventoryEntry) -> str | None:
        """Why it must be kept; None if it is gone for certain."""
        finding = self._by_name.get(entry.name) or self._by_file.get(entry.file)
        if finding is None and entry.file in self._broken:
            # What broke it stands in another file: in controller.yaml, or it is a file too many.
            finding = next(iter(self._errors), None)
        if finding is None and entry.name not in self._declared and entry.file not in self._present:
            # Once in doubt, always in doubt while there is an error: its stranger may be known by now.
            finding = next(iter(self._strangers if entry.is_valid else self._errors), None)
        if finding is not None:
            return f"{finding.file}:{finding.line}:{finding.column}: {finding.message}"
        return "Its newest document is not valid." if entry.name in self._declared else None
