"""How ends of runs are recorded and told. Called by the watchlist, within its transaction and after it."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from controller.model.runs import Run, RunState
from controller.model.status import Event, EventSeverity
from controller.runs.verdict import Ended
from controller.store import Transaction, events, turns
from controller.store.turns import Ending

log = logging.getLogger(__name__)


def ending(run: Run, state: RunState, reason: str | None, now: datetime) -> Ending:
    """The end of a run that no supervisor wrote down."""
    return Ending(run=run, state=state, reason=reason, finished_at=now)


def ending_of(run: Run, ended: Ended, now: datetime) -> Ending:
    """The end of a run as its supervisor wrote it down."""
    return Ending(
        run=run,
        state=ended.state,
        reason=ended.reason,
        finished_at=ended.finished_at or now,
        exit_code=ended.exit_code,
        signal=ended.signal,
        result=ended.result,
    )


def record(tx: Transaction, endings: Sequence[Ending], now: datetime) -> list[Run]:
    """Record these outcomes; returns the runs as they ended, to be told of once that is on disk."""
    moved = turns.end(tx, endings)
    done = [one for one in endings if one.run.id in moved]
    events.append(tx, [_event(one, now) for one in done if one.state is not RunState.SUCCEEDED])
    return [replace(one.run, state=one.state, reason=one.reason) for one in done]


def tell(run: Run) -> None:
    """Log what has become of a run."""
    fields = {"deployment": run.deployment, "run": run.id, "reason": run.reason}
    if run.state is RunState.PENDING:
        log.info("Run was not started; it is queued again", extra=fields)
    elif run.state is RunState.SUCCEEDED:
        log.info("Run succeeded", extra=fields)
    else:
        log.warning("Run %s", _words(run.state), extra=fields)


def note(run: Run, ended: Ended) -> None:
    """Log what its supervisor saw on the way."""
    fields = {"deployment": run.deployment, "run": run.id}
    if ended.left_behind:
        log.warning("Processes that a flow left behind were killed", extra={**fields, "count": ended.left_behind})
    if ended.dropped_bytes:
        log.warning("Output of a run was dropped", extra={**fields, "bytes": ended.dropped_bytes})
    for limit in ended.unenforced:
        log.warning("A limit of a run can't be enforced here", extra={**fields, "limit": limit})


def _event(one: Ending, now: datetime) -> Event:
    message = f"Run {one.run.id} {_words(one.state)}" + (f": {one.reason}" if one.reason else "")
    return Event(
        time=now,
        severity=EventSeverity.ERROR,
        reason="Run" + one.state.value.title().replace("_", ""),
        message=message,
        about=one.run.deployment,
        revision=one.run.revision,
    )


def _words(state: RunState) -> str:
    return state.value.replace("_", " ")
