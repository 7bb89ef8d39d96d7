"""Repeats due times because a run of an upstream deployment was repeated.

A due time that was skipped because an upstream run failed gets another run when that upstream run is repeated and
succeeds before the deadline. A due time that has had its run gets another one only if `on_redo: run` asks for it.
`upstreams` calls this module.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from controller.model.gates import Gate, GateState, are_closed, are_open, is_fulfilled
from controller.model.policies import Overlap
from controller.model.queues import ActiveRuns
from controller.model.runs import Run, RunId, RunState, Trigger
from controller.model.status import Event, EventSeverity, InventoryEntry
from controller.model.triggers import OnRedo
from controller.runs.admission import Admission
from controller.runs.due_schedules import find_schedules
from controller.runs.due_times import behind_redo_runs, ledger_entry
from controller.runs.gate_checks import check_all
from controller.runs.gate_releases import GatedRun, release_gated
from controller.runs.upstream_events import Dependant, chains_of
from controller.store import (
    Transaction,
    events,
    gates,
    inventory,
    occurrences,
    queues,
    runs,
    source_status,
    upstream_lookup,
)
from controller.store.upstream_lookup import DueTime
from controller.time_format import in_utc


def reopen(tx: Transaction, admission: Admission, now: datetime, upstreams: Collection[str] | None = None) -> None:
    """Run the due times again that were skipped because of an upstream run, if that has now finished as required.

    A due time that still waits for another upstream deployment is released. With `upstreams`, only those whose gates
    these have closed.
    """
    opened = list(_reopened(tx, now, upstreams))
    if not opened:
        return
    gates.save_states(tx, opened)
    by_run = _by_run(opened)
    stored, of_runs = runs.find_all(tx, by_run), gates.find_of_runs(tx, by_run)
    affected = [run for run_id, run in stored.items() if not are_closed(of_runs[run_id])]
    waiting = [run for run in affected if run.state is RunState.PENDING]  # for others, of which one is enough
    ended = [run for run in affected if run.state is not RunState.PENDING]
    repeats = _find_repeatable(tx, ended)
    repeated = {run.id for run in repeats}
    gates.expire_runs(tx, [run.id for run in ended if run.id not in repeated])
    active = queues.count_active(tx, {run.deployment for run in repeats}) if repeats else {}
    new = {
        run.id: behind_redo_runs(
            _reopened_run(admission, run, of_runs[run.id], now), active.get(run.deployment, ActiveRuns())
        )
        for run in repeats
    }
    _repeat_all(tx, [(run, new[run.id], f"is open again because of {_causes(by_run[run.id])}") for run in repeats], now)
    released = [GatedRun(run, of_runs[run.id]) for run in waiting]
    released += [GatedRun(new[run.id], _moved(of_runs[run.id], new[run.id])) for run in repeats]
    release_gated(tx, admission.deployments, [each for each in released if are_open(each.gates)], now)


def has_reopened(tx: Transaction, now: datetime) -> bool:
    """Return whether `reopen` would open a gate."""
    return next(_reopened(tx, now, None), None) is not None


def _reopened(tx: Transaction, now: datetime, upstreams: Collection[str] | None) -> Iterator[Gate]:
    """Yield the closed gates that are now open."""
    closed = gates.find_closed(tx, now, upstreams)
    for gate, check in zip(closed, check_all(tx, closed), strict=True):
        if check.state is GateState.OPEN:
            yield replace(gate, state=GateState.OPEN, upstream_run_id=check.run_id)


def _reopened_run(admission: Admission, run: Run, of_run: Iterable[Gate], now: datetime) -> Run:
    """Return the run that repeats a skipped one."""
    return replace(
        run,
        id=admission.ids.new(now),
        state=RunState.PENDING,
        reason=None,
        created_at=now,
        finished_at=None,
        not_before=run.not_before if run.not_before is not None and run.not_before > now else None,
        start_by=min(gate.until for gate in of_run),
    )


def _find_repeatable(tx: Transaction, ended: Sequence[Run]) -> list[Run]:
    """Return those of these runs that were skipped, are still the last ones of their due times, and may run again."""
    times = {_due_time(run) for run in ended}
    recorded = upstream_lookup.find_recorded(tx, times)
    unfinished = upstream_lookup.find_unfinished(tx, times)
    entries = _find_active(tx, {run.deployment for run in ended})
    return [
        run
        for run in ended
        if run.state is RunState.SKIPPED
        and run.deployment in entries
        and _due_time(run) not in unfinished
        and (row := recorded.get(_due_time(run))) is not None
        and row.run_id == run.id
    ]


def mark_redone(tx: Transaction, finished: Iterable[tuple[Run, Sequence[Dependant]]]) -> None:
    """Mark the gates that an earlier run of the same due time or the same chain of retries has opened."""
    asking: list[tuple[Run, set[str]]] = []
    for run, dependants in finished:
        names = {
            each.entry.name
            for each in dependants
            if each.upstream.on_redo is OnRedo.RUN and is_fulfilled(each.upstream.on, run.state)
        }
        asking += [(run, names)] if names else []
    earlier = _find_earlier(tx, [run for run, _ in asking])
    ids = {run_id for some in earlier.values() for run_id in some}
    if not ids:
        return
    opened = gates.find_opened_by(tx, ids, {name for _, names in asking for name in names})
    of_runs = gates.find_of_runs(tx, {gate.run_id for _, gate in opened})
    opened_by: dict[RunId | None, list[tuple[str, Gate]]] = defaultdict(list)
    for deployment, gate in opened:
        opened_by[gate.upstream_run_id].append((deployment, gate))
    changed: dict[tuple[RunId, str], Gate] = {}
    for run, names in asking:  # in their order: the second redo of a run replaces the first one
        for run_id in earlier[run.id]:
            for deployment, gate in opened_by.pop(run_id, ()):
                is_redone = deployment in names
                if is_redone:
                    state = GateState.REDONE if are_open(of_runs[gate.run_id]) else GateState.OPEN
                    gate = changed[gate.run_id, gate.upstream] = replace(gate, state=state, upstream_run_id=run.id)
                opened_by[run.id if is_redone else run_id].append((deployment, gate))
    gates.save_states(tx, changed.values())


def _find_earlier(tx: Transaction, finished: Sequence[Run]) -> dict[RunId, list[RunId]]:
    """Return the earlier runs of the same due time or the same chain as each of these runs, oldest first.

    A chain consists of the retries of one run, or of the runs that upstream runs of the same chains have released.
    """
    of_times = upstream_lookup.find_runs_of_times(tx, {_due_time(run) for run in finished if run.scheduled_for})
    chains = chains_of(tx, [run for run in finished if run.scheduled_for is None])
    of_chains = upstream_lookup.find_of_chains(
        tx, {(run.deployment, chains[run.id]) for run in finished if run.id in chains}
    )
    earlier = {}
    for run in finished:
        is_due = run.scheduled_for is not None
        some = of_times.get(_due_time(run)) if is_due else of_chains.get((run.deployment, chains[run.id]))
        earlier[run.id] = [run_id for run_id in some or () if run_id < run.id]
    return earlier


def repeat_redone(tx: Transaction, admission: Admission, now: datetime) -> None:
    """Create the runs of due times whose upstream run was repeated, unless a run of the due time is unfinished."""
    redone = _by_run(gates.find_redone(tx))
    ready = _find_finished(tx, redone)
    if not ready:
        return
    gates.save_states(tx, [replace(gate, state=GateState.OPEN) for run in ready for gate in redone[run.id]])
    entries = _find_active(tx, {run.deployment for run in ready})
    repeats = [run for run in ready if run.deployment in entries]
    deployments = {name: admission.deployment(entry) for name, entry in entries.items()}
    schedules = find_schedules(tx, [(deployments[run.deployment], _due_time(run)[1]) for run in repeats])
    revision = source_status.applied_revision(tx)
    new = {
        run.id: admission.triggered_run(
            tx,
            entries[run.deployment],
            Trigger.UPSTREAM,
            schedule,
            scheduled_for=run.scheduled_for,
            serial=deployments[run.deployment].overlap is not Overlap.ALLOW,
            revision=entries[run.deployment].pinned or revision or entries[run.deployment].revision,
        )
        for run, schedule in zip(repeats, schedules, strict=True)
    }
    _repeat_all(tx, [(run, new[run.id], f"is run again because of {_causes(redone[run.id])}") for run in repeats], now)
    of_runs = gates.find_of_runs(tx, [run.id for run in new.values()])
    failed = admission.fail_without_variables(tx, new.values(), now)
    released = []
    for run in new.values():  # its code has the current names, and its due time has had its run
        if run.id in failed:
            continue
        of_run = [replace(gate, declared=gate.upstream) for gate in of_runs[run.id]]
        released.append(GatedRun(run, of_run, may_skip=False))
    release_gated(tx, admission.deployments, released, now)


def has_redone(tx: Transaction) -> bool:
    """Return whether `repeat_redone` would create a run."""
    return bool(_find_finished(tx, _by_run(gates.find_redone(tx))))


def _find_finished(tx: Transaction, run_ids: Iterable[RunId]) -> list[Run]:
    """Return those of these runs whose due times have no unfinished run."""
    stored = runs.find_all(tx, run_ids) if run_ids else {}
    unfinished = upstream_lookup.find_unfinished(tx, {_due_time(run) for run in stored.values()})
    return [run for run in stored.values() if _due_time(run) not in unfinished]


def _repeat_all(tx: Transaction, repeats: Sequence[tuple[Run, Run, str]], now: datetime) -> None:
    """Record new runs of due times, each with the earlier run, whose gates it gets, and why it repeats that."""
    if not repeats:
        return
    runs.insert_all(tx, [new for _, new, _ in repeats])
    gates.move_all(tx, {run.id: new.id for run, new, _ in repeats})
    occurrences.record_runs(tx, [ledger_entry(new, "") for _, new, _ in repeats])
    events.append(tx, [_event(run, new, text, now) for run, new, text in repeats])


def _event(run: Run, new: Run, text: str, now: datetime) -> Event:
    due_time = in_utc(_due_time(run)[1])
    return Event(
        time=now,
        severity=EventSeverity.INFO,
        reason="DueTimeRepeated",
        message=f"The due time {due_time} of {run.deployment} {text}: run {new.id}.",
        about=run.deployment,
        revision=new.revision,
        deployment=run.deployment,
        run_id=new.id,
    )


def _by_run(some: Iterable[Gate]) -> dict[RunId, list[Gate]]:
    by_run: dict[RunId, list[Gate]] = {}
    for gate in some:
        by_run.setdefault(gate.run_id, []).append(gate)
    return by_run


def _causes(of_run: Iterable[Gate]) -> str:
    return " and ".join(f"run {gate.upstream_run_id} of {gate.upstream}" for gate in of_run)


def _moved(of_run: Iterable[Gate], new: Run) -> list[Gate]:
    return [replace(gate, run_id=new.id) for gate in of_run]


def _due_time(run: Run) -> DueTime:
    assert run.scheduled_for is not None
    return run.deployment, run.scheduled_for


def _find_active(tx: Transaction, names: Collection[str]) -> dict[str, InventoryEntry]:
    """Return the entries of those of these deployments that are neither deleted nor suspended."""
    entries = inventory.find_many(tx, names) if names else ()
    return {entry.name: entry for entry in entries if entry.document.get("suspend") is not True}
