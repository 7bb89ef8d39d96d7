"""State changes of many runs at once: claim, start and end. Each is a compare-and-set on the state of the run.

The statements are compiled once and executed for all rows together, so that a turn of the run engine costs little more
for many runs than for one. Called by `runs.monitor` and `runs.outcomes`; single runs are changed with
`store.runs`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, case, select, update

from controller.model.python_environments import PythonRuntime
from controller.model.queues import SHORTAGE
from controller.model.runs import Attempt, Run, RunId, RunOutcome, RunState
from controller.store import finished_upstreams, occurrences
from controller.store.prepared import Prepared, listed
from controller.store.queues import let_others_wait
from controller.store.schema import IS_REDO, attempts, runs
from controller.store.sql_functions import upsert
from controller.store.store import Transaction

_ATTEMPT_COLUMNS = [column.name for column in attempts.columns]
_PLACED_COLUMNS = ("session", "instance", "node", "code")
"""The columns that are set when the runner of an attempt is ready."""
_OUTCOME_COLUMNS = ("reason", "finished_at", "exit_code", "signal")


_THE_ATTEMPT = (attempts.c.run_id == bindparam("run"), attempts.c.number == bindparam("of_attempt"))


def _run_update(*columns: str, **fixed: Any) -> Prepared:
    values: dict[str, Any] = {"state": bindparam("to"), **{name: bindparam(f"new_{name}") for name in columns}, **fixed}
    return Prepared(
        update(runs).where(runs.c.id == bindparam("run"), runs.c.state == bindparam("expect")).values(values)
    )


def _attempt_update(*columns: str) -> Prepared:
    values: dict[str, Any] = {"state": bindparam("to"), **{name: bindparam(f"new_{name}") for name in columns}}
    return Prepared(update(attempts).where(*_THE_ATTEMPT).values(values))


_CLAIM = Prepared(
    update(runs)
    .where(runs.c.id == bindparam("run"), runs.c.state == bindparam("expect"))
    .values(
        state=bindparam("to"),
        attempt=bindparam("new_attempt"),
        reason=case((runs.c.reason.startswith(SHORTAGE), None), else_=runs.c.reason),
    )
)
_NEW_ATTEMPT = upsert(attempts).values({column.name: bindparam(column.name) for column in attempts.columns})
_ATTEMPT = Prepared(
    _NEW_ATTEMPT.on_conflict_do_update(
        index_elements=("run_id", "number"),
        set_={column.name: _NEW_ATTEMPT.excluded[column.name] for column in attempts.columns if not column.primary_key},
    )
)
_USE_PYTHON = Prepared(
    update(runs)
    .where(runs.c.id == bindparam("run"))
    .values(python=bindparam("digest"), python_declared_at=bindparam("declared_at"))
)
_START, _START_ATTEMPT = _run_update("started_at"), _attempt_update("started_at", *_PLACED_COLUMNS)
_END = _run_update(*_OUTCOME_COLUMNS, "result", uncertain_since=None, uncertain_reason=None)
_END_ATTEMPT = _attempt_update(*_OUTCOME_COLUMNS)
_STATES = Prepared(select(runs.c.id, runs.c.state, IS_REDO.label("is_redo")).where(runs.c.id.in_(listed("run_ids"))))


def claim(tx: Transaction, new: Sequence[Attempt], pythons: Mapping[RunId, PythonRuntime] | None = None) -> set[RunId]:
    """Change runs from `pending` to `launching` and record their attempts. Return the runs that were `pending`.

    `pythons` are the Python environments that runs use, except for those that use the controller's. An attempt
    replaces an earlier record of the same number, whose flow has been proven not to have started. Runs that have to
    wait for a redo run are marked.
    """
    rows = [
        {
            **_row(attempt.run_id, RunState.PENDING, RunState.LAUNCHING),
            "of_attempt": attempt.number,
            "new_attempt": attempt.number,
        }
        for attempt in new
    ]
    matching = _matching(tx, rows)
    _CLAIM.execute(tx, matching)
    redo_runs = [row["run"] for row in matching if row["is_redo"]]
    if redo_runs:
        let_others_wait(tx, redo_runs)
    claimed = {row["run"] for row in matching}
    used = [
        {"run": run_id, "digest": python.digest, "declared_at": python.declared_at}
        for run_id, python in (pythons or {}).items()
        if run_id in claimed
    ]
    _USE_PYTHON.execute(tx, used)
    _ATTEMPT.execute(tx, (_attempt_row(attempt) for attempt in new if attempt.run_id in claimed))
    return claimed


def start(tx: Transaction, ready: Sequence[Attempt], now: datetime) -> set[RunId]:
    """Change runs from `launching` to `running`. Return the runs that were `launching`."""
    rows = [
        {
            **_row(attempt.run_id, RunState.LAUNCHING, RunState.RUNNING),
            "of_attempt": attempt.number,
            "new_started_at": now,
            **{f"new_{name}": getattr(attempt, name) for name in _PLACED_COLUMNS},
        }
        for attempt in ready
    ]
    matching = _matching(tx, rows)
    _START.execute(tx, matching)
    _START_ATTEMPT.execute(tx, matching)
    return {row["run"] for row in matching}


def end(tx: Transaction, outcomes: Iterable[tuple[Run, RunOutcome]]) -> set[RunId]:
    """Record the outcomes of runs, and the states of their due times. Every end of a run is recorded here.

    Runs that other deployments wait for are also recorded in `finished_upstreams`.
    Return the runs that were in the expected state, and not final before.
    """
    final = [(run, outcome) for run, outcome in outcomes if not run.state.is_terminal]
    matching = _matching(tx, [_outcome_row(run, outcome) for run, outcome in final])
    _END.execute(tx, matching)
    _END_ATTEMPT.execute(tx, (row for row in matching if row["of_attempt"]))
    ended = {row["run"] for row in matching}
    occurrences.record_outcomes(tx, ((run, outcome) for run, outcome in final if run.id in ended))
    finished_upstreams.record(tx, ended)
    return ended


def end_attempt(tx: Transaction, run: Run, outcome: RunOutcome) -> None:
    """Record the outcome of the current attempt of a run that will be retried."""
    _END_ATTEMPT.execute(tx, [_outcome_row(run, outcome)])


def _attempt_row(attempt: Attempt) -> dict[str, Any]:
    return {column: getattr(attempt, column) for column in _ATTEMPT_COLUMNS}


def _outcome_row(run: Run, outcome: RunOutcome) -> dict[str, Any]:
    return {
        **_row(run.id, run.state, outcome.state),
        "of_attempt": run.attempt if run.is_in_progress else 0,
        **{f"new_{name}": getattr(outcome, name) for name in (*_OUTCOME_COLUMNS, "result")},
    }


def _row(run_id: RunId, expect: RunState, to: RunState) -> dict[str, Any]:
    return {"run": run_id, "expect": expect.value, "to": to.value}


def _matching(tx: Transaction, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows whose run is in the expected state. The write lock keeps that state until the commit."""
    if not rows:
        return []
    stored = {row.id: row for row in _STATES.fetch(tx, run_ids=[row["run"] for row in rows])}
    return [
        {**row, "is_redo": stored[row["run"]].is_redo}
        for row in rows
        if row["run"] in stored and stored[row["run"]].state == row["expect"]
    ]
