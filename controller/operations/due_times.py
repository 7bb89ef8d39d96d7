"""The due times that a request names: the schedules that they belong to, and whether their runs have finished."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from controller.errors import ConflictError, UsageError
from controller.model.deployments import Deployment
from controller.model.schedules import Schedule
from controller.runs.admission_policy import DueTime
from controller.schedules import find_due_up_to, next_fire_times
from controller.store import Transaction, runs
from controller.time_format import in_utc

MAX_DUE_TIMES = 50_000
"""The maximum number of due times in the range of a backfill."""
_FIRST = datetime(1, 1, 2, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)


def due_times_between(deployment: Deployment, since: datetime, until: datetime) -> Sequence[DueTime]:
    """Return the due times of the active schedules in [since, until], oldest first.

    It may take a second, so call it without a transaction. Raises UsageError if there are too many.
    """
    times = find_due_up_to(deployment.schedules, max(since, _FIRST) - _INSTANT, until, MAX_DUE_TIMES)
    if times is None:
        message = f"{deployment.name} has more than {MAX_DUE_TIMES} due times in this range."
        raise UsageError(message, hint="Choose a shorter range.")
    return times


def schedule_at(deployment: Deployment, due_time: datetime) -> Schedule:
    """Return the schedule that is due exactly at this time. Raises UsageError with the next due time."""
    times = find_due_up_to(deployment.schedules, due_time - _INSTANT, due_time, 1)
    if times:
        return times[0][1]
    following = next_fire_times(deployment.schedules, due_time, 1)
    hint = f"The next due time after it is {in_utc(following[0][0])}." if following else None
    raise UsageError(f"{in_utc(due_time)} is not a due time of {deployment.name}.", hint=hint)


def check_finished(tx: Transaction, deployment: str, due_time: datetime) -> None:
    """Raise ConflictError if a run of this due time has not finished."""
    history = runs.history(tx, deployment, due_time, due_time)
    for run in history.get(due_time, []):
        if not run.state.is_terminal:
            raise ConflictError(
                f"Run {run.run_id} of this due time has not finished: {run.state.public}.",
                hint="Wait until it finishes, or cancel it first.",
            )
