"""One pass: from what the source says to jobs in the timetable. Called by the loop, and once by `run --once`.

The stages are always the same: observe -> read -> parse -> plan (with the guard) -> apply -> project -> garbage. What
is in force is kept in memory between passes: only a pass changes it, and a pass touches only what changed.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from controller import crashpoints
from controller.clock import Clock
from controller.errors import ControllerError, SourceError, StateError, shortage
from controller.manifests import ManifestReader, build_deployment
from controller.model.deployments import Deployment
from controller.model.schedules import Agenda
from controller.model.snapshots import is_python
from controller.model.status import Event, EventSeverity, InventoryEntry, PassRecord, SourceStatus
from controller.reconcile import status
from controller.reconcile.apply import Applied, Settle, apply
from controller.reconcile.pass_timings import PassTimings
from controller.reconcile.plan import Plan, active_schedules, make_plan
from controller.sources.source import Source
from controller.store import Store, Transaction, events, inventory, passes, queues, runs, source_status

log = logging.getLogger(__name__)

RESTORED_AT_ONCE = 50
"""How many recorded deployments are built before their jobs can fire."""


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
            known = source_status.find(tx)
            self._recorded = inventory.entries(tx)
        self._followed = initial.followed
        self._is_foreign = known is not None and not _is_same(known, initial)
        self._status = initial if known is None else _follow(known, initial)

    def restore(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Project what is recorded, before the first pass, so that schedules fire while the source is being read.

        What fired last comes first: that is what fires often. Nothing is projected if the record was made from
        another location or environment. Deployments that a Python spec declares wait for the first pass, which
        executes it: their runs would execute it on the engine's thread. Ends early if `is_over`. Raises StateError.
        """
        if self._is_foreign:
            return
        with self._store.read() as tx:
            cursors = inventory.cursors(tx)
        names = [name for name in cursors if (known := self._recorded.get(name)) and not is_python(known.file)]
        for start in range(0, len(names), RESTORED_AT_ONCE):
            if is_over():
                return
            found = (self._restored(name, cursors[name]) for name in names[start : start + RESTORED_AT_ONCE])
            self._project({name: agenda for name, agenda in found if agenda is not None}, ())

    def _restored(self, name: str, cursor: datetime) -> tuple[str, Agenda | None]:
        entry = self._recorded[name] = replace(self._recorded[name], cursor=cursor)
        try:
            return name, self._agenda(entry)
        except StateError as error:
            log.warning(
                "A recorded deployment can't be scheduled before the first pass", extra={"error": error.message}
            )
            return name, None

    def run_pass(self, *, is_asked: bool = False) -> PassResult:
        """Look, and make it so. Raises StateError; a source that can't be read is a result.

        `is_asked`: somebody wants it, and what is known is looked at again though nothing is new.
        """
        stages = PassTimings(self._clock)
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
        except (ControllerError, MemoryError):
            raise
        except OSError as error:
            want = shortage(error, with_disk=False)
            where = f"{error.filename}: " if error.filename else ""
            message = f"The source can't be read for now: {where}{want or error.strerror}."
            return self._unavailable(SourceError(message))
        except Exception as error:
            # Whatever a repository holds, what is in force goes on.
            if not self._is_unavailable:
                log.exception("The source can't be understood")
            message = f"The source can't be understood: {type(error).__name__}: {error}."
            return self._unavailable(SourceError(message, hint="This is a fault of controller. Please report it."))
        with self._store.read() as tx:
            approved = known.approved if (known := source_status.find(tx)) is not None else None
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
        """Make the timetable equal to what is in force; where nothing else is known, all of it.

        What was applied from another location or environment is not in force.
        """
        if self._is_foreign:
            return
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
        before = self._status if plan.is_blocked else replace(self._status, followed=self._followed)
        rewritten = list(self._rewritten(before.last_applied_revision, plan.revision))
        with self._store.write() as tx:
            applied = apply(tx, plan, before, self._clock.now(), self._settle)
            if limits is not None and not plan.is_blocked:
                queues.save_limits(tx, limits)
            events.append(tx, (*rewritten, *self._unknown_names(tx, plan)))
            crashpoints.reach("pass:applying")
        self._status, self._is_unavailable = applied.status, False
        self._is_foreign &= plan.is_blocked
        for name in applied.gone:
            self._recorded.pop(name, None)
            self._built.pop(name, None)
        self._recorded.update(applied.written)
        return applied

    def _agenda(self, entry: InventoryEntry) -> Agenda | None:
        """What fires for it, if anything does; nothing if its recorded document can't be understood any more."""
        try:
            deployment = self._build(entry)
        except Exception:
            log.exception("A deployment can't be scheduled", extra={"deployment": entry.name})
            return None
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
        except (SourceError, OSError):
            return False

    def _unknown_names(self, tx: Transaction, plan: Plan) -> Iterator[Event]:
        """New deployments that say that they were renamed, from a name that nothing is known of."""
        for new in plan.create:
            if new.renamed_from is not None and not inventory.has_history(tx, new.renamed_from):
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
                source_status.save(tx, found)
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

    def note_watching(self, problem: str | None) -> None:
        """Say it once where changes are only polled for, and once where they are watched for again. Raises StateError.

        `problem` is why they are not watched for.
        """
        before = self._status.watch_problem
        if problem == before:
            return
        if problem is not None:
            message = f"Changes are noticed by polling only: {problem}."
            event = self._event("WatchingFailed", message, "source", EventSeverity.WARNING)
            log.warning("Changes are noticed by polling only", extra={"error": problem})
        else:
            event = self._event("Watching", "Changes are watched for again.", "source", EventSeverity.INFO)
            log.info("Changes are watched for again")
        with self._store.write() as tx:
            source_status.mark_watching(tx, problem)
            events.append(tx, [event])
        self._status = replace(self._status, watch_problem=problem)

    def check_drift(self) -> None:
        """Hold the timetable against what is in force, and repair and report what is not as it should be."""
        if not self._is_fresh:
            self.project()

    def _report_drift(self, names: Iterable[str]) -> None:
        found = sorted(names)
        message = "Its job was not as it should be, and was repaired."
        with self._store.write() as tx:
            events.append(tx, [self._event("Drift", message, name, EventSeverity.WARNING) for name in found])
        log.warning("Drift: jobs were not as they should be, and were repaired", extra={"deployments": found})

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
            except (SourceError, OSError) as error:
                log.warning("A last good version can't be kept", extra={"revision": revision, "error": str(error)})
        try:
            self._source.collect(keep)
        except (SourceError, OSError) as error:
            log.warning("What is not needed any more can't be removed", extra={"error": str(error)})

    def _tell(self, plan: Plan, started_at: datetime, stages: PassTimings, *, is_new: bool) -> None:
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


def _is_same(known: SourceStatus, initial: SourceStatus) -> bool:
    """Whether what is followed now is what the inventory was applied from; an earlier version recorded less."""
    if known.followed is None:
        return (known.repo, known.ref) == (initial.repo, initial.ref)
    return known.followed == initial.followed


def _follow(known: SourceStatus, initial: SourceStatus) -> SourceStatus:
    """What was known of the source, under the location that it is followed at now."""
    return replace(known, repo=initial.repo, ref=initial.ref, environment=initial.environment)
