"""Records the outcome of a run, or of an attempt that is followed by another one, and logs it.

Called in a transaction by everything that ends runs: `monitor` when a flow has ended, `queue` after a deadline,
`admission` when a later run replaces an earlier one, and `operations` to cancel a run. This module does not deal with
processes.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from controller.model.runs import Run, RunOutcome, RunState
from controller.model.status import Event, EventSeverity
from controller.runs.retry_policy import next_start
from controller.store import Transaction, events, run_transitions, runs
from controller.time_format import in_utc

log = logging.getLogger(__name__)

CLOCK_STEP = timedelta(seconds=5)
"""If clock and measured duration differ by more than this, the clock was set; a smaller difference is a slow start."""

_SEVERITIES = {RunState.CANCELLED: EventSeverity.INFO, RunState.SKIPPED: EventSeverity.WARNING}


def record_outcomes(tx: Transaction, outcomes: Iterable[tuple[Run, RunOutcome]], now: datetime) -> list[Run]:
    """Record the outcomes of these runs. Return the updated runs, which the caller logs after the commit.

    A run whose state has changed since its outcome was determined is not updated.
    """
    complete = [_complete(tx, run, outcome, now) for run, outcome in outcomes]
    next_starts = {run.id: start for run, outcome in complete if (start := _next_start(run, outcome, now)) is not None}
    final = [(run, outcome) for run, outcome in complete if run.id not in next_starts]
    moved = run_transitions.end(tx, final)
    ended = [
        (outcome.state, replace(run, state=outcome.state, reason=outcome.reason))
        for run, outcome in final
        if run.id in moved
    ]
    for run, outcome in complete:
        start = next_starts.get(run.id)
        if start is not None and (waiting := _record_retry(tx, run, outcome, start)) is not None:
            ended.append((outcome.state, waiting))
    quiet = {run.id for run, outcome in final if _is_quiet(run, outcome)}
    events.append(tx, [_event(run, state, now) for state, run in ended if run.id not in quiet])
    return [run for _, run in ended]


def is_final(run: Run, outcome: RunOutcome) -> bool:
    """Return whether the run certainly ends with this outcome of its attempt, whatever else has happened to it."""
    return outcome.state is RunState.SUCCEEDED or run.retries is None or run.attempt >= run.attempts


def skip(tx: Transaction, run: Run, reason: str, now: datetime) -> Run | None:
    """Skip a waiting run and its due time. Return the updated run; None if its state has changed."""
    return _finish(tx, run, RunState.SKIPPED, reason, now)


def skip_all(tx: Transaction, reasons: Iterable[tuple[Run, str]], now: datetime) -> list[Run]:
    """Skip waiting runs and their due times, each for its reason. Return the updated runs."""
    outcomes = [(run, RunOutcome(state=RunState.SKIPPED, reason=reason)) for run, reason in reasons]
    return record_outcomes(tx, outcomes, now)


def cancel(tx: Transaction, run: Run, reason: str, now: datetime) -> Run | None:
    """Cancel a run: immediately if it waits, otherwise by recording the reason, so that the engine stops its flow.

    Return the updated run if it ended immediately, otherwise None.
    """
    if run.state in (RunState.PENDING, RunState.RETRYING):
        return _finish(tx, run, RunState.CANCELLED, reason, now)
    if not run.state.is_terminal and run.cancel_reason is None:
        runs.move(tx, run.id, expect=run.state, to=run.state, cancel_reason=reason)
    return None


def queue_again(tx: Transaction, run: Run) -> Run:
    """Return a run to the queue: its attempt has ended, and nothing of it has run."""
    runs.move(tx, run.id, expect=run.state, to=RunState.PENDING, started_at=None)
    return replace(run, state=RunState.PENDING)


def log_outcome(run: Run | None) -> None:
    """Log the new state of a run."""
    if run is None:
        return
    fields = {"deployment": run.deployment, "run": run.id, "reason": run.reason}
    if run.state is RunState.PENDING:
        log.info("Run was not started and is queued again", extra=fields)
    elif run.state is RunState.SUCCEEDED or (run.state is RunState.SKIPPED and run.attempt):
        log.info("Run %s", _words(run.state), extra=fields)
    else:
        log.warning("Run %s", _words(run.state), extra=fields)


def log_observations(run: Run, outcome: RunOutcome) -> None:
    """Log what the supervisor observed: left-behind processes, dropped output, and limits that are not enforced."""
    fields = {"deployment": run.deployment, "run": run.id}
    if outcome.left_behind:
        log.warning("Processes that a flow left behind were killed", extra={**fields, "count": outcome.left_behind})
    if outcome.dropped_bytes:
        log.warning("Output of a run was dropped", extra={**fields, "bytes": outcome.dropped_bytes})
    for limit in outcome.unenforced:
        log.warning("A limit of a run can't be enforced on this machine", extra={**fields, "limit": limit})


def _finish(tx: Transaction, run: Run, state: RunState, reason: str, now: datetime) -> Run | None:
    return next(iter(record_outcomes(tx, [(run, RunOutcome(state=state, reason=reason))], now)), None)


def _is_quiet(run: Run, outcome: RunOutcome) -> bool:
    """Return whether the outcome gets no event: the run succeeded, or its flow had nothing to do."""
    return outcome.state is RunState.SUCCEEDED or (outcome.state is RunState.SKIPPED and run.is_in_progress)


def _complete(tx: Transaction, run: Run, outcome: RunOutcome, now: datetime) -> tuple[Run, RunOutcome]:
    """Add when the run finished, and the reason of a cancellation that was requested after the run was launched."""
    outcome = replace(outcome, finished_at=_finished_at(run, outcome, now))
    may_retry = run.retries is not None and run.attempt < run.attempts
    is_cancelled = outcome.state is RunState.CANCELLED
    if outcome.state is RunState.SUCCEEDED or not run.is_in_progress or not (may_retry or is_cancelled):
        return run, outcome
    cancel_reason = (runs.find(tx, run.id) or run).cancel_reason
    reason = cancel_reason if is_cancelled and cancel_reason is not None else outcome.reason
    return replace(run, cancel_reason=cancel_reason), replace(outcome, reason=reason)


def _finished_at(run: Run, outcome: RunOutcome, now: datetime) -> datetime:
    """Return when the run finished, on the clock of its start, so that setting the clock changes no duration."""
    finished = outcome.finished_at or now
    if run.started_at is None:
        return finished
    if outcome.seconds is None:
        return max(finished, run.started_at)
    by_duration = run.started_at + timedelta(seconds=outcome.seconds)
    is_plausible = abs(finished - by_duration) <= CLOCK_STEP and finished >= run.started_at
    return finished if is_plausible else by_duration


def _next_start(run: Run, outcome: RunOutcome, now: datetime) -> datetime | None:
    return next_start(run, outcome.state, now) if run.is_in_progress else None


def _record_retry(tx: Transaction, run: Run, outcome: RunOutcome, start: datetime) -> Run | None:
    reason = f"attempt {run.attempt} of {run.attempts} {_words(outcome.state)}"
    reason += f": {outcome.reason}" if outcome.reason else ""
    changes = {"not_before": start, "reason": reason, "uncertain_since": None, "uncertain_reason": None}
    if not runs.move(tx, run.id, expect=run.state, to=RunState.RETRYING, **changes):
        return None
    run_transitions.end_attempt(tx, run, outcome)
    return replace(run, state=RunState.RETRYING, not_before=start, reason=reason)


def _event(run: Run, state: RunState, now: datetime) -> Event:
    if run.state is RunState.RETRYING:
        next_attempt = "" if run.not_before is None else f"; the next attempt starts at {in_utc(run.not_before)}"
        message = f"Run {run.id}: {run.reason}{next_attempt}"
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
        deployment=run.deployment,
        run_id=run.id,
        tags=tuple(run.tags),
    )


def _words(state: RunState) -> str:
    return state.value.replace("_", " ")
