"""How the end of a run is recorded and told. Called by the watchlist, within its transaction and after it."""

import logging
from dataclasses import replace
from datetime import datetime

from controller.model.runs import Run, RunState
from controller.model.status import Event, EventSeverity
from controller.runs.verdict import Ended
from controller.store import Transaction, events, runs

log = logging.getLogger(__name__)


def finish(
    tx: Transaction, run: Run, state: RunState, reason: str | None, *, now: datetime, ended: Ended | None = None
) -> Run | None:
    """Record the outcome; returns the run as it ended, to be told of once that is on disk. None: it was not so."""
    ending = {
        "reason": reason,
        "finished_at": ended.finished_at if ended is not None and ended.finished_at is not None else now,
        "exit_code": None if ended is None else ended.exit_code,
        "signal": None if ended is None else ended.signal,
    }
    result = None if ended is None else ended.result
    if not runs.move(tx, run.id, expect=run.state, to=state, result=result, **ending):
        return None
    if run.attempt:
        runs.move_attempt(tx, run.id, run.attempt, state, **ending)
    if state is not RunState.SUCCEEDED:
        message = f"Run {run.id} {_words(state)}" + (f": {reason}" if reason else "")
        event = Event(
            time=now,
            severity=EventSeverity.ERROR,
            reason="Run" + state.value.title().replace("_", ""),
            message=message,
            about=run.deployment,
            revision=run.revision,
        )
        events.append(tx, [event])
    if ended is not None:
        _note(run, ended)
    return replace(run, state=state, reason=reason)


def tell(run: Run | None) -> None:
    """Log what has become of a run."""
    if run is None:
        return
    fields = {"deployment": run.deployment, "run": run.id, "reason": run.reason}
    if run.state is RunState.PENDING:
        log.info("Run was not started; it is queued again", extra=fields)
    elif run.state is RunState.SUCCEEDED:
        log.info("Run succeeded", extra=fields)
    else:
        log.warning("Run %s", _words(run.state), extra=fields)


def _note(run: Run, ended: Ended) -> None:
    """Log what its supervisor saw on the way."""
    fields = {"deployment": run.deployment, "run": run.id}
    if ended.left_behind:
        log.warning("Processes that a flow left behind were killed", extra={**fields, "count": ended.left_behind})
    if ended.dropped_bytes:
        log.warning("Output of a run was dropped", extra={**fields, "bytes": ended.dropped_bytes})
    for limit in ended.unenforced:
        log.warning("A limit of a run can't be enforced here", extra={**fields, "limit": limit})


def _words(state: RunState) -> str:
    return state.value.replace("_", " ")
