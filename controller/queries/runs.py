"""Runs as all user interfaces show them, with the reason why each waiting run waits."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from controller.errors import NotFoundError
from controller.model import extend
from controller.model.gates import GateState
from controller.model.queues import missing_resource, schedule_queue
from controller.model.runs import Attempt, Run, RunDetail, RunId, RunState, Trigger
from controller.model.task_runs import TaskTree
from controller.store import Transaction, commits, events, gates, python_environments, queues, runs, task_trees
from controller.store.run_search import RunFilter, runs_page, select_all, select_oldest
from controller.store.task_reports import read_tree

_GREATEST_ID = "g"
"""Greater than every id, which is hexadecimal."""


def list_runs(tx: Transaction, criteria: RunFilter, now: datetime, limit: int | None = None) -> list[Run]:
    """Return the runs that match, newest first, at most `limit`."""
    return public_runs(tx, select_all(tx, criteria, limit), now)


def page_of_runs(
    tx: Transaction, criteria: RunFilter, now: datetime, *, limit: int, before: str | None
) -> tuple[list[Run], str | None]:
    """Return a page of the runs that match, newest first, and `before` for the next page, which is None at the end."""
    page = runs_page(tx, criteria, limit=limit, before=before)
    return public_runs(tx, page.runs, now), page.next


def find_run(tx: Transaction, run_id: str, now: datetime | None = None, *, directory: Path | None = None) -> RunDetail:
    """Return one run by its id, or by a unique beginning or end of its id. Raises NotFoundError.

    With `now`, `waiting` and `took` are set. `directory` contains the directories of runs; the task tree of a running
    run is read from there.
    """
    matches = runs.find_by_prefix(tx, run_id) if run_id else []
    if len(matches) != 1:
        problem = "There is no run" if not matches else "There is more than one run whose id begins or ends with"
        raise NotFoundError(f"{problem} {run_id!r}.", hint="See `controller runs list`.")
    run = _public(matches[0]) if now is None else public_runs(tx, matches, now)[0]
    return _detail(tx, run, directory)


def exact_run(tx: Transaction, run_id: str) -> Run:
    """Return the run with exactly this id, as it is stored. Raises NotFoundError."""
    run = runs.find(tx, run_id) if run_id.isascii() else None
    if run is None:
        raise NotFoundError("There is no such run.", hint="See `controller runs list`.")
    return run


def run_detail(tx: Transaction, run_id: str, now: datetime, directory: Path | None = None) -> RunDetail:
    """Return all details of the run with exactly this id. Raises NotFoundError.

    `directory` contains the directories of runs.
    """
    [run] = public_runs(tx, [exact_run(tx, run_id)], now)
    return _detail(tx, run, directory)


def neighbours(tx: Transaction, run: Run) -> tuple[RunId | None, RunId | None]:
    """Return the ids of the previous and of the next run of the same deployment; None if there is none."""
    of_deployment = RunFilter(deployment=run.deployment)
    earlier = runs_page(tx, of_deployment, limit=1, before=run.id).runs
    later = select_oldest(tx, of_deployment, after=run.id, newest=_GREATEST_ID, limit=1)
    return (earlier[0].id if earlier else None), (later[0].id if later else None)


def _detail(tx: Transaction, run: Run, directory: Path | None) -> RunDetail:
    attempts = runs.attempts_of(tx, run.id)
    history = tuple(replace(attempt, state=attempt.state.public) for attempt in attempts)
    commit = commits.find(tx, run.revision)
    whole = _with_task_tree(tx, run, attempts, directory)
    until = _waits_until(tx, run)
    return extend(RunDetail, whole, history=history, commit=commit, author=_author(tx, run), waits_until=until)


def _waits_until(tx: Transaction, run: Run) -> datetime | None:
    """Return when this run is skipped if it still waits for upstream deployments then."""
    if run.state is not RunState.PENDING:
        return None
    return min((gate.until for gate in gates.find_of_run(tx, run.id) if gate.state is GateState.WAITING), default=None)


def _author(tx: Transaction, run: Run) -> str | None:
    """Return who triggered or retried this run, from the event that says so."""
    triggered = dict.fromkeys((Trigger.MANUAL, Trigger.WEBHOOK), "triggered run")
    verb = {**triggered, Trigger.RETRY: "retried run"}.get(run.trigger)
    message = verb and events.find_message(tx, run.id, ("Triggered", "Retried"))
    return message.partition(f" {verb} ")[0] if message else None


def _waiting_for_executors(tx: Transaction, matches: Sequence[Run]) -> dict[RunId, str]:
    """Return what the runs wait for that have been launched, but not started, by another executor than `local`."""
    launching = [run.id for run in matches if run.state is RunState.LAUNCHING and run.uncertain_reason is None]
    executors = runs.executors_of(tx, launching) if launching else {}
    return {run_id: f"{name} has not started its job" for run_id, name in executors.items() if name != "local"}


def public_runs(tx: Transaction, matches: list[Run], now: datetime) -> list[Run]:
    """Return these runs as users see them: with public states, and with what each waiting run waits for."""
    reasons: dict[RunId, str] = {}
    if any(run.state in (RunState.PENDING, RunState.RETRYING) for run in matches):
        waiting = schedule_queue(queues.find_waiting(tx), queues.read_load(tx, now), now)
        reasons = {
            run.id: (missing_resource(run) or "starting next") if reason is None else reason.text
            for run, reason in waiting
        }
    reasons |= _waiting_for_executors(tx, matches)
    repeated = [run.id for run in matches if run.attempt > 1]
    times = runs.attempt_times(tx, repeated) if repeated else {}
    public = [_with_time(_public(run, reasons.get(run.id)), times.get(run.id, [])) for run in matches]
    return _with_python(tx, public)


def _with_python(tx: Transaction, matches: list[Run]) -> list[Run]:
    """Return these runs with the versions and the packages of their Python environments."""
    digests = {run.python.digest for run in matches if run.python is not None and run.python.digest is not None}
    environments = python_environments.find_all_built(tx, digests) if digests else {}
    return [
        run
        if run.python is None or (built := environments.get(run.python.digest)) is None
        else replace(run, python=replace(run.python, version=built.version, packages=built.packages))
        for run in matches
    ]


def _public(run: Run, waiting: str | None = None) -> Run:
    due_time_of = run.scheduled_for if run.is_redo else None
    return replace(run, state=run.state.public, waiting=waiting, due_time_of=due_time_of)


def _with_time(run: Run, attempts: Sequence[tuple[datetime, datetime | None]]) -> Run:
    """Return the run with the time that its ended attempts took. `attempts` is empty for a run with one attempt."""
    if run.started_at is None:
        return run
    spans = attempts or [(run.started_at, run.finished_at)]
    ended = [max(end - start, timedelta()) for start, end in spans if end is not None]
    took = sum(ended, timedelta())
    is_running = run.state is RunState.RUNNING
    return replace(
        run,
        took=took.total_seconds() if ended else None,
        running_since=run.started_at - took if is_running else None,
    )


def _with_task_tree(tx: Transaction, run: Run, attempts: Sequence[Attempt], directory: Path | None) -> Run:
    """Return the run with the name, tasks and artifacts that its flow reported in the last attempt, if it did.

    They come from the state, or from a file in the run's directory while the flow is running. Tasks that had not ended
    when the attempt ended have the end of the attempt.
    """
    if run.state is RunState.RUNNING and directory is not None:
        last = attempts[-1]
        tree = read_tree(directory / run.id / f"{last.number}-{last.nonce}") or TaskTree()
    else:
        ends = [attempt.finished_at for attempt in attempts if attempt.finished_at is not None]
        tree = task_trees.find(tx, run.id).end_at(run.finished_at or max(ends, default=None))
    return replace(run, name=tree.name or run.name, tasks=tree.runs, artifacts=tree.artifacts)


def stored_states(state: RunState) -> tuple[RunState, ...]:
    """Return the stored states that are shown as this one."""
    return (RunState.PENDING, RunState.LAUNCHING) if state is RunState.PENDING else (state,)
