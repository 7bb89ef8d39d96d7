"""What one turn of the run engine writes, for many runs at once: claims, starts, ends. Each is a compare-and-set.

The statements are made once, and each is executed for all rows in one go: a turn of many runs costs little more than a
turn of one. Called by `runs.monitor` and `runs.outcomes`; elsewhere a single run is moved with `store.runs`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Executable, bindparam, case, delete, insert, select, update

from controller.model.queues import SHORTAGE
from controller.model.runs import Attempt, Run, RunId, RunState
from controller.store.schema import attempts, runs
from controller.store.store import Transaction

_ENDING = ("reason", "finished_at", "exit_code", "signal")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How a run ends, whose record still says what `run` says. `finished_at` is an aware UTC instant."""

    run: Run
    state: RunState
    reason: str | None
    finished_at: datetime
    exit_code: int | None = None
    signal: int | None = None
    result: Any = None


class _Prepared:
    """A statement, and the parameters that it takes out of a row that may hold more."""

    def __init__(self, statement: Executable, *names: str) -> None:
        self._statement = statement
        self._names = names

    def execute(self, tx: Transaction, rows: Iterable[Mapping[str, Any]]) -> None:
        """Once for each row."""
        chosen = [{name: row[name] for name in self._names} for row in rows]
        if chosen:
            tx.connection.execute(self._statement, chosen)


def _run_update(*columns: str) -> _Prepared:
    values: dict[str, Any] = {"state": bindparam("to"), **{name: bindparam(f"new_{name}") for name in columns}}
    statement = update(runs).where(runs.c.id == bindparam("run"), runs.c.state == bindparam("expect")).values(values)
    return _Prepared(statement, "run", "expect", "to", *(f"new_{name}" for name in columns))


def _attempt_update(*columns: str) -> _Prepared:
    values: dict[str, Any] = {"state": bindparam("to"), **{name: bindparam(f"new_{name}") for name in columns}}
    statement = update(attempts).where(*_THE_ATTEMPT).values(values)
    return _Prepared(statement, "run", "of_attempt", "to", *(f"new_{name}" for name in columns))


_THE_ATTEMPT = (attempts.c.run_id == bindparam("run"), attempts.c.number == bindparam("of_attempt"))
_CLAIM = _Prepared(
    update(runs)
    .where(runs.c.id == bindparam("run"), runs.c.state == bindparam("expect"))
    .values(
        state=bindparam("to"),
        attempt=bindparam("new_attempt"),
        reason=case((runs.c.reason.startswith(SHORTAGE), None), else_=runs.c.reason),
    ),
    "run",
    "expect",
    "to",
    "new_attempt",
)
_FORGET = _Prepared(delete(attempts).where(*_THE_ATTEMPT), "run", "of_attempt")
_START, _START_ATTEMPT = _run_update("started_at"), _attempt_update("started_at")
_END, _END_ATTEMPT = _run_update(*_ENDING, "result"), _attempt_update(*_ENDING)
_STATES = select(runs.c.id, runs.c.state).where(runs.c.id.in_(bindparam("wanted", expanding=True)))


def claim(tx: Transaction, new: Sequence[Attempt]) -> set[RunId]:
    """`pending` to `launching`, each with its attempt; one that was proven not started gives way. Those that were."""
    rows = [
        {
            **_row(attempt.run_id, RunState.PENDING, RunState.LAUNCHING),
            "of_attempt": attempt.number,
            "new_attempt": attempt.number,
        }
        for attempt in new
    ]
    fitting = _fitting(tx, rows)
    _CLAIM.execute(tx, fitting)
    _FORGET.execute(tx, fitting)
    claimed = {row["run"] for row in fitting}
    begun = [asdict(attempt) for attempt in new if attempt.run_id in claimed]
    if begun:
        tx.connection.execute(insert(attempts), begun)
    return claimed


def start(tx: Transaction, ready: Sequence[Attempt], now: datetime) -> set[RunId]:
    """`launching` to `running`. Those that were."""
    rows = [
        {
            **_row(attempt.run_id, RunState.LAUNCHING, RunState.RUNNING),
            "of_attempt": attempt.number,
            "new_started_at": now,
        }
        for attempt in ready
    ]
    fitting = _fitting(tx, rows)
    _START.execute(tx, fitting)
    _START_ATTEMPT.execute(tx, fitting)
    return {row["run"] for row in fitting}


def end(tx: Transaction, endings: Sequence[RunOutcome]) -> set[RunId]:
    """To a final state, each from the one that its run is thought to be in. Those that were."""
    rows = [
        {
            **_row(ending.run.id, ending.run.state, ending.state),
            "of_attempt": ending.run.attempt if ending.run.is_in_progress else 0,
            **{f"new_{name}": getattr(ending, name) for name in (*_ENDING, "result")},
        }
        for ending in endings
        if not ending.run.state.is_terminal
    ]
    fitting = _fitting(tx, rows)
    _END.execute(tx, fitting)
    _END_ATTEMPT.execute(tx, (row for row in fitting if row["of_attempt"]))
    return {row["run"] for row in fitting}


def _row(run_id: RunId, expect: RunState, to: RunState) -> dict[str, Any]:
    return {"run": run_id, "expect": expect.value, "to": to.value}


def _fitting(tx: Transaction, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows whose run is in the state that is expected. The transaction holds the write lock: it stays so."""
    if not rows:
        return []
    found = tx.connection.execute(_STATES, {"wanted": [row["run"] for row in rows]})
    states = {row.id: row.state for row in found}
    return [row for row in rows if states.get(row["run"]) == row["expect"]]
