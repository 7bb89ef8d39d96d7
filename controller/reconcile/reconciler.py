"""One pass: from what the source says to jobs in the timetable. Called by the loop, and once by `run --once`.

The stages are always the same: observe -> read -> parse -> plan (with the guard) -> apply -> project -> garbage. What
is in force is kept in memory between passes: only a pass changes it, and a pass touches only what changed.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from controller import crashpoints
from controller.clock import Clock
from controller.errors import SourceError
from controller.manifests import ManifestReader, build_deployment
from controller.model.deployments import Deployment
from controller.model.schedules import Agenda
from controller.model.status import Event, EventSeverity, InventoryEntry, PassRecord, SourceStatus
from controller.reconcile import status
from controller.reconcile.apply import Applied, Settle, apply
from controller.reconcile.plan import Plan, active_schedules, make_plan
from controller.reconcile.stages import Stages
from controller.sources.source import Source
from controller.store import Store, Transaction, events, inventory, passes, queues, runs, sources

log = logging.getLogger(__name__)


class Project(Protocol):
    """Bring what is in force to the timetable. Returns the names whose job was missing, foreign or stale."""

    def __call__(self, wanted: Mapping[str, Agenda], gone: Iterable[str] | None) -> Iterable[str]:
        """With `gone`, only these go and `wanted` come or change; None: `wanted` is all there should be."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """What a pass came to. `plan` is None when nothing was new; `error` when the source could not be read."""

    status: SourceStatus
    plan: Plan | None = None
    error: SourceError | None = None


class Reconciler:
    """Keeps what is in force equal to what the source says. Used by one thread at a time."""

    def __init__(
        self,
        *,
        source: Source,
        store: Store,
        clock: Clock,
        initial: SourceStatus,
        settle: Settle,
        project: Project,
        environment: str | None = None,
        is_atomic: bool = False,
    ) -> None:
        self._source = source
        self._store = store
        self._clock = clock
        self._settle = settle
        self._project = project
        self._is_atomic = is_atomic
        self._reader = ManifestReader(environment)
        self._built: dict[str, Deployment] = {}
        self._is_fresh = True
        self._is_unavailable = False
        with store.read() as tx:
            known = sources.find(tx)
            self._recorded = inventory.entries(tx)
        self._status = initial if known is None else _follow(known, initial)

    def run_pass(self, *, is_asked: bool = False) -> PassResult:
        """Look, and make it so. Raises StateError; a source that can't be read is a result.

        `is_asked`: somebody wants it, and what is known is looked at again though nothing is new.
        """
        stages = Stages(self._clock)
        started_at = self._clock.now()
        try:
            revision = self._source.observe()
            if not (self._is_fresh or is_asked) and self._is_known(revision):
                return PassResult(status=self._status)
            stages.done("observe")
            snapshot = self._source.read(revision)
            code = self._source.code(revision)
            stages.done("read")
            desired = self._reader.read(snapshot.files, self._clock.now(), snapshot.project, code)
            stages.done("parse")
        except SourceError as error:
            return self._unavailable(error)
        with self._store.read() as tx:
            approved = known.approved if (known := sources.find(tx)) is not None else None
        plan = make_plan(snapshot, desired, self._recorded, approved=approved, is_atomic=self._is_atomic)
        stages.done("plan")
        before = self._status
        applied = self._apply(plan, desired.limits)
        is_new = plan.changes_anything or (before.last_attempted_revision, before.conditions) != (
            revision,
            applied.status.conditions,
        )
        stages.done("apply")
        self._built.update((new.name, new) for new in (*plan.create, *(change.after for change in plan.update)))
        self.project(applied)
        stages.done("project")
        self._collect()
        stages.done("garbage")
        self._tell(plan, started_at, stages, is_new=is_new)
        return PassResult(status=self._status, plan=plan)

    def project(self, applied: Applied | None = None) -> None:
        """Make the timetable equal to what is in force; where nothing else is known, all of it."""
        is_whole = applied is None or self._is_fresh
        entries = self._recorded if applied is None or is_whole else applied.written
        agendas = {name: self._agenda(entry) for name, entry in entries.items()}
        wanted = {name: agenda for name, agenda in agendas.items() if agenda is not None}
        gone = None if applied is None or is_whole else [*applied.gone, *(agendas.keys() - wanted.keys())]
        drifted = list(self._project(wanted, gone))
        if drifted and not self._is_fresh:
            self._report_drift(drifted)
        self._is_fresh = False

    def _is_known(self, revision: str) -> bool:
        """Whether this revision was dealt with, and the source could be read the last time."""
        return revision == self._status.last_attempted_revision and not self._is_unavailable

    def _apply(self, plan: Plan, limits: Mapping[str, int] | None) -> Applied:
        before = self._status
        rewritten = list(self._rewritten(before.last_applied_revision, plan.revision))
        with self._store.write() as tx:
            applied = apply(tx, plan, before, self._clock.now(), self._settle)
            if limits is not None and not plan.is_blocked:
                queues.put(tx, limits)
            events.append(tx, (*rewritten, *self._unknown_names(tx, plan)))
            crashpoints.reach("pass:applying")
        self._status, self._is_unavailable = applied.status, False
        for name in applied.gone:
            self._recorded.pop(name, None)
            self._built.pop(name, None)
        self._recorded.update(applied.written)
        return applied

    def _agenda(self, entry: InventoryEntry) -> Agenda | None:
        """What fires for it, if anything does."""
        deployment = self._build(entry)
        schedules = active_schedules(deployment)
        return Agenda(schedules=schedules, after=entry.cursor) if schedules else None

    def _build(self, entry: InventoryEntry) -> Deployment:
        built = self._built.get(entry.name)
        if built is None or (built.spec_digest, built.file) != (entry.spec_digest, entry.file):
            built = self._built[entry.name] = build_deployment(entry.document, entry.file, entry.line)
        return built

    def _rewritten(self, old: str | None, new: str) -> Iterator[Event]:
        """Whether history was rewritten: followed all the same, and told."""
        if old is None or old == new or not self._is_rewritten(old, new):
            return
        message = f"{new} does not descend from {old}, which was in force: it was followed all the same."
        yield self._event("HistoryRewritten", message, "source", EventSeverity.WARNING, new)

    def _is_rewritten(self, old: str, new: str) -> bool:
        try:
            return self._source.is_descendant(new, old) is False
        except SourceError:
            return False

    def _unknown_names(self, tx: Transaction, plan: Plan) -> Iterator[Event]:
        """New deployments that say that they were renamed, from a name that nothing is known of."""
        for new in plan.create:
            if new.renamed_from is not None and not inventory.is_known(tx, new.renamed_from):
                message = f"renamed_from: nothing is known of {new.renamed_from}, so there is no history to move."
                yield self._event("RenamedFromUnknown", message, new.name, EventSeverity.WARNING, plan.revision)

    def _event(
        self, reason: str, message: str, about: str, severity: EventSeverity, revision: str | None = None
    ) -> Event:
        now = self._clock.now()
        return Event(time=now, severity=severity, reason=reason, message=message, about=about, revision=revision)

    def _unavailable(self, error: SourceError) -> PassResult:
        before, now = self._status, self._clock.now()
        conditions = status.unavailable(error, now, before.conditions)
        self._is_unavailable = True
        if conditions != before.conditions:
            found = replace(before, conditions=conditions)
            with self._store.write() as tx:
                sources.put(tx, found)
                events.append(tx, status.source_events(before.conditions, conditions, before.revision, now))
                passes.append(tx, _record(error.reason, error.message, now, before.revision, {}, {}))
            self._status = found
            log.warning(
                "The source can't be read; what is in force stays",
                extra={"reason": error.reason, "error": error.message},
            )
        if self._is_fresh:
            self.project()
        return PassResult(status=self._status, error=error)

    def check_drift(self) -> None:
        """Hold the timetable against what is in force, and repair and report what is not as it should be."""
        if not self._is_fresh:
            self.project()

    def _report_drift(self, names: Iterable[str]) -> None:
        found = sorted(names)
        log.warning("Drift: jobs were not as they should be, and were repaired", extra={"deployments": found})
        message = "Its job was not as it should be, and was repaired."
        with self._store.write() as tx:
            events.append(tx, [self._event("Drift", message, name, EventSeverity.WARNING) for name in found])

    def _collect(self) -> None:
        """Forget the code that nothing needs; keep that of last good versions, though history be rewritten."""
        pinned = {entry.pinned for entry in self._recorded.values() if entry.pinned}
        with self._store.read() as tx:
            keep = runs.active_revisions(tx) | pinned
        if self._status.last_applied_revision is not None:
            keep.add(self._status.last_applied_revision)
        for revision in pinned:
            try:
                self._source.checkout(revision)
            except SourceError as error:
                log.warning("A last good version can't be kept", extra={"revision": revision, "error": error.message})
        try:
            self._source.collect(keep)
        except SourceError as error:
            log.warning("What is not needed any more can't be removed", extra={"error": error.message})

    def _tell(self, plan: Plan, started_at: datetime, stages: Stages, *, is_new: bool) -> None:
        for finding in plan.findings:
            log.warning("Finding", extra={"at": status.where(finding), "code": finding.code, "hint": finding.hint})
        if plan.withheld is not None:
            log.warning("Deletions withheld", extra={"reason": plan.withheld.reason, "digest": plan.withheld.digest})
        counts = {
            "new": len(plan.create),
            "changed": len(plan.changed),
            "pruned": len(plan.delete),
            "kept": len(plan.keep),
            "unchanged": plan.unchanged + len(plan.update) - len(plan.changed),
        }
        what = "Nothing applied: not everything is valid" if plan.is_blocked else "Applied"
        log.info(what, extra={"revision": plan.revision, **counts, "ms": round(stages.total)})
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


def _follow(known: SourceStatus, initial: SourceStatus) -> SourceStatus:
    """What was known of the source, under the location that it is followed at now."""
    return replace(known, repo=initial.repo, ref=initial.ref, environment=initial.environment)
