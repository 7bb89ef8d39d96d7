"""The due times that a request names: the schedules that they belong to, and whether their runs have finished."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from controller.errors import ConflictError, UsageError
from controller.model.deployments import Deployment
from controller.model.schedules import Schedule
from controller.runs.admission_policy import DueTime
from controller.runs.due_schedules import find_schedule
from controller.schedules import find_due_up_to, find_latest_due, next_fire_times, shared_zone
from controller.store import Transaction, occurrences
from controller.time_format import format_time

MAX_DUE_TIMES = 50_000
"""The maximum number of due times in the range of a backfill."""
_FIRST = datetime(1, 1, 2, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)
_SEARCHED = timedelta(days=366)


def check_range(deployment: Deployment, since: datetime, until: datetime, now: datetime) -> None:
    """Raise UsageError if [since, until] is not a range of the past. Texts show times in the deployment's time zone."""
    zone = shared_zone(deployment.zones) or UTC
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
        raise too_many_due_times(deployment.name)
    return times


def too_many_due_times(name: str) -> UsageError:
    """Return the error for a range with more than `MAX_DUE_TIMES`."""
    return UsageError(f"{name} has more than {MAX_DUE_TIMES} due times in this range.", hint="Choose a shorter range.")


def schedule_at(tx: Transaction, deployment: Deployment, due_time: datetime, now: datetime) -> Schedule | None:
    """Return the active schedule to which a due time belongs; None if there is none.

    Raises UsageError with the next past due time, else the last one before it, if the deployment has schedules, but
    none of them is due at this time, and the ledger has no due time of an older schedule.
    """
    schedule = find_schedule(tx, deployment, due_time)
    if schedule is not None or not deployment.schedules:
        return schedule
    if occurrences.recorded_times(tx, deployment.name, due_time, due_time):
        return None
    zone = shared_zone(deployment.zones) or UTC
    text = (
        f"{format_time(due_time, zone)} is not a due time of {deployment.name}, and was none under an older schedule."
    )
    raise UsageError(text, hint=_nearest_past_due_time(deployment, due_time, now, zone))


def _nearest_past_due_time(deployment: Deployment, time: datetime, now: datetime, zone: tzinfo) -> str | None:
    following = next_fire_times(deployment.schedules, time, 1)
    if following and following[0][0] <= now:
        return f"The next due time after it is {format_time(following[0][0], zone)}."
    previous = find_latest_due(deployment.schedules, max(time, _FIRST + _SEARCHED) - _SEARCHED, time)
    return None if previous is None else f"The last due time before it is {format_time(previous, zone)}."


def check_finished(tx: Transaction, deployment: str, due_time: datetime) -> None:
    """Raise ConflictError if a run of this due time has not finished."""
    for run in occurrences.find_unfinished(tx, deployment, due_time, due_time).values():
        raise ConflictError(
            f"Run {run.run_id} of this due time has not finished: {run.state.public}.",
            hint="Wait until it finishes, or cancel it first.",
        )
