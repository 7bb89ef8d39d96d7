"""How a run, or one attempt of it, ends in the record: final for ever, or another attempt follows.

Called in a transaction by whoever ends runs: the watchlist with a verdict, the queue at a deadline, a request to
cancel. Nothing here knows processes.
"""

import logging
from dataclasses import replace
from datetime import datetime

from controller.model.runs import Run, RunState
from controller.model.status import Event, EventSeverity
from controller.runs.retries import next_start
from controller.runs.verdict import Ended
from controller.store import Transaction, events, occurrences, runs

log = logging.getLogger(__name__)

_SEVERITIES = {RunState.CANCELLED: EventSeverity.INFO, RunState.SKIPPED: EventSeverity.WARNING}


def finish(
    tx: Transaction, run: Run, state: RunState, reason: str | None, now: datetime, *, ended: Ended | None = None
) -> Run | None:
    """Record this end; returns the run as it is then, to be told of once that is on disk. None: somebody was first."""
    if state is RunState.CANCELLED and run.cancel_reason is not None:
        reason = run.cancel_reason
    ending = {
        "reason": reason,
        "finished_at": ended.finished_at if ended is not None and ended.finished_at is not None else now,
        "exit_code": None if ended is None else ended.exit_code,
        "signal": None if ended is None else ended.signal,
    }
    is_attempt = run.state in (RunState.LAUNCHING, RunState.RUNNING)
    again = next_start(run, state, now) if is_attempt else None
    if again is not None:
        ended_run = _retry(tx, run, state, reason, again)
    else:
        result = None if ended is None else ended.result
        moved = runs.move(tx, run.id, expect=run.state, to=state, result=result, **ending)
        ended_run = replace(run, state=state, reason=reason) if moved else None
    if ended_run is None:
        return None
    if is_attempt and run.attempt:
        runs.move_attempt(tx, run.id, run.attempt, state, **ending)
    if state is not RunState.SUCCEEDED:
        events.append(tx, [_event(ended_run, state, now)])
    return ended_run


def skip(tx: Transaction, run: Run, reason: str, now: datetime) -> Run | None:
    """It has waited and is not run any more; the ledger says so too."""
    occurrences.skip(tx, run, reason)
    return finish(tx, run, RunState.SKIPPED, reason, now)


def cancel(tx: Transaction, run: Run, reason: str, now: datetime) -> Run | None:
    """It ends at once if it waits; else what is under way is to be ended, and ends when its supervisor has."""
    if run.state in (RunState.PENDING, RunState.RETRYING):
        return finish(tx, run, RunState.CANCELLED, reason, now)
    if not run.state.is_terminal and run.cancel_reason is None:
        runs.move(tx, run.id, expect=run.state, to=run.state, cancel_reason=reason)
    return None


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


def _retry(tx: Transaction, run: Run, state: RunState, reason: str | None, again: datetime) -> Run | None:
    said = f"attempt {run.attempt} of {run.attempts} {_words(state)}" + (f": {reason}" if reason else "")
    if not runs.move(tx, run.id, expect=run.state, to=RunState.RETRYING, not_before=again, reason=said):
        return None
    return replace(run, state=RunState.RETRYING, not_before=again, reason=said)


def _event(run: Run, state: RunState, now: datetime) -> Event:
    if run.state is RunState.RETRYING:
        message = f"Run {run.id}: {run.reason}; the next starts at {run.not_before:%Y-%m-%d %H:%M:%SZ}"
        severity, word = EventSeverity.WARNING, RunState.RETRYING.value
    else:
        message = f"Run {run.id} {_words(state)}" + (f": {run.reason}" if run.reason else "")
        severity, word = _SEVERITIES.get(state, EventSeverity.ERROR), state.value
    return Event(
        time=now,
        severity=severity,
        reason="Run" + word.title().replace("_", ""),
        message=message,
        about=run.deployment,
        revision=run.revision,
    )


def _words(state: RunState) -> str:
    return state.value.replace("_", " ")
