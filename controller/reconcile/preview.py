"""A plan for people and programs: what changes in which field, and when it fires before and after. Pure.

`controller plan` shows it, from a repository alone or against what is applied. The dataclasses are the JSON that the
command line promises.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from controller.manifests import build_deployment
from controller.model.deployments import Deployment
from controller.model.findings import Finding, Severity
from controller.model.status import WITHHELD, InventoryEntry, Withheld
from controller.reconcile.changed_code import CodeChange, Unread
from controller.reconcile.diff import MOST, FieldChange, differences, shown
from controller.reconcile.plan import Plan, Update
from controller.reconcile.project_changes import QueueChange
from controller.schedules import next_fire_times, zone

SHOWN_TIMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FireTimes:
    """The next few instants at which it fires, before and after the change."""

    before: tuple[datetime, ...]
    after: tuple[datetime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentChange:
    """One deployment that is to be created, updated or deleted; `file` and `line` are those of its document.

    `renamed_from` is the name whose history it takes over. `warnings` are those of its document, `runs_in_flight` how
    many of its runs are not final where a state is known.
    """

    action: str
    deployment: str
    file: str
    line: int
    fields: tuple[FieldChange, ...]
    fire_times: FireTimes
    renamed_from: str | None = None
    warnings: tuple[str, ...] = ()
    runs_in_flight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDeployment:
    """A deployment that stays in force though git does not declare it (well) any more, and why."""

    deployment: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many of each; `invalid` are the documents and files that can't be applied."""

    create: int
    update: int
    delete: int
    unchanged: int
    invalid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentPlan:
    """What the same commit changes where the controller runs with `--environment` and this name."""

    name: str
    digest: str
    summary: Summary
    changes: tuple[DeploymentChange, ...]
    withheld: Withheld | None
    findings: tuple[Finding, ...]
    kept: tuple[KeptDeployment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The contract of `controller plan -o json`: deletions come first, then updates, then creations.

    `environment` is the one that was planned, None outside of all. `environments` are the declared ones in which the
    commit changes something, where all were asked for. `queues` and `project` are what changes in controller.yaml,
    `code` the deployments that run changed files, and `unread` the files whose imports could not be followed.
    """

    base: str | None
    head: str
    digest: str
    summary: Summary
    changes: tuple[DeploymentChange, ...]
    withheld: Withheld | None
    findings: tuple[Finding, ...]
    kept: tuple[KeptDeployment, ...]
    environment: str | None = None
    environments: tuple[EnvironmentPlan, ...] = ()
    queues: tuple[QueueChange, ...] = ()
    project: tuple[FieldChange, ...] = ()
    code: tuple[CodeChange, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether applying it would change nothing in any environment, and nothing is invalid."""
        found = (self.changes, self.summary.invalid, self.environments, self.queues, self.project, self.code)
        return not any(found)

    def as_environment(self, name: str) -> EnvironmentPlan:
        """The same, as the plan of one of several environments."""
        return EnvironmentPlan(
            name=name,
            digest=self.digest,
            summary=self.summary,
            changes=self.changes,
            withheld=self.withheld,
            findings=self.findings,
            kept=self.kept,
        )


def preview(
    plan: Plan,
    *,
    base: str | None,
    now: datetime,
    in_flight: Mapping[str, int] | None = None,
    environment: str | None = None,
) -> Preview:
    """Describe this plan, made for `environment`; fire times are those after `now`."""
    describe = _Describer(plan, now, in_flight or {})
    withheld = [one.entry for one in plan.keep if one.reason == WITHHELD]
    updates = [update for update in plan.update if update.is_real]
    changes = [describe.deleted(entry) for entry in sorted((*plan.delete, *withheld), key=lambda entry: entry.name)]
    changes += [describe.updated(update) for update in sorted(updates, key=lambda update: update.after.name)]
    changes += [describe.created(new) for new in sorted(plan.create, key=lambda new: new.name)]
    return Preview(
        base=base,
        head=plan.revision,
        digest=plan.digest,
        summary=Summary(
            create=len(plan.create),
            update=len(updates),
            delete=len(plan.delete) + len(withheld),
            unchanged=plan.unchanged + len(plan.update) - len(updates),
            invalid=len({finding.deployment or finding.file for finding in plan.errors}),
        ),
        changes=tuple(changes),
        withheld=plan.withheld,
        findings=plan.findings,
        kept=tuple(
            KeptDeployment(deployment=one.entry.name, reason=one.reason, message=one.message)
            for one in sorted(plan.keep, key=lambda one: one.entry.name)
            if one.reason != WITHHELD
        ),
        environment=environment,
    )


class _Describer:
    """Words for one plan."""

    def __init__(self, plan: Plan, now: datetime, in_flight: Mapping[str, int]) -> None:
        self._now = now
        self._in_flight = in_flight
        self._warnings: dict[str | None, list[str]] = {}
        for finding in plan.findings:
            if finding.severity is Severity.WARNING:
                self._warnings.setdefault(finding.deployment, []).append(finding.message)

    def deleted(self, entry: InventoryEntry) -> DeploymentChange:
        before = build_deployment(entry.document, entry.file, entry.line)
        return DeploymentChange(
            action="delete",
            deployment=entry.name,
            file=entry.file,
            line=entry.line,
            fields=(),
            fire_times=FireTimes(before=self._times(before), after=()),
            runs_in_flight=self._in_flight.get(entry.name, 0),
        )

    def updated(self, update: Update) -> DeploymentChange:
        entry, after = update.before, update.after
        before = build_deployment(entry.document, entry.file, entry.line)
        return DeploymentChange(
            action="update",
            deployment=after.name,
            file=after.file,
            line=after.line,
            fields=tuple(islice(differences(entry.document, after.document), MOST)),
            fire_times=FireTimes(before=self._times(before), after=self._times(after)),
            renamed_from=entry.name if update.is_renamed else None,
            warnings=tuple(self._warnings.get(after.name, ())),
            runs_in_flight=self._in_flight.get(entry.name, 0),
        )

    def created(self, new: Deployment) -> DeploymentChange:
        return DeploymentChange(
            action="create",
            deployment=new.name,
            file=new.file,
            line=new.line,
            fields=tuple(islice(_given(new), MOST)),
            fire_times=FireTimes(before=(), after=self._times(new)),
            warnings=tuple(self._warnings.get(new.name, ())),
        )

    def _times(self, deployment: Deployment) -> tuple[datetime, ...]:
        if deployment.suspend:
            return ()
        found = next_fire_times(deployment.schedules, self._now, SHOWN_TIMES)
        return tuple(time.astimezone(zone(schedule.timezone)) for time, schedule in found)


def _given(new: Deployment) -> Iterator[FieldChange]:
    for key, value in new.document.items():
        if key != "name":
            yield FieldChange(path=f"$.{key}", before=None, after=shown(value, key))
