"""What has to change: desired against recorded. Pure; the same input gives the same plan."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.manifests import DesiredState, build_deployment
from controller.model.deployments import Deployment
from controller.model.findings import Finding, Severity, refusal_finding
from controller.model.policies import Prune
from controller.model.schedules import Schedule
from controller.model.snapshots import Snapshot
from controller.model.status import INVALID, KEPT, WITHHELD, InventoryEntry, Withheld
from controller.reconcile.deletion_guard import guard_deletions, plan_digest
from controller.reconcile.prune_safety import PruneSafety


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A deployment whose record changes. `is_rescheduled`: its fire times may move, so they count from now on."""

    before: InventoryEntry
    after: Deployment
    is_rescheduled: bool

    @property
    def is_renamed(self) -> bool:
        """Whether its history moves to another name."""
        return self.before.name != self.after.name

    @property
    def is_real(self) -> bool:
        """Whether it says something else than before; otherwise it only stands elsewhere, or is good again."""
        return self.is_renamed or self.before.spec_digest != self.after.spec_digest

    @property
    def is_told(self) -> bool:
        """Whether anybody has to know: it says something else, or git says it again."""
        return self.is_real or self.before.pinned is not None or not self.before.is_valid


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A deployment that stays as it is though git does not declare it (well): for this reason, in these words."""

    entry: InventoryEntry
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The difference, each deployment in exactly one place. `unchanged` counts the rest.

    `digest` is that of everything that changes, `withheld` the deletions that are not carried out. A plan that
    `is_blocked` changes nothing: not everything is valid, and only all together would be applied.
    """

    revision: str
    create: tuple[Deployment, ...]
    update: tuple[Update, ...]
    delete: tuple[InventoryEntry, ...]
    keep: tuple[Kept, ...]
    unchanged: int
    findings: tuple[Finding, ...]
    digest: str
    withheld: Withheld | None = None
    is_blocked: bool = False

    @property
    def changes_anything(self) -> bool:
        """Whether anything in force changes, if only in its record."""
        return bool(self.create or self.update or self.delete)

    @property
    def changed(self) -> tuple[Update, ...]:
        """The updates but for those that only stand elsewhere now."""
        return tuple(update for update in self.update if update.is_told)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep something from being applied."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)


def make_plan(
    snapshot: Snapshot,
    desired: DesiredState,
    recorded: Mapping[str, InventoryEntry],
    *,
    approved: str | None = None,
    is_atomic: bool = False,
) -> Plan:
    """Compare what the snapshot declares with what is in force.

    `approved` is the digest of deletions that may be carried out. `is_atomic`: nothing, unless everything is valid.
    """
    refused = tuple(refusal_finding(file) for file in snapshot.refused)
    findings = (*desired.findings, *refused)
    doubt = PruneSafety(snapshot, desired, findings, recorded)
    create, update = _compare(desired, recorded)
    moved = {change.before.name for change in update}
    keep, delete = _absent(
        [entry for name, entry in recorded.items() if name not in desired.deployments and name not in moved], doubt
    )
    digest = plan_digest(create, [(change.before, change.after) for change in update if change.is_real], delete)
    remaining = len(recorded) + len(create) - len(delete)
    withheld = guard_deletions(delete, in_force=len(recorded), remaining=remaining, plan_digest=digest)
    is_blocked = is_atomic and any(finding.severity is Severity.ERROR for finding in findings)
    if withheld is not None and (is_blocked or approved not in (withheld.digest, digest)):
        message = f"git does not declare it any more; its deletion waits for: controller approve {withheld.digest}"
        keep += [Kept(entry=entry, reason=WITHHELD, message=message) for entry in delete]
        delete = []
    else:
        withheld = None
    unchanged = len(desired.deployments) - len(create) - len(update)
    if is_blocked:
        create, update, delete = [], [], []
        unchanged = len(recorded) - len(keep)
    return Plan(
        revision=snapshot.revision,
        create=tuple(create),
        update=tuple(update),
        delete=tuple(delete),
        keep=tuple(keep),
        unchanged=unchanged,
        findings=findings,
        digest=digest,
        withheld=withheld,
        is_blocked=is_blocked,
    )


def active_schedules(deployment: Deployment) -> tuple[Schedule, ...]:
    """The schedules that fire."""
    if deployment.suspend:
        return ()
    return tuple(schedule for schedule in deployment.schedules if not schedule.suspend)


def _compare(desired: DesiredState, recorded: Mapping[str, InventoryEntry]) -> tuple[list[Deployment], list[Update]]:
    """What is new and what differs, under its own name or under the one that it had."""
    create: list[Deployment] = []
    update: list[Update] = []
    moved: set[str] = set()
    for name, deployment in desired.deployments.items():
        entry = recorded.get(name)
        old = deployment.renamed_from
        if entry is None and old is not None and old not in moved and old not in desired.declared_names:
            entry = recorded.get(old)
            moved.add(old)
        if entry is None:
            create.append(deployment)
        elif _differs(entry, deployment):
            update.append(Update(before=entry, after=deployment, is_rescheduled=_is_rescheduled(entry, deployment)))
    return create, update


def _absent(entries: Iterable[InventoryEntry], doubt: PruneSafety) -> tuple[list[Kept], list[InventoryEntry]]:
    """Of what is not declared (any more, or not well): what is kept, and what goes."""
    keep, delete = [], []
    for entry in entries:
        message = doubt.about(entry)
        if message is not None:
            keep.append(Kept(entry=entry, reason=INVALID, message=message))
        elif build_deployment(entry.document, entry.file, entry.line).prune is Prune.DISABLED:
            keep.append(
                Kept(entry=entry, reason=KEPT, message="git does not declare it any more; it says prune: disabled")
            )
        else:
            delete.append(entry)
    return keep, delete


def _differs(entry: InventoryEntry, deployment: Deployment) -> bool:
    recorded = (entry.name, entry.spec_digest, entry.file, entry.line)
    declared = (deployment.name, deployment.spec_digest, deployment.file, deployment.line)
    return recorded != declared or entry.pinned is not None or not entry.is_valid


def _is_rescheduled(entry: InventoryEntry, deployment: Deployment) -> bool:
    if entry.spec_digest == deployment.spec_digest:
        return False
    before = build_deployment(entry.document, entry.file, entry.line)
    return active_schedules(before) != active_schedules(deployment)
