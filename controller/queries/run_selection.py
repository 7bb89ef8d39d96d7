"""Selects the finished runs that a bulk retry applies to.

Only the latest run of a due time, or of a chain of retries, is retried. So a bulk retry that is repeated does not retry
the same runs again. A cancelled run is ignored as a later run, because it does not decide the state of a due time.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from controller.model.runs import DueRun, Run, RunId, RunState
from controller.records import dataclass
from controller.store import Transaction, occurrences, runs


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A run that matches the filters, and the later run of its due time or chain because of which it is not retried."""

    run_id: RunId
    later_run: RunId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The runs to retry, oldest first, and the others."""

    runs: Sequence[Run]
    left_out: Sequence[LeftOut]


def select_for_retry(tx: Transaction, finished: Sequence[Run]) -> Selection:
    """Return which of these finished runs to retry."""
    by_deployment: dict[str, list[Run]] = defaultdict(list)
    for run in sorted(finished, key=lambda run: run.id, reverse=True):
        by_deployment[run.deployment].append(run)
    selected: list[Run] = []
    left_out: list[LeftOut] = []
    for deployment, matches in by_deployment.items():
        for group, history in _groups(tx, deployment, matches):
            newest = group[0]
            later = [run for run in history if run.run_id > newest.id and run.state is not RunState.CANCELLED]
            if later:
                left_out += [_omission(run, later[-1].run_id, _describe(later[-1].state)) for run in group]
            else:
                selected.append(newest)
                left_out += [_omission(run, newest.id, "a later run is retried instead") for run in group[1:]]
    return Selection(runs=sorted(selected, key=lambda run: run.id), left_out=left_out)


def _groups(tx: Transaction, deployment: str, matches: Sequence[Run]) -> Iterator[tuple[list[Run], Sequence[DueRun]]]:
    """Yield the runs of each due time, or of each chain of retries, newest first, with its later runs, oldest first."""
    times = [run.scheduled_for for run in matches if run.scheduled_for is not None]
    history: dict[datetime | RunId, list[DueRun]] = {}
    if times:
        for time, due_runs in runs.history(tx, deployment, min(times), max(times)).items():
            history[time] = due_runs
        for time, settled in occurrences.find_settled(tx, deployment, min(times), max(times)).items():
            due_runs = history.setdefault(time, [])
            if settled not in due_runs:  # retention has deleted it
                due_runs.append(settled)
    retries = runs.retries_without_due_time(tx, deployment) if len(times) < len(matches) else {}
    parents = {run_id: retry_of for run_id, (retry_of, _) in retries.items()}
    for run_id, (_, state) in retries.items():
        history.setdefault(_first_of(run_id, parents), []).append(DueRun(run_id=run_id, state=state))
    groups: dict[datetime | RunId, list[Run]] = defaultdict(list)
    for run in matches:
        groups[run.scheduled_for or _first_of(run.id, parents)].append(run)
    for key, group in groups.items():
        yield group, history.get(key, ())


def _first_of(run_id: RunId, parents: Mapping[RunId, RunId]) -> RunId:
    """Return the first run of the chain of retries that this run belongs to."""
    while run_id in parents:
        run_id = parents[run_id]
    return run_id


def _omission(run: Run, later_run: RunId, reason: str) -> LeftOut:
    return LeftOut(run_id=run.id, later_run=later_run, reason=reason)


def _describe(state: RunState) -> str:
    if not state.is_terminal:
        return "a later run has not finished"
    return "a later run succeeded" if state is RunState.SUCCEEDED else f"a later run ended as {state}"
