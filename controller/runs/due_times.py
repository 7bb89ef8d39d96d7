"""Decides the due times of many deployments together: what is read and written takes as many statements as for one.

Called by `admission`, in its transaction. `admission_policy` makes the decisions.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from controller.errors import StateError
from controller.manifests.active_deployments import ActiveDeployments
from controller.model.deployments import Deployment
from controller.model.policies import Overlap
from controller.model.queues import ActiveRuns
from controller.model.runs import AUTOMATIC, Occurrence, Outcome, Run, RunId, RunState, Trigger
from controller.model.status import Event, InventoryEntry
from controller.runs.admission_policy import REPLACED, Decision, decide, refuse, start_by
from controller.runs.outcomes import cancel, skip_all
from controller.runs.skip_reports import report_skips
from controller.runs.upstream_gates import create_gates, settle
from controller.schedules import DueTimes, find_due
from controller.store import Transaction, events, inventory, occurrences, queues, runs, source_status, upstream_lookup

log = logging.getLogger(__name__)

MAX_BEHIND = 100
"""The maximum number of runs of a deployment that wait behind redo runs without counting for its overlap policy."""
RECORDED = 100
"""The minimum number of missed due times that are recorded individually per deployment; earlier ones are counted."""

BuildRun = Callable[..., Run]
FailInvalid = Callable[[Transaction, Iterable[Run], datetime], Collection[RunId]]


@dataclass(slots=True, kw_only=True)
class _DueDeployment:
    """A deployment, its due times, and the runs and rows of the ledger that they result in."""

    entry: InventoryEntry
    deployment: Deployment
    due_times: DueTimes
    refusal: str | None
    counts: ActiveRuns
    runs: list[Run] = field(default_factory=list)
    ledger: list[Occurrence] = field(default_factory=list)


class DueTimeAdmission:
    """Creates the runs of due times. `build_run` builds one, with the arguments of `Admission.build_run`.

    `fail_invalid` records those of new runs as failed that can't start, and returns their ids.
    """

    def __init__(self, deployments: ActiveDeployments, build_run: BuildRun, fail_invalid: FailInvalid) -> None:
        self._deployments = deployments
        self._build_run = build_run
        self._fail_invalid = fail_invalid

    def process(self, tx: Transaction, names: Iterable[str], now: datetime, refusals: Mapping[str, str]) -> list[Run]:
        """Decide the due times of these deployments; `refusals` gives the reason to skip all those of a deployment."""
        wanted = list(dict.fromkeys(names))
        due = self._find_due(tx, wanted, now, refusals)
        undecided = [each for each in due if each.due_times.times]
        if undecided:
            self._decide(tx, undecided, now)
        created = [run for each in undecided for run in each.runs]
        runs.insert_all(tx, created)
        failed = self._fail_invalid(tx, created, now)
        gated = [each for each in undecided if each.runs and each.deployment.after.upstreams]
        if gated:
            waiting = [(each.deployment, [run for run in each.runs if run.id not in failed]) for each in gated]
            create_gates(tx, waiting, self._deployments)
        upstreams = set(wanted)
        for each in gated:
            upstreams.update(upstream.deployment for upstream in each.deployment.after.upstreams)
        settle(tx, self._deployments, now, upstreams)
        return created

    def _find_due(
        self, tx: Transaction, names: Sequence[str], now: datetime, refusals: Mapping[str, str]
    ) -> list[_DueDeployment]:
        """Return the deployments whose cursors are before `now`, and move the cursors there."""
        before = {entry.name: entry for entry in inventory.find_many(tx, names) if entry.cursor < now}
        built = self._build(before.values())
        by_name = {name: entry for name, entry in before.items() if name in built}
        entries = [by_name[name] for name in names if name in by_name]
        if not entries:
            return []
        inventory.advance_cursors(tx, by_name, now)
        counts = queues.count_active(tx, names)
        due = []
        for entry in entries:
            deployment = built[entry.name]
            most = max(RECORDED, deployment.catchup.max)
            refusal = refusals.get(entry.name) or ("suspended" if deployment.suspend else None)
            each = _DueDeployment(
                entry=entry,
                deployment=deployment,
                due_times=find_due(deployment.schedules, entry.cursor, now, most),
                refusal=refusal,
                counts=counts.get(entry.name, ActiveRuns()),
            )
            due.append(each)
        return due

    def _build(self, entries: Iterable[InventoryEntry]) -> dict[str, Deployment]:
        """Return the deployments by name, without those whose documents another version of controller recorded.

        Those wait for the first pass, which applies their documents again or removes their jobs.
        """
        built = {}
        for entry in entries:
            try:
                built[entry.name] = self._deployments.build(entry)
            except StateError as error:
                log.warning("A recorded deployment can't run before the first pass", extra={"error": error.message})
        return built

    def _decide(self, tx: Transaction, due: Sequence[_DueDeployment], now: datetime) -> None:
        """Decide the due times of these deployments, and write them to the ledger. Their runs are not inserted yet."""
        ranges = [(each.entry.name, each.due_times.times[0][0], each.due_times.times[-1][0]) for each in due]
        recorded = occurrences.find_recorded(tx, ranges)
        revision = source_status.applied_revision(tx)
        for each in due:
            times = [time for time in each.due_times.times if (each.entry.name, time[0]) not in recorded]
            decisions = (
                refuse(times, each.refusal) if each.refusal else decide(times, each.deployment, now, each.counts)
            )
            for decision in decisions:
                self._record(tx, each, decision, revision)
        occurrences.append(tx, [row for each in due for row in each.ledger])
        reports: list[Event] = []
        replacements = [
            Replacement(deployment=each.entry.name, keep=each.deployment.overlap_limit - len(each.runs))
            for each in due
            if each.runs and each.deployment.overlap is Overlap.REPLACE
        ]
        replace_all(tx, replacements, now)
        for each in due:
            reports += report_skips(tx, now, each.ledger, each.due_times.dropped, each.due_times.first)
        events.append(tx, reports)

    def _record(self, tx: Transaction, each: _DueDeployment, decision: Decision, revision: str | None) -> None:
        """Add the row of the ledger for a due time, and its run unless it is skipped."""
        if decision.reason is not None:
            each.ledger.append(_skipped_entry(each.entry.name, decision))
            return
        run = self._build_run(
            tx,
            each.entry,
            decision.schedule,
            trigger=Trigger.SCHEDULE,
            overrides={},
            scheduled_for=decision.instant,
            not_before=decision.instant + decision.delay if decision.delay else None,
            start_by=start_by(decision, each.deployment),
            serial=decision.serial,
            revision=each.entry.pinned or revision or each.entry.revision,
        )
        run = behind_redo_runs(run, each.counts, len(each.runs))
        each.runs.append(run)
        each.ledger.append(ledger_entry(run, decision.schedule.id))


def behind_redo_runs(run: Run, counts: ActiveRuns, created: int = 0) -> Run:
    """Return this new run as one that waits behind redo runs, if they delay it and not too many runs wait already.

    `created` is the number of runs that were created since `counts` was read.
    """
    is_behind = run.serial and counts.delays_others(run.overlap_limit) and counts.behind + created < MAX_BEHIND
    return replace(run, behind_backfill=is_behind, start_by=None if is_behind else run.start_by)


def ledger_entry(run: Run, schedule_id: str) -> Occurrence:
    """Return the row of the ledger for the run of a due time."""
    assert run.scheduled_for is not None
    return Occurrence(
        deployment=run.deployment,
        scheduled_for=run.scheduled_for,
        schedule=schedule_id,
        outcome=Outcome.RUN,
        run_id=run.id,
    )


def _skipped_entry(name: str, decision: Decision) -> Occurrence:
    return Occurrence(
        deployment=name,
        scheduled_for=decision.instant,
        schedule=decision.schedule.id,
        outcome=Outcome.SKIPPED,
        reason=decision.reason,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """The runs of a deployment that continue: `by`, which replaces the others, and the newest `keep` ones."""

    deployment: str
    by: RunId | None = None
    keep: int = 0


def replace_all(tx: Transaction, replacements: Sequence[Replacement], now: datetime) -> None:
    """End all unfinished runs of these deployments but those that continue. The runs that replace them wait.

    It ends neither redo runs nor the runs that wait behind them. A cancelled run that has not ended is not kept.
    """
    unfinished = upstream_lookup.find_unfinished_runs(tx, {each.deployment for each in replacements})
    skipped: list[Run] = []
    for each in replacements:
        kept = 0
        for run in unfinished.get(each.deployment, ()):
            is_behind = run.behind_backfill and run.state is RunState.PENDING
            if run.is_redo or is_behind or run.id == each.by:
                continue
            if kept < each.keep and run.cancel_reason is None:
                kept += 1
            elif run.state is not RunState.PENDING:
                cancel(tx, run, REPLACED, now)
            elif run.trigger in AUTOMATIC:
                skipped.append(run)
    skip_all(tx, [(run, "overlap") for run in skipped], now)
