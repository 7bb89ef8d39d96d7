"""Observations of deployments, and the keys that failures with the same cause share. Pure; called by `evaluation`."""

from datetime import datetime

from controller.model.failure_cause import cause_key, shared_cause
from controller.model.notifications import RUN_TROUBLES, Trouble
from controller.notify.exit_codes import exit_code_key
from controller.records import dataclass

_MAX_KEY = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """That a deployment, the source or the controller has a trouble at `at`.

    - `key`: troubles with the same key have the same cause, whose text is `cause`.
    - `run_id`: the failed run. Observations of the same run are one failure.
    - `failures`: how many consecutive failures this is; with None, one more than before.
    - `exit_code_key`: the key instead of `key` if many fail with the same exit code; empty if there is a better cause.
    """

    subject: str
    trouble: Trouble
    key: str
    cause: str
    at: datetime
    run_id: str | None = None
    reason: str = ""
    failures: int | None = None
    exit_code_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """That `subject` recovered at `at` from all troubles of this kind; with None, from all, because it was deleted.

    `reason` says why its trouble ended without a success; empty if it recovered.
    """

    subject: str
    kind: str | None
    at: datetime
    reason: str = ""


Observation = Failure | Recovery


DEADLINE = "deadline"
"""The kind of missed deadlines."""
_DEADLINES = (Trouble.LATE, Trouble.OVERDUE)


def kind(trouble: Trouble) -> str:
    """Return the kind of a trouble.

    A success ends all troubles of runs, so these are one kind. So are missed deadlines: a run that starts too late
    often finishes too late, which needs no other message.
    """
    if trouble in _DEADLINES:
        return DEADLINE
    return "run" if trouble in RUN_TROUBLES else trouble.value


def deadlines_with(trouble: Trouble) -> tuple[Trouble, ...]:
    """Return all deadlines if this is a missed one, as they share an incident; otherwise only this trouble."""
    return _DEADLINES if trouble in _DEADLINES else (trouble,)


def run_failure(
    deployment: str, trouble: Trouble, *, reason: str, at: datetime, run_id: str, failures: int | None = None
) -> Failure:
    """Return the failure of a run. Its cause is the error that others may share, or else the run's reason."""
    shared = cause_key(reason)
    return Failure(
        subject=deployment,
        trouble=trouble,
        key=f"failed/{shared[:_MAX_KEY]}" if shared else f"failed/{deployment}",
        cause=shared_cause(reason) or reason,
        at=at,
        run_id=run_id,
        reason=reason,
        failures=failures,
        exit_code_key="" if shared else exit_code_key(reason),
    )
