"""How a run, or one attempt of it, ends in the record: final for ever, or another attempt follows.

Called in a transaction by what ends runs, and after it to log: `monitor` with verdicts, `queue` at a deadline,
`admission` when a later run replaces an earlier one, `operations` to cancel one. Nothing here knows processes.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from controller.model.runs import Run, RunState
from controller.model.status import Event, EventSeverity
from controller.runs.recovery import Finished
from controller.runs.retry_policy import next_start
from controller.store import Transaction, events, occurrences, run_transitions, runs
from controller.store.run_transitions import RunOutcome
from controller.time_format import in_utc

log = logging.getLogger(__name__)

CLOCK_STEP = timedelta(seconds=5)
"""What differs by more between the clock and the measured duration is a clock that was set, not a slow start."""

_SEVERITIES = {RunState.CANCELLED: EventSeverity.INFO, RunState.SKIPPED: EventSeverity.WARNING}


def unreported_outcome(run: Run, state: RunState, reason: str | None, now: datetime) -> RunOutcome:
    """The end of a run that no supervisor wrote down."""
    return RunOutcome(run=run, state=state, reason=reason, finished_at=_not_before_start(run, now))


def outcome_of(run: Run, ended: Finished, now: datetime) -> RunOutcome:
    """The end of a run as its supervisor wrote it down."""
    return RunOutcome(
        run=run,
        state=ended.state,
        reason=ended.reason,
        finished_at=_finished_at(run, ended, now),
        exit_code=ended.exit_code,
        signal=ended.signal,
        result=ended.result,
    )


def _finished_at(run: Run, ended: Finished, now: datetime) -> datetime:
    """When it finished, by the clock that it was started by: a clock that is set meanwhile changes no duration."""
    finished = ended.finished_at or now
    if run.started_at is None or ended.seconds is None:
        return _not_before_start(run, finished)
    by_duration = run.started_at + timedelta(seconds=ended.seconds)
    is_plausible = abs(finished - by_duration) <= CLOCK_STEP and finished >= run.started_at
    return finished if is_plausible else by_duration


def _not_before_start(run: Run, moment: datetime) -> datetime:
    return moment if run.started_at is None else max(moment, run.started_at)


def record_outcomes(tx: Transaction, endings: Sequence[RunOutcome], now: datetime) -> list[Run]:
    """Record these ends; returns the runs as they are then, to be told of once that is on disk.

    What is not in the state any more that its ending was made for is left alone: somebody was first.
    """
    asked = [_as_asked(tx, one) for one in endings]
    again = {one.run.id: start for one in asked if (start := _next_start(one, now)) is not None}
    final = [one for one in asked if one.run.id not in again]
    moved = run_transitions.end(tx, final)
    ended = [(one.state, _at_its_end(one)) for one in final if one.run.id in moved]
    for one in asked:
        if one.run.id in again and (waiting := _retry(tx, one, again[one.run.id])) is not None:
            ended.append((one.state, waiting))
    events.append(tx, [_event(run, state, now) for state, run in ended if state is not RunState.SUCCEEDED])
    return [run for _, run in ended]


def skip(tx: Transaction, run: Run, reason: str, now: datetime) -> Run | None:
    """It has waited and is not run any more; the ledger says so too."""
    occurrences.mark_skipped(tx, run, reason)
    return _finish(tx, run, RunState.SKIPPED, reason, now)


def cancel(tx: Transaction, run: Run, reason: str, now: datetime) -> Run | None:
    """It ends at once if it waits; else what is under way is to be ended, and ends when its supervisor has."""
    if run.state in (RunState.PENDING, RunState.RETRYING):
        return _finish(tx, run, RunState.CANCELLED, reason, now)
    if not run.state.is_terminal and run.cancel_reason is None:
        runs.move(tx, run.id, expect=run.state, to=run.state, cancel_reason=reason)
    return None


def log_outcome(run: Run | None) -> None:
    """Log what has become of a run."""
    if run is None:
        return
    fields = {"deployment": run.deployment, "run": run.id, "reason": run.reason}
    if run.state is RunState.PENDING:
        log.info("Run was not started and is queued again", extra=fields)
    elif run.state is RunState.SUCCEEDED:
        log.info("Run succeeded", extra=fields)
    else:
        log.warning("Run %s", _words(run.state), extra=fields)


def log_observations(run: Run, ended: Finished) -> None:
    """Log what its supervisor saw on the way."""
    fields = {"deployment": run.deployment, "run": run.id}
    if ended.left_behind:
        log.warning("Processes that a flow left behind were killed", extra={**fields, "count": ended.left_behind})
    if ended.dropped_bytes:
        log.warning("Output of a run was dropped", extra={**fields, "bytes": ended.dropped_bytes})
    for limit in ended.unenforced:
        log.warning("A limit of a run can't be enforced on this machine", extra={**fields, "limit": limit})


def _finish(tx: Transaction, run: Run, state: RunState, reason: str | None, now: datetime) -> Run | None:
    return next(iter(record_outcomes(tx, [unreported_outcome(run, state, reason, now)], now)), None)


def _as_asked(tx: Transaction, one: RunOutcome) -> RunOutcome:
    """The ending with what somebody may have asked for since its run was launched: that it be cancelled."""
    may_follow = one.run.retries is not None and one.run.attempt < one.run.attempts
    if (
        one.state is RunState.SUCCEEDED
        or not one.run.is_in_progress
        or not (may_follow or one.state is RunState.CANCELLED)
    ):
        return one
    now = runs.find(tx, one.run.id) or one.run
    reason = now.cancel_reason if one.state is RunState.CANCELLED and now.cancel_reason is not None else one.reason
    return replace(one, run=replace(one.run, cancel_reason=now.cancel_reason), reason=reason)


def _next_start(one: RunOutcome, now: datetime) -> datetime | None:
    return next_start(one.run, one.state, now) if one.run.is_in_progress else None


def _at_its_end(one: RunOutcome) -> Run:
    return replace(one.run, state=one.state, reason=one.reason)


def _retry(tx: Transaction, one: RunOutcome, again: datetime) -> Run | None:
    run = one.run
    said = f"attempt {run.attempt} of {run.attempts} {_words(one.state)}" + (f": {one.reason}" if one.reason else "")
    if not runs.move(tx, run.id, expect=run.state, to=RunState.RETRYING, not_before=again, reason=said):
        return None
    runs.move_attempt(
        tx,
        run.id,
        run.attempt,
        one.state,
        reason=one.reason,
        finished_at=one.finished_at,
        exit_code=one.exit_code,
        signal=one.signal,
    )
    return replace(run, state=RunState.RETRYING, not_before=again, reason=said)


def _event(run: Run, state: RunState, now: datetime) -> Event:
    if run.state is RunState.RETRYING:
        again = "" if run.not_before is None else f"; the next attempt starts at {in_utc(run.not_before)}"
        message = f"Run {run.id}: {run.reason}{again}"
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
