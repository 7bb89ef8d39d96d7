"""Finds the schedule to which a due time belongs. Used by the modules that create or delay runs of due times."""

from datetime import datetime, timedelta

from controller.model.deployments import Deployment
from controller.model.schedules import Schedule
from controller.schedules import find_due_up_to
from controller.store import Transaction, occurrences

INSTANT = timedelta(microseconds=1)


def find_schedule(tx: Transaction, deployment: Deployment, due_time: datetime) -> Schedule | None:
    """Return the active schedule to which a due time belongs; None if there is none.

    A due time of an older schedule belongs to the active one with the same id.
    """
    due = find_due_up_to(deployment.schedules, due_time - INSTANT, due_time, 1, with_excluded=True)
    if due:
        return due[0][1]
    recorded = occurrences.find_schedules(tx, deployment.name, due_time, due_time, 1).get(due_time)
    return next((schedule for schedule in deployment.schedules if schedule.id == recorded), None)
