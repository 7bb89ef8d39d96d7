"""Describes a plan field by field, with the fire times before and after. Pure.

Called by the two comparisons of `controller plan`: of two commits, and of a commit with the active deployments. The
dataclasses define the JSON of `controller plan -o json`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice

from controller.manifests.build import build_deployment
from controller.model.commits import Commit
from controller.model.deployments import Deployment
from controller.model.findings import Finding, Severity
from controller.model.names import name_order
from controller.model.status import WITHHELD, InventoryEntry, Withheld
from controller.reconcile.changed_code import CodeChange, Unread
from controller.reconcile.diff import MAX_FIELDS, FieldChange, differences, without_secrets
from controller.reconcile.fire_times import FireTimes
from controller.reconcile.graph_changes import EdgeChange, deletion_warnings, edge_changes, update_warnings
from controller.reconcile.holiday_changes import HolidayChange
from controller.reconcile.plan import Plan, Update
from controller.reconcile.project_changes import QueueChange
from controller.reconcile.python_changes import PythonChange
from controller.reconcile.spec_changes import SpecChange
from controller.records import dataclass
from controller.schedules import next_fire_times, zone

MAX_TIMES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentChange:
    """A deployment to be created, updated or deleted; `file` and `line` locate its document.

    `renamed_from` is the name whose history it takes over. `warnings` are those about its document. `runs_in_flight` is
    the number of its unfinished runs, or 0 if the plan was made without a state. `reason` is why it is deleted although
    git still declares it.
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
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDeployment:
    """A deployment that stays active without a valid document in git, and why."""

    deployment: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The number of deployments by what happens to them; `invalid` counts documents and files that can't be applied."""

    create: int
    update: int
    delete: int
    unchanged: int
    invalid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentPlan:
    """The plan of the same commit for a controller that runs with `--environment NAME`."""

    name: str
    digest: str
    summary: Summary
    changes: tuple[DeploymentChange, ...]
    withheld: Withheld | None
    findings: tuple[Finding, ...]
    kept: tuple[KeptDeployment, ...]
    graph: tuple[EdgeChange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """The JSON of `controller plan -o json`. `changes` lists deletions first, then updates, then creations.

    `environment` is the planned environment, None for a plan without one. `environments` are the plans of the declared
    environments in which the commit changes something, if all were planned. `queues` and `project` are the changes of
    controller.yaml, `code` the deployments that run changed files, `unread` the files whose imports could not be read.
    `python` are the deployments whose packages change, as far as that is known without an index. `graph` are the
    dependencies between deployments, and on files and webhooks, that change. `holidays` are the deployments whose fire
    times move with the installed version of the `holidays` package.
    `commit` is that of the head, None for a directory. `specs` are the Python specs that change and were not executed,
    so that the plan lacks the changes of their deployments.
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
    python: tuple[PythonChange, ...] = ()
    commit: Commit | None = None
    graph: tuple[EdgeChange, ...] = ()
    holidays: tuple[HolidayChange, ...] = ()
    specs: tuple[SpecChange, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the plan changes nothing in any environment, and nothing is invalid."""
        parts = (self.changes, self.environments, self.queues, self.project, self.code, self.python, self.holidays)
        return not (any(parts) or self.specs or self.summary.invalid)

    def as_environment(self, name: str) -> EnvironmentPlan:
        """Return the same plan as an entry of `environments`."""
        return EnvironmentPlan(
            name=name,
            digest=self.digest,
            summary=self.summary,
            changes=self.changes,
            withheld=self.withheld,
            findings=self.findings,
            kept=self.kept,
            graph=self.graph,
        )


def preview(
    plan: Plan,
    *,
    base: str | None,
    now: datetime,
    in_flight: Mapping[str, int] | None = None,
    environment: str | None = None,
) -> Preview:
    """Describe a plan that was made for `environment`.

    `base` is the revision that it starts from, `in_flight` the number of unfinished runs by deployment. Fire times are
    those after `now`.
    """
    describe = _Describer(plan, now, in_flight or {})
    withheld = [kept.entry for kept in plan.keep if kept.reason == WITHHELD]
    updates = [update for update in plan.update if update.changes_content]
    changes = [
        describe.deletion(entry)
        for entry in sorted((*plan.delete, *withheld), key=lambda entry: name_order(entry.name))
    ]
    changes += [describe.update(update) for update in sorted(updates, key=lambda update: name_order(update.after.name))]
    changes += [describe.creation(new) for new in sorted(plan.create, key=lambda new: name_order(new.name))]
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
            KeptDeployment(deployment=kept.entry.name, reason=kept.reason, message=kept.message)
            for kept in sorted(plan.keep, key=lambda kept: name_order(kept.entry.name))
            if kept.reason != WITHHELD
        ),
        environment=environment,
        graph=edge_changes(plan),
    )


class _Describer:
    """Describes the changes of one plan."""

    def __init__(self, plan: Plan, now: datetime, in_flight: Mapping[str, int]) -> None:
        self._plan = plan
        self._now = now
        self._in_flight = in_flight
        self._disabled = plan.disabled
        self._warnings: dict[str | None, list[str]] = {}
        for finding in plan.findings:
            if finding.severity is Severity.WARNING:
                self._warnings.setdefault(finding.deployment, []).append(finding.message)

    def deletion(self, entry: InventoryEntry) -> DeploymentChange:
        before = build_deployment(entry.document, entry.file, entry.line)
        return DeploymentChange(
            action="delete",
            deployment=entry.name,
            file=entry.file,
            line=entry.line,
            fields=(),
            fire_times=FireTimes(before=self._times(before), after=()),
            warnings=tuple(deletion_warnings(self._plan, entry.name)),
            runs_in_flight=self._in_flight.get(entry.name, 0),
            reason="enabled: false" if entry.name in self._disabled else None,
        )

    def update(self, update: Update) -> DeploymentChange:
        entry, after = update.before, update.after
        before = build_deployment(entry.document, entry.file, entry.line)
        return DeploymentChange(
            action="update",
            deployment=after.name,
            file=after.file,
            line=after.line,
            fields=tuple(islice(differences(entry.document, after.document), MAX_FIELDS)),
            fire_times=FireTimes(before=self._times(before), after=self._times(after)),
            renamed_from=entry.name if update.is_renamed else None,
            warnings=(*self._warnings.get(after.name, ()), *update_warnings(self._plan, update)),
            runs_in_flight=self._in_flight.get(entry.name, 0),
        )

    def creation(self, new: Deployment) -> DeploymentChange:
        return DeploymentChange(
            action="create",
            deployment=new.name,
            file=new.file,
            line=new.line,
            fields=tuple(islice(_declared_fields(new), MAX_FIELDS)),
            fire_times=FireTimes(before=(), after=self._times(new)),
            warnings=tuple(self._warnings.get(new.name, ())),
        )

    def _times(self, deployment: Deployment) -> tuple[datetime, ...]:
        if deployment.suspend:
            return ()
        fire_times = next_fire_times(deployment.schedules, self._now, MAX_TIMES)
        return tuple(time.astimezone(zone(schedule.timezone)) for time, schedule in fire_times)


def _declared_fields(new: Deployment) -> Iterator[FieldChange]:
    for key, value in new.document.items():
        if key != "name":
            yield FieldChange(path=f"$.{key}", before=None, after=without_secrets(value, key))
