"""Compares the deployments that a revision declares with those that are active, and returns a plan.

Pure: the same input gives the same plan. Called by `reconciler` for each pass, and by the two comparisons of
`controller plan`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import field
from functools import partial
from types import MappingProxyType

from controller.manifests.after_fields import upstream_names
from controller.manifests.build import build_deployment
from controller.manifests.reader import DesiredState
from controller.model.deployments import Deployment
from controller.model.findings import Finding, Severity, refusal_finding
from controller.model.names import fold_name
from controller.model.policies import Prune
from controller.model.python_environments import PythonEnvironment, PythonState
from controller.model.schedules import Schedule
from controller.model.snapshots import Snapshot
from controller.model.status import INVALID, KEPT, NO_PYTHON, WITHHELD, ConditionType, InventoryEntry, Withheld
from controller.reconcile.deletion_guard import guard_deletions, plan_digest
from controller.reconcile.differences import Differences, Settled, find_differences
from controller.reconcile.prune_safety import PruneSafety
from controller.records import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """A deployment whose record changes.

    `is_rescheduled` means that its fire times may differ, so that due times are counted from this change on.
    """

    before: InventoryEntry
    after: Deployment
    is_rescheduled: bool

    @property
    def is_renamed(self) -> bool:
        """Whether its history moves to a new name."""
        return self.before.name != self.after.name

    @property
    def changes_content(self) -> bool:
        """Whether its name or its specification changes; if not, it only moved within the files or is valid again."""
        return self.is_renamed or self.before.spec_digest != self.after.spec_digest

    @property
    def is_reported(self) -> bool:
        """Whether it gets an event: its content changes, or git declares it in a valid document again."""
        return self.changes_content or self.before.pinned is not None or not self.before.is_valid


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A deployment that stays active although git declares another version, none, or an invalid one; and why.

    `python` is the Python environment that its newest version waits for, if that is the reason.
    """

    entry: InventoryEntry
    reason: str
    message: str
    python: PythonEnvironment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The changes that a revision makes. Each deployment is listed in one place only; `unchanged` counts the rest.

    `digest` covers everything that changes. `withheld` are deletions that wait for approval. A plan that `is_blocked`
    changes nothing: the apply policy is `atomic`, and the revision has errors. `python` has the Python environments of
    the deployments that declare one, by name; `rebuilt` are the unchanged deployments that declare one, or did.
    `dependants` are the deployments that name another one under `after` once the plan is applied, by its name.
    `disabled` are the names with `enabled: false`. `is_same_graph`: no deployment has other dependants than before.
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
    python: Mapping[str, PythonEnvironment] = field(default_factory=dict)
    rebuilt: tuple[InventoryEntry, ...] = ()
    dependants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    is_same_graph: bool = False

    @property
    def changes_anything(self) -> bool:
        """Whether the record of any active deployment changes, or the set of active deployments."""
        return bool(self.create or self.update or self.delete)

    @property
    def changed(self) -> tuple[Update, ...]:
        """The updates that are reported: all except those that only moved within the files."""
        return tuple(update for update in self.update if update.is_reported)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that prevent something from being applied."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)


