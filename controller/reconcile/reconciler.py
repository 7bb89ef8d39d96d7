"""One pass: from what the source says to jobs in the timetable. Called by the loop, and once by `run --once`."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from controller.clock import Clock
from controller.errors import SOURCE_REASONS, SourceError
from controller.manifests import ManifestReader, build_deployment
from controller.model.deployments import Deployment
from controller.model.schedules import Agenda
from controller.model.status import InventoryEntry, SourceStatus
from controller.reconcile import status
from controller.reconcile.apply import Settle, apply
from controller.reconcile.plan import Plan, active_schedules, make_plan
from controller.sources.source import Source
from controller.store import Store, events, inventory, runs, sources

log = logging.getLogger(__name__)


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
        project: Callable[[Mapping[str, Agenda]], int],
        environment: str | None = None,
    ) -> None:
        self._source = source
        self._store = store
        self._clock = clock
        self._settle = settle
        self._project_jobs = project
        self._reader = ManifestReader(environment)
        self._built: dict[str, Deployment] = {}
        self._is_fresh = True
        with store.read() as tx:
            known = sources.find(tx)
        self._status = initial if known is None else _follow(known, initial)

    def run_pass(self) -> PassResult:
        """Look, and make it so. Raises StateError; a source that can't be read is a result."""
        try:
            revision = self._source.observe()
            unchanged = revision == self._status.last_applied_revision and not self._is_fresh
            if unchanged and self._status.revision == revision and not self._was_unavailable():
                return PassResult(status=self._status)
            snapshot = self._source.read(revision)
        except SourceError as error:
            return self._unavailable(error)
        started = self._clock.monotonic()
        with self._store.read() as tx:
            recorded = inventory.entries(tx)
        desired = self._reader.read(snapshot.files, self._clock.now(), snapshot.project)
        plan = make_plan(snapshot, desired, recorded)
        with self._store.write() as tx:
            self._status = apply(tx, plan, recorded.values(), self._status, self._clock.now(), self._settle)
        self._is_fresh = False
        self._built.update(desired.deployments)
        self.project()
        self._collect()
        self._tell(plan, self._clock.monotonic() - started)
        return PassResult(status=self._status, plan=plan)

    def project(self) -> None:
        """Make the timetable equal to what is in force."""
        with self._store.read() as tx:
            entries = inventory.entries(tx)
        self._built = {name: self._build(entry) for name, entry in entries.items()}
        wanted = {
            name: Agenda(schedules=schedules, after=entries[name].cursor)
            for name, deployment in self._built.items()
            if (schedules := active_schedules(deployment))
        }
        self._project_jobs(wanted)

    def _build(self, entry: InventoryEntry) -> Deployment:
        built = self._built.get(entry.name)
        if built is None or (built.spec_digest, built.file) != (entry.spec_digest, entry.file):
            return build_deployment(entry.document, entry.file, entry.line)
        return built

    def _was_unavailable(self) -> bool:
        return any(condition.reason in SOURCE_REASONS for condition in self._status.conditions)

    def _unavailable(self, error: SourceError) -> PassResult:
        before, now = self._status, self._clock.now()
        conditions = status.unavailable(error, now, before.conditions)
        if conditions != before.conditions:
            self._status = replace(before, conditions=conditions)
            with self._store.write() as tx:
                sources.put(tx, self._status)
                events.append(tx, status.source_events(before.conditions, conditions, before.revision, now))
            log.warning("The source can't be read; what is in force stays", extra={"error": error.message})
        if self._is_fresh:
            self.project()
            self._is_fresh = False
        return PassResult(status=self._status, error=error)

    def _collect(self) -> None:
        """Forget the code that nothing needs; keep that of last good versions, though history be rewritten."""
        with self._store.read() as tx:
            pinned = {entry.pinned for entry in inventory.entries(tx).values() if entry.pinned}
            keep = runs.active_revisions(tx) | pinned
        if self._status.last_applied_revision is not None:
            keep.add(self._status.last_applied_revision)
        for revision in pinned:
            try:
                self._source.checkout(revision)
            except SourceError as error:
                log.warning("A last good version can't be kept", extra={"revision": revision, "error": error.message})
        self._source.collect(keep)

    def _tell(self, plan: Plan, seconds: float) -> None:
        for finding in plan.findings:
            log.warning("Finding", extra={"at": status.where(finding), "code": finding.code, "hint": finding.hint})
        log.info(
            "Applied",
            extra={
                "revision": plan.revision,
                "new": len(plan.create),
                "changed": len(plan.update),
                "pruned": len(plan.delete),
                "kept": len(plan.keep),
                "unchanged": plan.unchanged,
                "ms": round(seconds * 1000),
            },
        )


def _follow(known: SourceStatus, initial: SourceStatus) -> SourceStatus:
    """What was known of the source, under the location that it is followed at now."""
    return replace(known, repo=initial.repo, ref=initial.ref)
