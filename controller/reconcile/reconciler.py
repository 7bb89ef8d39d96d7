"""One pass: from the revision of the source to the jobs in the timetable. Called by `loop`, and by `run --once`.

The stages are always the same: observe -> read -> parse -> plan (with the deletion guard) -> apply (with the commits)
-> project -> garbage. The active deployments stay in memory between passes: nothing but a pass changes them, and a pass
touches only those that changed.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cached_property

from controller import crashpoints
from controller.clock import Clock
from controller.errors import ControllerError, SourceError
from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.reader import DesiredState, ManifestReader
from controller.model.findings import Finding
from controller.model.python_environments import PythonEnvironment
from controller.model.schedules import Agenda
from controller.model.status import Event, EventSeverity, InventoryEntry, PassRecord, SourceStatus
from controller.reconcile import status
from controller.reconcile.apply import Applied, Settle, apply
from controller.reconcile.commit_facts import read_commit_facts
from controller.reconcile.differences import Settled
from controller.reconcile.parts import Project, PythonEnvironments
from controller.reconcile.pass_timings import PassTimings
from controller.reconcile.plan import Plan, active_schedules, make_plan, settle
from controller.reconcile.restored_agendas import read_recorded
from controller.records import dataclass
from controller.sources.source import Source
from controller.store import Store, Transaction, events, inventory, passes, queues, runs, source_status

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """The result of a pass. `plan` is None if nothing was new; `error` is set if the source could not be read."""

    status: SourceStatus
    plan: Plan | None = None
    error: SourceError | None = None


class Reconciler:
    """Keeps the active deployments equal to those that the source declares. Used by one thread at a time."""

    def __init__(  # noqa: PLR0913
        self,
        *,
        source: Source,
        store: Store,
        clock: Clock,
        initial: SourceStatus,
        deployments: ActiveDeployments,
        settle: Settle,
        project: Project,
        python: PythonEnvironments | None = None,
        is_atomic: bool = False,
    ) -> None:
        self._source = source
        self._store = store
        self._clock = clock
        self._settle = settle
        self._project = project
        self._python = python
        self._is_atomic = is_atomic
        self.drifts = 0
        self._reader = ManifestReader(initial.environment, project_name=initial.project_name)
        self._deployments = deployments
        self._settled: Settled | None = None
        self._is_fresh = True
        self._is_unavailable = False
        self._logged: tuple[str, tuple[Finding, ...]] | None = None
        with store.read() as tx:
            recorded = source_status.find(tx)
        self._followed = initial.followed
        self._is_foreign = recorded is not None and not _is_same_location(recorded, initial)
        self._status = initial if recorded is None else _with_location(recorded, initial)

    def restore(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Project the recorded deployments before the first pass, so that they fire while the source is being read.

        Only their schedules are read, in batches. Nothing is projected if the record was made from another location or
        environment. Deployments of a Python spec wait for the first pass, which executes the spec; otherwise their runs
        would execute it on the engine's thread. Stops early if `is_over`. Raises StateError.
        """
        if self._is_foreign:
            return
        entries: dict[str, InventoryEntry] = {}
        with self._store.read() as tx:
            for batch, agendas in read_recorded(tx, self._agenda, is_over):
                entries |= batch
                self._project(agendas, ())
        if not is_over():
            self._recorded = dict(sorted(entries.items()))

    @cached_property
    def _recorded(self) -> dict[str, InventoryEntry]:
        with self._store.read() as tx:
            return inventory.compact_entries(tx)

    def run_pass(self, *, is_requested: bool = False) -> PassResult:
        """Read the source and apply its revision. Raises StateError; a source that can't be read is in the result.

        With `is_requested` the revision is read and planned again even if it is not new.
        """
        stages = PassTimings(self._clock)
        started_at = self._clock.now()
        revision: str | None = None
        try:
            revision = self._source.observe()
            if not (self._is_fresh or is_requested) and self._is_known(revision):
                return PassResult(status=self._status)
            stages.finish_stage("observe")
            snapshot = self._source.read(revision)
            code = self._source.code(revision)
            stages.finish_stage("read")
            desired = self._reader.read(snapshot.files, self._clock.now(), snapshot.project, code)
            self._deployments.declare(revision, desired.deployments)
            stages.finish_stage("parse")
            python = self._python_environments(desired, revision)
        except SourceError as error:
            return self._unavailable(error, revision)
        except (ControllerError, MemoryError):
            raise
        except OSError as error:
            return self._unavailable(status.read_error(error), revision)
        except Exception as error:
            # Whatever the repository contains, the active deployments must keep running.
            if not self._is_unavailable:
                log.exception("Internal error while reading the source")
            return self._unavailable(status.internal_error(error), revision)
        with self._store.read() as tx:
            approved = recorded.approved if (recorded := source_status.find(tx)) is not None else None
        plan = make_plan(
            snapshot,
            desired,
            self._recorded,
            approved=approved,
            is_atomic=self._is_atomic,
            python=python,
            settled=self._settled,
        )
        stages.finish_stage("plan")
        before = self._status
        applied = self._apply(plan, desired)
        is_new = plan.changes_anything or (before.last_attempted_revision, before.conditions) != (
            revision,
            applied.status.conditions,
        )
        stages.finish_stage("apply")
        self._deployments.add((*plan.create, *(change.after for change in plan.update)))
        if self._is_fresh:
            self._share_unchanged(desired)
        self.project(applied)
        stages.finish_stage("project")
        self._collect()
        self._collect_python(plan, desired)
        stages.finish_stage("garbage")
        self._record_pass(plan, started_at, stages, is_new=is_new)
        return PassResult(status=self._status, plan=plan)

    def _python_environments(self, desired: DesiredState, revision: str) -> dict[str, PythonEnvironment]:
        """Return the Python environments of the deployments that declare one, by name. Those that are new are built."""
        requests = desired.python_requests
        if self._python is None or not requests:
            return {}
        environments = self._python.ensure(requests.values(), self._source.committed_at(revision))
        return {
            name: replace(environments[request.digest], declared_at=request.declared_at)
            for name, request in requests.items()
        }

    def _collect_python(self, plan: Plan, desired: DesiredState) -> None:
        """Have unused Python environments removed. While a version waits for a new one, the last one is needed."""
        if self._python is not None and not any(kept.python for kept in plan.keep) and not desired.broken_files:
            requests = desired.python_requests.values()
            self._python.collect({request.digest for request in requests}, self._clock.now())

    def project(self, applied: Applied | None = None) -> None:
        """Make the timetable match the active deployments: those that `applied` names, or all of them without it.

        Does nothing while the record is that of another location or environment, whose deployments are not active.
        """
        if self._is_foreign:
            return
        is_whole = applied is None or self._is_fresh
        entries = self._recorded if applied is None or is_whole else applied.written
        agendas = {name: self._agenda(entry) for name, entry in entries.items()}
        active = {name: agenda for name, agenda in agendas.items() if agenda is not None}
        removed = None if applied is None or is_whole else [*applied.removed, *(agendas.keys() - active.keys())]
        drifted = list(self._project(active, removed))
        if drifted and not self._is_fresh:
            self._report_drift(drifted)
        self._is_fresh = False

    def _is_known(self, revision: str) -> bool:
        """Whether this revision was processed before, and the last attempt to read the source succeeded."""
        return revision == self._status.last_attempted_revision and not self._is_unavailable

    def _apply(self, plan: Plan, desired: DesiredState) -> Applied:
        before = self._status if plan.is_blocked else replace(self._status, followed=self._followed)
        facts = read_commit_facts(self._source, self._store, plan, self._recorded, before.revision)
        rewritten = list(self._rewritten(before.last_applied_revision, plan.revision))
        with self._store.write() as tx:
            applied = apply(tx, plan, before, self._clock.now(), self._settle, facts)
            if desired.limits is not None and not plan.is_blocked:
                queues.save_limits(tx, desired.limits)
            events.append(tx, (*rewritten, *self._unknown_names(tx, plan)))
            crashpoints.reach("pass:applying")
        self._status, self._is_unavailable = applied.status, False
        self._is_foreign &= plan.is_blocked
        for name in applied.removed:
            self._recorded.pop(name, None)
        self._deployments.remove(applied.removed)
        self._recorded.update(applied.written)
        self._settled = settle(plan, desired)
        return applied

    def _agenda(self, entry: InventoryEntry) -> Agenda | None:
        """Return the schedules to fire; None if there are none, or this version can't read the recorded document."""
        try:
            deployment = self._deployments.build(entry)
        except Exception:
            log.exception("A deployment can't be scheduled", extra={"deployment": entry.name})
            return None
        schedules = active_schedules(deployment)
        return Agenda(schedules=schedules, after=entry.cursor) if schedules else None

    def _share_unchanged(self, desired: DesiredState) -> None:
        """Use the deployments that are declared as they are recorded, so that each is built and in memory once."""
        for name, deployment in desired.deployments.items():
            entry = self._recorded.get(name)
            if entry is not None and (entry.spec_digest, entry.file) == (deployment.spec_digest, deployment.file):
                same = {key: getattr(deployment, key) for key in ("name", "file", "spec_digest", "document")}
                self._recorded[name] = replace(entry, **same)
                self._deployments.add([deployment])

    def _rewritten(self, old: str | None, new: str) -> Iterator[Event]:
        """Return an event if history was rewritten. The new history is followed all the same."""
        if old is None or old == new or not self._is_rewritten(old, new):
            return
        message = f"{new} does not descend from {old}, which was applied before. The new history is followed."
        yield self._event("HistoryRewritten", message, None, EventSeverity.WARNING, new)

    def _is_rewritten(self, old: str, new: str) -> bool:
        try:
            return self._source.is_descendant(new, old) is False
        except (SourceError, OSError):
            return False

    def _unknown_names(self, tx: Transaction, plan: Plan) -> Iterator[Event]:
        """Return events for new deployments whose `renamed_from` names a deployment that never existed here."""
        for new in plan.create:
            if new.renamed_from is not None and not inventory.has_history(tx, new.renamed_from):
                message = f"renamed_from: there was no deployment {new.renamed_from}, so there is no history to move."
                yield self._event("RenamedFromUnknown", message, new.name, EventSeverity.WARNING, plan.revision)

    def _event(
        self, reason: str, message: str, name: str | None, severity: EventSeverity, revision: str | None = None
    ) -> Event:
        return status.new_event(name, self._clock.now(), severity, reason, message, revision)

    def _unavailable(self, error: SourceError, revision: str | None) -> PassResult:
        """Record that the source, or this revision of it, could not be read."""
        before, now = self._status, self._clock.now()
        conditions = status.unavailable_conditions(error, now, before.conditions)
        self._is_unavailable = True
        attempted = revision or before.last_attempted_revision
        if (conditions, attempted) != (before.conditions, before.last_attempted_revision):
            after = replace(before, conditions=conditions, last_attempted_revision=attempted)
            with self._store.write() as tx:
                source_status.save(tx, after)
                events.append(tx, status.source_events(before.conditions, conditions, before.revision, now))
                passes.append(tx, _record(error.reason, error.message, now, before.revision, {}, {}))
            self._status = after
            log.warning(
                "The source can't be read; all deployments stay active",
                extra={"reason": error.reason, "error": error.message},
            )
        if self._is_fresh:
            self.project()
        return PassResult(status=self._status, error=error)

    def record_watching(self, problem: str | None) -> None:
        """Report once that changes can't be watched, and once that they can be again. Raises StateError.

        `problem` is the reason, or None while changes are watched.
        """
        before = self._status.watch_problem
        if problem == before:
            return
        if problem is not None:
            message = f"Changes are detected by polling only: {problem}."
            event = self._event("WatchingFailed", message, None, EventSeverity.WARNING)
            log.warning("Changes are detected by polling only", extra={"error": problem})
        else:
            event = self._event("Watching", "File watching works again.", None, EventSeverity.INFO)
            log.info("File watching works again")
        with self._store.write() as tx:
            source_status.mark_watching(tx, problem)
            events.append(tx, [event])
        self._status = replace(self._status, watch_problem=problem)

    def check_drift(self) -> None:
        """Compare the timetable with the active deployments; repair and report every difference."""
        if not self._is_fresh:
            self.project()

    def _report_drift(self, names: Iterable[str]) -> None:
        drifted = sorted(names)
        self.drifts += len(drifted)
        message = "The scheduled job did not match the deployment, and was repaired."
        with self._store.write() as tx:
            events.append(tx, [self._event("Drift", message, name, EventSeverity.WARNING) for name in drifted])
        log.warning("Drift: jobs did not match their deployments, and were repaired", extra={"deployments": drifted})

    def _collect(self) -> None:
        """Delete exports that no run or deployment needs.

        The code of a last valid version is exported before that, so that it survives even if git loses the commit.
        """
        kept = self._recorded.keys() if self._settled is None else self._settled.kept & self._recorded.keys()
        pinned = set(filter(None, (self._recorded[name].pinned for name in kept)))
        always = {*pinned, *filter(None, [self._status.last_applied_revision])}

        def find_needed() -> set[str]:
            with self._store.read() as tx:
                return runs.active_revisions(tx) | always

        for revision in pinned:
            try:
                self._source.checkout(revision)
            except (SourceError, OSError) as error:
                fields = {"revision": revision, "error": str(error)}
                log.warning("The code of a last valid version can't be exported", extra=fields)
        try:
            self._source.collect(find_needed)
        except (SourceError, OSError) as error:
            log.warning("Garbage collection of old exports failed", extra={"error": str(error)})

    def _record_pass(self, plan: Plan, started_at: datetime, stages: PassTimings, *, is_new: bool) -> None:
        if self._logged != (plan.revision, plan.findings):
            self._logged = plan.revision, plan.findings
            for finding in plan.findings:
                extra = {"at": str(finding), "code": finding.code, "hint": finding.hint}
                log.warning("Manifest finding", extra=extra)
        if plan.withheld is not None:
            log.warning("Deletions withheld", extra={"reason": plan.withheld.reason, "digest": plan.withheld.digest})
        counts = {
            "new": len(plan.create),
            "changed": len(plan.changed),
            "pruned": len(plan.delete),
            "kept": len(plan.keep),
            "unchanged": plan.unchanged + len(plan.update) - len(plan.changed),
        }
        message = "Nothing applied: the revision has errors" if plan.is_blocked else "Applied"
        log.info(message, extra={"revision": plan.revision, **counts, "ms": round(stages.total)})
        if not is_new:
            return
        ready = self._status.conditions[0]
        with self._store.write() as tx:
            record = _record(ready.reason, ready.message, started_at, plan.revision, counts, stages.milliseconds)
            passes.append(tx, record)


def _record(
    reason: str,
    message: str,
    started_at: datetime,
    revision: str | None,
    counts: Mapping[str, int],
    stages: Mapping[str, float],
) -> PassRecord:
    return PassRecord(
        started_at=started_at, revision=revision, reason=reason, message=message, counts=counts, stages=stages
    )


def _is_same_location(recorded: SourceStatus, initial: SourceStatus) -> bool:
    """Whether the inventory was applied from the location that is followed now. Older versions recorded less of it."""
    if recorded.followed is None:
        return (recorded.repo, recorded.ref) == (initial.repo, initial.ref)
    return recorded.followed == initial.followed


def _with_location(recorded: SourceStatus, initial: SourceStatus) -> SourceStatus:
    """Return the recorded status with the location that is followed now."""
    name = initial.project_name or recorded.project_name
    return replace(recorded, repo=initial.repo, ref=initial.ref, environment=initial.environment, project_name=name)