def make_plan(
    snapshot: Snapshot,
    desired: DesiredState,
    recorded: Mapping[str, InventoryEntry],
    *,
    approved: str | None = None,
    is_atomic: bool = False,
    python: Mapping[str, PythonEnvironment] = MappingProxyType({}),
    earlier_files: Collection[str] = (),
    settled: Settled | None = None,
) -> Plan:
    """Compare the deployments that the snapshot declares (`desired`) with those that are active (`recorded`).

    `approved` is the digest of deletions that an operator has approved. With `is_atomic` the plan changes nothing
    unless the whole revision is valid. While an environment of `python` is not ready, the deployment of this name stays
    as it is recorded, unless it waits for the same environment already. `earlier_files` is passed to `PruneSafety`.
    `settled` describes the plan that was applied last: what it has settled is not compared again.
    """
    differences = find_differences(desired, recorded, settled)
    desired = differences.desired
    findings = (*desired.findings, *map(refusal_finding, snapshot.refused))
    create, changed = _compare(differences.declared, desired, recorded)
    unready, waiting = _find_waiting(changed, recorded, python)
    update = [change for change in changed if change.after.name not in unready]
    safety = partial(PruneSafety, snapshot, desired, findings, recorded, earlier_files)
    keep, delete = _divide_absent(differences, changed, safety)
    digest = plan_digest(create, [(change.before, change.after) for change in update if change.changes_content], delete)
    counts = {"active": len(recorded), "remaining": len(recorded) + len(create) - len(delete)}
    withheld = guard_deletions(delete, **counts, plan_digest=digest)
    is_blocked = is_atomic and any(finding.severity is Severity.ERROR for finding in findings)
    if withheld is not None and (is_blocked or approved not in (withheld.digest, digest)):
        keep += [_withhold(entry, withheld) for entry in delete]
        delete = []
    else:
        withheld = None
    rebuilt = _rebuilt(differences, recorded, python, unready | {change.after.name for change in changed})
    unchanged = len(desired.deployments) - len(create) - len(update) - len(waiting)
    keep += waiting
    if is_blocked:
        create, update, delete, rebuilt = [], [], [], []
        unchanged = len(recorded) - len(keep)
    same = _same_dependants(differences, keep, settled)
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
        python=python,
        rebuilt=tuple(rebuilt),
        dependants=_dependants(desired, keep) if same is None else same,
        disabled=desired.disabled,
        is_same_graph=same is not None,
    )


def settle(plan: Plan, desired: DesiredState) -> Settled | None:
    """Return the result of the plan once it is applied; None if it is blocked."""
    if plan.is_blocked:
        return None
    kept = frozenset(kept.entry.name for kept in plan.keep)
    is_recorded = plan.changes_anything or plan.is_same_graph
    return Settled(declared=desired.deployments, kept=kept, dependants=plan.dependants if is_recorded else None)


def active_schedules(deployment: Deployment) -> tuple[Schedule, ...]:
    """Return the schedules that fire: none of a suspended deployment, and only those that are not suspended."""
    if deployment.suspend:
        return ()
    return tuple(schedule for schedule in deployment.schedules if not schedule.suspend)


def _same_dependants(
    differences: Differences, keep: Iterable[Kept], settled: Settled | None
) -> Mapping[str, tuple[str, ...]] | None:
    """Return the recorded dependants if the plan does not change them; None if it may."""
    return None if settled is None else settled.find_dependants(differences, {kept.entry.name for kept in keep})


def _dependants(desired: DesiredState, keep: Iterable[Kept]) -> dict[str, tuple[str, ...]]:
    """Return the deployments that wait for another one, by its name, among those declared and those kept."""
    upstreams = {
        name: [upstream.deployment for upstream in deployment.after.upstreams]
        for name, deployment in desired.deployments.items()
        if deployment.after.upstreams
    }
    upstreams |= {kept.entry.name: upstream_names(kept.entry.document) for kept in keep}
    dependants: dict[str, tuple[str, ...]] = {}
    for name in sorted(upstreams):
        for upstream in upstreams[name]:
            dependants[upstream] = (*dependants.get(upstream, ()), name)
    return dependants


