"""Requests about runs, from JSON to `Requests` and back. The control socket asks here; an HTTP API can.

A request names a declared deployment or a run; it can't carry code, a command or a path.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controller.clock import in_utc
from controller.errors import UsageError
from controller.model.runs import Run
from controller.runs.admission import Request
from controller.runs.requests import Backfill, Requests

MOST_BACKFILLED = 1000
MAX_KEY = 200
MAX_REASON = 500


def answer(requests: Requests, request: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The answer to a request about runs; None if it is about something else. Raises ControllerError."""
    key = _key(request.get("idempotency_key"))
    match request:
        case {"command": "trigger", "deployment": str(name), "parameters": dict(parameters)}:
            return _run(requests.trigger(Request(deployment=name, parameters=parameters, idempotency_key=key)))
        case {"command": "cancel", "run_id": str(run_id), "reason": str(reason)}:
            return _run(requests.cancel(run_id, reason_of(reason)))
        case {"command": "retry", "run_id": str(run_id)}:
            return _run(requests.retry(run_id, key))
        case {"command": "backfill", "deployment": str(name), "since": str(since), "until": str(until)}:
            wanted = Backfill(
                deployment=name,
                since=_instant(since),
                until=_instant(until),
                most=_most(request.get("max", 100)),
                dry_run=request.get("dry_run") is True,
            )
            return _backfill(requests, wanted)
    return None


def reason_of(text: str) -> str:
    """Why somebody wants something: one line, which logs, terminals and pages can show. Raises UsageError."""
    words = text.strip()
    if not words or len(words) > MAX_REASON or not words.isprintable():
        raise UsageError(f"A reason is one line of 1 to {MAX_REASON} characters, without control characters.")
    return words


def _backfill(requests: Requests, wanted: Backfill) -> Mapping[str, Any]:
    done = requests.backfill(wanted)
    return {
        "run_ids": [run.id for run in done.runs],
        "times": [time.isoformat().replace("+00:00", "Z") for time in done.times],
        "already_run": done.known,
        "left_out": done.left_out,
    }


def _run(run: Run) -> Mapping[str, Any]:
    return {"run_id": run.id, "state": run.state.value}


def _key(given: Any) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or not 0 < len(given) <= MAX_KEY or not given.isprintable():
        raise UsageError(f"An idempotency key is a line of 1 to {MAX_KEY} characters.")
    return given


def _most(said: Any) -> int:
    if not isinstance(said, int) or not 1 <= said <= MOST_BACKFILLED:
        raise UsageError(f"max is a number from 1 to {MOST_BACKFILLED}.")
    return said


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no date-time.") from error
    if found.tzinfo is None:
        raise UsageError(f"{text!r} has no time zone.")
    return in_utc(found)
