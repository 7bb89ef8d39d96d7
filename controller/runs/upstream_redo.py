"""Repeats due times because a run of an upstream deployment was repeated.

A due time that was skipped because an upstream run failed gets another run when that upstream run is repeated and
succeeds before the deadline. A due time that has had its run gets another one only if `on_redo: run` asks for it.
`upstreams` calls this module.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from controller.model.gates import Gate, GateState, are_closed, are_open, is_fulfilled
from controller.model.policies import Overlap
from controller.model.queues import ActiveRuns
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.model.status import Event, EventSeverity, InventoryEntry
from controller.model.triggers import OnRedo
from controller.runs.admission import Admission
from controller.runs.due_schedules import find_schedule
from controller.runs.due_times import behind_redo_runs, ledger_entry
from controller.runs.gate_releases import GatedRun, release_gated
from controller.runs.upstream_events import Dependant, release_key
from controller.runs.upstream_gates import GateChecks
from controller.store import Transaction, events, gates, inventory, occurrences, queues, runs
from controller.time_format import in_utc


def reopen(tx: Transaction, admission: Admission, now: datetime, upstreams: Collection[str] | None = None) -> None:
    """Run the due times again that were skipped because of an upstream run, if that has now finished as asked.

    A due time that still waits for another upstream deployment is released. With `upstreams`, only those whose gates
    these have closed.
    """
    opened: dict[RunId, list[Gate]] = {}
    for gate in _reopened(tx, now, upstreams):
        gates.save_states(tx, [gate])
        opened.setdefault(gate.run_id, []).append(gate)
    for run_id, of_run in opened.items():
        _reopen_run(tx, admission, run_id, of_run, now)


def has_reopened(tx: Transaction, now: datetime) -> bool:
    """Return whether `reopen` would open a gate."""
    return next(_reopened(tx, now, None), None) is not None


def _reopened(tx: Transaction, now: datetime, upstreams: Collection[str] | None) -> Iterator[Gate]:
    """Yield the closed gates that are now open."""
    checks = GateChecks(tx)
    for gate in gates.find_closed(tx, now, upstreams):
        check = checks.check(gate)
        if check.state is GateState.OPEN:
            yield replace(gate, state=GateState.OPEN, upstream_run_id=check.run_id)


def _reopen_run(tx: Transaction, admission: Admission, run_id: RunId, opened: list[Gate], now: datetime) -> None:
    run, of_run = runs.find(tx, run_id), gates.find_of_run(tx, run_id)
    if run is None or are_closed(of_run):
        return
    if run.state is RunState.PENDING:  # it still waits for another upstream deployment, of which one is enough
        if are_open(of_run):
            release_gated(tx, admission.deployments, [GatedRun(run, of_run)], now)
        return
    entry = _active(tx, run.deployment)
    if not _is_repeatable(tx, run) or entry is None:
        gates.expire_runs(tx, [run_id])
        return
    new = replace(
        run,
        id=admission.ids.new(now),
        state=RunState.PENDING,
        reason=None,
        created_at=now,
        finished_at=None,
        not_before=run.not_before if run.not_before is not None and run.not_before > now else None,
        start_by=min(gate.until for gate in of_run),
    )
    new = behind_redo_runs(new, queues.count_active(tx, [run.deployment]).get(run.deployment, ActiveRuns()))
    causes = " and ".join(f"run {gate.upstream_run_id} of {gate.upstream}" for gate in opened)
    _repeat(tx, run, new, now, f"is open again because of {causes}")
    if are_open(of_run):
        release_gated(tx, admission.deployments, [GatedRun(new, gates.find_of_run(tx, new.id))], now)


def _is_repeatable(tx: Transaction, run: Run) -> bool:
    """Return whether this skipped run is still the last one of its due time."""
    assert run.scheduled_for is not None
    recorded = occurrences.find_newest(tx, run.deployment, 1, since=run.scheduled_for, until=run.scheduled_for)
    is_last = run.state is RunState.SKIPPED and bool(recorded) and recorded[0].run_id == run.id
    return is_last and not occurrences.find_unfinished(tx, run.deployment, run.scheduled_for, run.scheduled_for)


def mark_redone(tx: Transaction, dependants: Iterable[Dependant], run: Run) -> None:
    """Mark the gates that an earlier run of the same due time or the same chain of retries has opened."""
    asking = [each for each in dependants if each.upstream.on_redo is OnRedo.RUN]
    names = {each.entry.name for each in asking if is_fulfilled(each.upstream.on, run.state)}
    earlier = earlier_runs(tx, run) if names else []
    opened = gates.find_opened_by(tx, earlier, names) if earlier else []
    by_run = gates.find_of_runs(tx, [gate.run_id for gate in opened])
    changed = []
    for gate in opened:
        state = GateState.REDONE if are_open(by_run[gate.run_id]) else GateState.OPEN
        changed.append(replace(gate, state=state, upstream_run_id=run.id))
    gates.save_states(tx, changed)


def earlier_runs(tx: Transaction, run: Run) -> list[RunId]:
    """Return the earlier runs of the same due time, those that this one retries, or those of the same release.

    These are the runs that an earlier run of one of its upstream runs has released.
    """
    if run.scheduled_for is not None:
        history = runs.history(tx, run.deployment, run.scheduled_for, run.scheduled_for)
        return [other.run_id for other in history.get(run.scheduled_for, ()) if other.run_id < run.id]
    retried: list[RunId] = []
    while run.retry_of is not None and (earlier := runs.find(tx, run.retry_of)) is not None:
        run = earlier
        retried.append(run.id)
    return [*retried, *_earlier_releases(tx, run)]


def _earlier_releases(tx: Transaction, run: Run) -> list[RunId]:
    if run.trigger is not Trigger.UPSTREAM:
        return []
    ids = {upstream.run_id for upstream in run.upstream}
    stored = runs.find_all(tx, ids)
    keys = [
        release_key((ids - {upstream.id}) | {earlier})
        for upstream in stored.values()
        for earlier in earlier_runs(tx, upstream)
    ]
    return list(runs.ids_by_key(tx, run.deployment, keys[-500:]).values())


def repeat_redone(tx: Transaction, admission: Admission, now: datetime) -> None:
    """Create the runs of due times whose upstream run was repeated, unless a run of the due time is unfinished."""
    redone: dict[RunId, list[Gate]] = {}
    for gate in gates.find_redone(tx):
        redone.setdefault(gate.run_id, []).append(gate)
    for run_id, of_run in redone.items():
        _repeat_run(tx, admission, run_id, of_run, now)


def has_redone(tx: Transaction) -> bool:
    """Return whether `repeat_redone` would create a run."""
    stored = runs.find_all(tx, {gate.run_id for gate in gates.find_redone(tx)})
    return any(not _has_unfinished(tx, run) for run in stored.values())


def _repeat_run(tx: Transaction, admission: Admission, run_id: RunId, redone: list[Gate], now: datetime) -> None:
    run = runs.find(tx, run_id)
    if run is None or _has_unfinished(tx, run):
        return
    gates.save_states(tx, [replace(gate, state=GateState.OPEN) for gate in redone])
    entry = _active(tx, run.deployment)
    if entry is None:
        return
    deployment = admission.deployment(entry)
    assert run.scheduled_for is not None
    new = admission.triggered_run(
        tx,
        entry,
        Trigger.UPSTREAM,
        find_schedule(tx, deployment, run.scheduled_for),
        scheduled_for=run.scheduled_for,
        serial=deployment.overlap is not Overlap.ALLOW,
    )
    causes = " and ".join(f"run {gate.upstream_run_id} of {gate.upstream}" for gate in redone)
    _repeat(tx, run, new, now, f"is run again because of {causes}")
    # Its code has the current names, and its due time has had its run.
    of_run = [replace(gate, declared=gate.upstream) for gate in gates.find_of_run(tx, new.id)]
    repeated = GatedRun(new, of_run, may_skip=False)
    release_gated(tx, admission.deployments, [repeated], now)


def _has_unfinished(tx: Transaction, run: Run) -> bool:
    assert run.scheduled_for is not None
    return bool(occurrences.find_unfinished(tx, run.deployment, run.scheduled_for, run.scheduled_for))


def _repeat(tx: Transaction, run: Run, new: Run, now: datetime, text: str) -> None:
    """Record a new run of a due time, which gets the gates of the earlier one."""
    assert run.scheduled_for is not None
    runs.insert_all(tx, [new])
    gates.move(tx, run.id, new.id)
    occurrences.record_runs(tx, [ledger_entry(new, "")])
    event = Event(
        time=now,
        severity=EventSeverity.INFO,
        reason="DueTimeRepeated",
        message=f"The due time {in_utc(run.scheduled_for)} of {run.deployment} {text}: run {new.id}.",
        about=run.deployment,
        revision=new.revision,
        deployment=run.deployment,
        run_id=new.id,
    )
    events.append(tx, [event])


def _active(tx: Transaction, name: str) -> InventoryEntry | None:
    """Return the entry of a deployment that is neither deleted nor suspended; otherwise None."""
    entry = inventory.find(tx, name)
    return None if entry is None or entry.document.get("suspend") is True else entry