def _compare(
    declared: Iterable[Deployment], desired: DesiredState, recorded: Mapping[str, InventoryEntry]
) -> tuple[list[Deployment], list[Update]]:
    """Return those that are new, and those that differ from their record under the same or the previous name."""
    create: list[Deployment] = []
    update: list[Update] = []
    moved: set[str] = set()
    new = list(declared)
    is_renaming = any(deployment.renamed_from for deployment in new)
    names = {fold_name(name): name for name in recorded} if is_renaming else {}
    for deployment in new:
        entry = recorded.get(deployment.name)
        old = deployment.renamed_from and names.get(fold_name(deployment.renamed_from))
        if entry is None and old is not None and old not in moved and old not in desired.declared_names:
            entry = recorded.get(old)
            moved.add(old)
        if entry is None:
            create.append(deployment)
        elif _differs(entry, deployment):
            update.append(Update(before=entry, after=deployment, is_rescheduled=_is_rescheduled(entry, deployment)))
    return create, update


def _find_waiting(
    changed: Iterable[Update], recorded: Mapping[str, InventoryEntry], python: Mapping[str, PythonEnvironment]
) -> tuple[set[str], list[Kept]]:
    """Return the names whose Python environment is not ready, and those deployments as ones that stay as they are."""
    before = {change.after.name: change.before for change in changed}
    entries = {name: before.get(name) or recorded.get(name) for name in python}
    unready = {name for name, each in python.items() if _has_to_wait(entries[name], each)}
    waiting = [_waiting(entry, python[name]) for name in sorted(unready) if (entry := entries[name]) is not None]
    return unready, waiting


def _has_to_wait(entry: InventoryEntry | None, environment: PythonEnvironment) -> bool:
    """Whether the last version stays active, because the newest one needs another environment, which is not ready.

    If both versions wait for the same environment, or the last one never could run, then the newest one becomes active,
    and its runs wait.
    """
    if entry is None or environment.state is PythonState.READY or entry.python == environment.request:
        return False
    python = [condition for condition in entry.conditions if condition.type is ConditionType.PYTHON_READY]
    return entry.pinned is not None or all(condition.is_true for condition in python)


def _waiting(entry: InventoryEntry, environment: PythonEnvironment) -> Kept:
    """Return the deployment as one that stays as it is until the Python environment of its newest version is ready."""
    message = "The newest version waits for its Python environment; the last one stays active."
    return Kept(entry=entry, reason=NO_PYTHON, message=message, python=environment)


def _rebuilt(
    differences: Differences,
    recorded: Mapping[str, InventoryEntry],
    python: Collection[str],
    others: Collection[str],
) -> list[InventoryEntry]:
    """Return the unchanged deployments that have or had a Python environment, without `others`.

    `python` has the names of those that have one. After an update, these are the same ones as before.
    """
    before = () if differences.is_update else (name for name, entry in recorded.items() if entry.python)
    declared = differences.desired.deployments
    return [
        recorded[name]
        for name in sorted({*python, *before})
        if name in recorded and name in declared and name not in others
    ]


def _withhold(entry: InventoryEntry, withheld: Withheld) -> Kept:
    message = f"no longer declared in git; to approve its deletion: controller approve {withheld.digest}"
    return Kept(entry=entry, reason=WITHHELD, message=message)


def _divide_absent(
    differences: Differences, changed: Iterable[Update], make_safety: Callable[[], PruneSafety]
) -> tuple[list[Kept], list[InventoryEntry]]:
    """Divide active deployments without a valid document into those that are kept and those to delete."""
    renamed = {change.before.name for change in changed if change.is_renamed}
    entries = [entry for entry in differences.absent if entry.name not in renamed]
    keep: list[Kept] = []
    delete: list[InventoryEntry] = []
    if not entries:
        return keep, delete
    safety = make_safety()
    for entry in entries:
        message = safety.reason_to_keep(entry)
        if message is not None:
            keep.append(Kept(entry=entry, reason=INVALID, message=message))
        elif build_deployment(entry.document, entry.file, entry.line).prune is Prune.DISABLED:
            cause = (
                "not enabled in this environment"
                if entry.name in differences.desired.disabled
                else "no longer declared in git"
            )
            message = f"{cause}; kept because of prune: disabled"
            keep.append(Kept(entry=entry, reason=KEPT, message=message))
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
