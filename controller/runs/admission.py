"""Turns each due time into a run or a skip with a reason. The decision and the record are one transaction.

The engine calls it when the timetable reports that a deployment may be due. A reconcile pass calls it just before it
changes or removes a deployment, so that each due time is decided by the declaration that was active then.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from controller.clock import Clock
from controller.manifests.active_deployments import ActiveDeployments
from controller.manifests.parameter_references import find_references, replace_references
from controller.manifests.parameter_references import resolve as resolve_references
from controller.manifests.run_names import complete_name, run_name
from controller.manifests.run_references import (
    NO_VARIABLES,
    MissingValueError,
    MissingVariableError,
    RunValues,
    Variables,
)
from controller.model.deployments import Deployment
from controller.model.policies import Overlap
from controller.model.runs import AUTOMATIC, Run, RunId, RunState, Trigger
from controller.model.schedules import Schedule
from controller.model.status import InventoryEntry
from controller.runs.backfills import cancel_pruned
from controller.runs.clock_skew import record_time
from controller.runs.due_schedules import find_schedule
from controller.runs.due_times import DueTimeAdmission, ledger_entry
from controller.runs.ids import RunIds
from controller.runs.outcomes import skip_all
from controller.runs.upstream_runs import (
    due_time_of,
    find_latest,
    record_missing_values,
    with_current_names,
    with_results,
    with_upstream,
)
from controller.store import Transaction, holds, inventory, occurrences, runs, source_status, upstream_lookup
from controller.store.name_lookup import not_active

log = logging.getLogger(__name__)


class Admission:
    """Creates runs for due times and requests. Thread-safe: it has no state of its own.

    Parameters of runs may refer to `variables`.
    """

    def __init__(
        self, clock: Clock, ids: RunIds, deployments: ActiveDeployments, variables: Variables = NO_VARIABLES
    ) -> None:
        self._clock = clock
        self.ids = ids
        self.deployments = deployments
        self._variables = variables
        self._due_times = DueTimeAdmission(deployments, self.build_run, self.fail_without_variables)

    def process_due(self, tx: Transaction, names: Iterable[str], now: datetime) -> list[Run]:
        """Decide all times of these deployments that are due by `now`. Return the runs that were created.

        Call it only after the clock was checked. Due times of a deployment on hold are decided when the hold ends.
        """
        held = {name for name, hold in holds.find_all(tx).items() if not hold.is_over(now)}
        record_time(tx, self._clock, now, is_checked=True)
        return self._due_times.process(tx, [name for name in names if name not in held], now, {})

    def settle_before_change(
        self, tx: Transaction, names: Iterable[str], now: datetime, *, pruned: bool = False
    ) -> list[Run]:
        """Decide the due times of these deployments just before they change, and return the runs that were created.

        Due times of a deployment on hold are skipped. With `pruned`, the deployments are about to be removed: all due
        times are skipped, and so are runs that wait for their first start and that no user requested. Backfills are
        cancelled.
        """
        deployments = list(names)
        if pruned:
            self._skip_waiting(tx, deployments, now)
            cancel_pruned(tx, deployments, now)
            return self._due_times.process(tx, deployments, now, dict.fromkeys(deployments, "pruned"))
        record_time(tx, self._clock, now, is_checked=False)
        held = {name: "held" for name, hold in holds.find_all(tx).items() if not hold.is_over(now)}
        return self._due_times.process(tx, deployments, now, held)

    @staticmethod
    def _skip_waiting(tx: Transaction, names: list[str], now: datetime) -> None:
        """Skip the runs of these deployments that wait for their first start, and that no user requested."""
        unfinished = upstream_lookup.find_unfinished_runs(tx, names)
        waiting = [run for name in names for run in unfinished.get(name, ()) if run.state is RunState.PENDING]
        skip_all(tx, [(run, "pruned") for run in waiting if run.trigger in AUTOMATIC and not run.attempt], now)

    def create_run(
        self,
        tx: Transaction,
        name: str,
        parameters: Mapping[str, Any],
        idempotency_key: str | None = None,
        *,
        due_time: datetime | None = None,
        schedule: Schedule | None = None,
    ) -> Run:
        """Create a manual run with these parameters, merged over those in git. Raises NotFoundError, UsageError.

        With `due_time`, the run becomes the latest one of that due time in the ledger.
        """
        entry = inventory.find(tx, name)
        if entry is None:
            raise not_active(tx, name)
        deployment = self.deployment(entry)
        run = self.build_run(
            tx,
            entry,
            schedule,
            trigger=Trigger.MANUAL,
            overrides=parameters,
            scheduled_for=due_time,
            idempotency_key=idempotency_key,
            serial=deployment.overlap in (Overlap.QUEUE, Overlap.REPLACE),
        )
        run = with_upstream(tx, deployment, self._requested(run), self.deployments)
        runs.insert_all(tx, [run])
        if due_time is not None:
            occurrences.record_runs(tx, [ledger_entry(run, "" if schedule is None else schedule.id)])
        return run

    def event_runs(
        self,
        tx: Transaction,
        entry: InventoryEntry,
        trigger: Trigger,
        events: Iterable[tuple[Mapping[str, Any], str | None]],
    ) -> list[Run]:
        """Create a run for each event, such as a new file, of its parameters and its idempotency key, if it has one.

        They wait for the other runs of the deployment, unless those may overlap, and have no start deadline. A run
        fails if one of its parameters refers to a value that does not exist.
        """
        deployment, now = self.deployment(entry), self._clock.now()
        serial = deployment.overlap is not Overlap.ALLOW
        fields = {"trigger": trigger, "serial": serial, "revision": _revision(tx, entry)}
        upstream = find_latest(tx, deployment, now, self.deployments)
        created: list[Run] = []
        failed: list[tuple[Run, MissingValueError]] = []
        for overrides, key in events:
            run = self.build_run(tx, entry, None, overrides=overrides, idempotency_key=key, **fields)
            try:
                run = self.with_variables(run)
                run = with_results(run, upstream) if deployment.after.upstreams else run
            except MissingValueError as error:
                failed.append((run, error))
            created.append(run)
        runs.insert_all(tx, created)
        record_missing_values(tx, failed, now)
        return created

    def backfill_run(
        self,
        tx: Transaction,
        entry: InventoryEntry,
        due_time: datetime,
        schedule: Schedule | None,
        overrides: Mapping[str, Any],
    ) -> Run:
        """Build the run of a backfill for a due time; the caller inserts it. See `due_schedules` for `schedule`.

        Its parameters can still refer to results of upstream runs: see `upstream_runs`.
        """
        return self.build_run(
            tx,
            entry,
            schedule,
            trigger=Trigger.BACKFILL,
            overrides=overrides,
            scheduled_for=due_time,
            serial=self.deployment(entry).overlap is not Overlap.ALLOW,
        )

    def triggered_run(
        self, tx: Transaction, entry: InventoryEntry, trigger: Trigger, schedule: Schedule | None = None, **fields: Any
    ) -> Run:
        """Build a run that no user requested, and that no due time starts; the caller inserts it."""
        return self.build_run(tx, entry, schedule, trigger=trigger, overrides={}, **fields)

    def retry_with_latest(self, tx: Transaction, old: Run) -> Run:
        """Build a retry of a finished run with the code and the parameters of the active deployment.

        The parameters that the request for the old run set are kept, and references keep its due time. The caller
        inserts the run. Raises NotFoundError if the deployment is no longer active, and UsageError.
        """
        entry = inventory.find(tx, old.deployment)
        if entry is None:
            raise not_active(tx, old.deployment)
        deployment = self.deployment(entry)
        schedule = None
        if old.scheduled_for is not None:
            schedule = find_schedule(tx, deployment, old.scheduled_for)
        overrides = old.overrides
        if overrides is None:  # a run of an older version does not say which of its parameters were requested
            overrides = old.parameters if old.trigger is Trigger.MANUAL else {}
        is_of_backfill = old.backfill_id is not None
        run = self.build_run(
            tx,
            entry,
            schedule,
            trigger=Trigger.RETRY,
            overrides=overrides,
            scheduled_for=old.scheduled_for,
            due_time=due_time_of(tx, old) or runs.find_first(tx, old).created_at,
            serial=old.serial,
            priority=old.priority if is_of_backfill else deployment.priority,
            retry_of=old.id,
            backfill_id=old.backfill_id,
            upstream=with_current_names(tx, old.upstream),
            chain=None if old.scheduled_for is not None else old.chain or old.id,
        )
        return with_upstream(tx, deployment, self._requested(run), self.deployments)

    def retry_with_upstream(self, tx: Transaction, old: Run, retry: Run) -> Run:
        """Return the retry of a run with its upstream runs; if that was never started, with the latest ones.

        Raises UsageError.
        """
        entry = inventory.find(tx, old.deployment)
        if old.attempt or entry is None:
            return replace(retry, upstream=old.upstream)
        retry = self._requested(replace(retry, upstream=old.upstream))
        return with_upstream(tx, self.deployment(entry), retry, self.deployments)

    def with_variables(self, run: Run) -> Run:
        """Return the run with the values of those environment variables that its parameters still refer to.

        Raises MissingVariableError.
        """
        if not (references := find_references(run.parameters)):
            return run
        self._variables.check(references)
        parameters = replace_references(run.parameters, self._variables.find)
        return replace(run, parameters=parameters, name=complete_name(run.name, run.parameters, parameters))

    def fail_without_variables(self, tx: Transaction, created: Iterable[Run], now: datetime) -> set[RunId]:
        """Record those of these new runs as failed that refer to an environment variable without a value."""
        failed: list[tuple[Run, MissingValueError]] = []
        for run in created:
            try:
                self.with_variables(run)
            except MissingVariableError as error:
                failed.append((run, error))
        record_missing_values(tx, failed, now)
        return {run.id for run, _ in failed}

    def _requested(self, run: Run) -> Run:
        """Return a run that a user requested as `with_variables` does. Raises UsageError."""
        try:
            return self.with_variables(run)
        except MissingVariableError as error:
            hint = f"{error.hint[:1].upper()}{error.hint[1:]}, or pass a value for it." if error.hint else ""
            raise error.as_usage_error(hint) from error

    def build_run(
        self,
        tx: Transaction,
        entry: InventoryEntry,
        schedule: Schedule | None,
        *,
        overrides: Mapping[str, Any],
        **fields: Any,
    ) -> Run:
        """Build a pending run of the active deployment. `fields` override fields of the Run.

        `overrides` override the parameters of the deployment and of the schedule. References in them are resolved with
        `due_time`, else with the due time of the run, else with the current time, in the time zone of the schedule.
        """
        deployment = self.deployment(entry)
        now = self._clock.now()
        due_time = fields.pop("due_time", None) or fields.get("scheduled_for") or now
        zone, declared = (deployment.timezone, {}) if schedule is None else (schedule.timezone, schedule.parameters)
        parameters = {**deployment.parameters, **declared, **overrides}
        run_id, revision = self.ids.new(now), fields.get("revision") or _revision(tx, entry)
        values = RunValues(run_id, revision, self._variables)
        parameters = resolve_references(parameters, due_time, deployment.zones, schedule=zone, run=values)
        template = (schedule and schedule.run_name) or deployment.run_name
        declared_fields: dict[str, Any] = {
            "id": run_id,
            "deployment": entry.name,
            "state": RunState.PENDING,
            "parameters": parameters,
            "name": run_name(template, {**deployment.matrix, **parameters}, due_time, deployment.zones, zone),
            "overrides": overrides,
            "created_at": now,
            "revision": revision,
            "file": entry.file,
            "spec_digest": entry.spec_digest,
            "version": deployment.version,
            "tags": deployment.tags,
            "queue": deployment.queue,
            "priority": deployment.priority,
            "overlap_limit": deployment.overlap_limit,
            "attempts": 1 + deployment.retries.limit,
            "retries": deployment.retries if deployment.retries.limit else None,
        }
        return Run(**{**declared_fields, **fields})

    def deployment(self, entry: InventoryEntry) -> Deployment:
        """Return the deployment that this entry declares."""
        return self.deployments.build(entry)


def _revision(tx: Transaction, entry: InventoryEntry) -> str:
    """Return the revision that the next run of this deployment executes."""
    return entry.pinned or source_status.applied_revision(tx) or entry.revision
