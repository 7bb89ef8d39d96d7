"""The due times that a request names: the schedules that they belong to, and whether their runs have finished."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from controller.errors import ConflictError, UsageError
from controller.model.deployments import Deployment
from controller.model.runs import effective_run
from controller.model.schedules import Schedule
from controller.runs.admission_policy import DueTime
from controller.schedules import find_due_up_to, next_fire_times, shared_zone
from controller.store import Transaction, runs
from controller.time_format import format_time, in_utc

MAX_DUE_TIMES = 50_000
"""The maximum number of due times in the range of a backfill."""
_FIRST = datetime(1, 1, 2, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)


def check_range(deployment: Deployment, since: datetime, until: datetime, now: datetime) -> None:
    """Raise UsageError if [since, until] is not a range of the past. Texts show times in the deployment's time zone."""
    zone = shared_zone(schedule.timezone for schedule in deployment.schedules) or UTC
    start, end, current = (format_time(moment, zone) for moment in (since, until, now))
    if since > now:
        message = f"The range starts in the future: {start} is after now, {current}."
        raise UsageError(message, hint="Pass an earlier start, such as --from yesterday.")
    if until > now:
        message = f"The range ends in the future: {end} is after now, {current}."
        raise UsageError(message, hint="Leave out --to: the range then ends now.")
    if since > until:
        message = f"The range starts after its end: {start} is after {end}."
        raise UsageError(message, hint=f"Swap them: --from '{end}' --to '{start}'.")


def due_times_between(deployment: Deployment, since: datetime, until: datetime) -> Sequence[DueTime]:
    """Return the due times of the active schedules in [since, until], oldest first.

    It may take a second, so call it without a transaction. Raises UsageError if there are too many.
    """
    times = find_due_up_to(deployment.schedules, max(since, _FIRST) - _INSTANT, until, MAX_DUE_TIMES)
    if times is None:
        message = f"{deployment.name} has more than {MAX_DUE_TIMES} due times in this range."
        raise UsageError(message, hint="Choose a shorter range.")
    return times


def find_schedule(deployment: Deployment, due_time: datetime) -> Schedule | None:
    """Return the schedule that is due exactly at this time, or None."""
    times = find_due_up_to(deployment.schedules, due_time - _INSTANT, due_time, 1)
    return times[0][1] if times else None


def schedule_at(deployment: Deployment, due_time: datetime) -> Schedule:
    """Return the schedule that is due exactly at this time. Raises UsageError with the next due time."""
    schedule = find_schedule(deployment, due_time)
    if schedule is not None:
        return schedule
    following = next_fire_times(deployment.schedules, due_time, 1)
    hint = f"The next due time after it is {in_utc(following[0][0])}." if following else None
    raise UsageError(f"{in_utc(due_time)} is not a due time of {deployment.name}.", hint=hint)


def check_finished(tx: Transaction, deployment: str, due_time: datetime) -> None:
    """Raise ConflictError if a run of this due time has not finished."""
    for history in runs.history(tx, deployment, due_time, due_time).values():
        run = effective_run(history)
        if not run.state.is_terminal:
            raise ConflictError(
                f"Run {run.run_id} of this due time has not finished: {run.state}.",
                hint="Wait until it finishes, or cancel it first.",
            )
