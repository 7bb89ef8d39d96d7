"""Finds the schedule to which a due time belongs. Used by the modules that create or delay runs of due times."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from controller.model.deployments import Deployment
from controller.model.schedules import Schedule
from controller.schedules import find_due_up_to
from controller.store import Transaction, upstream_lookup

INSTANT = timedelta(microseconds=1)


def find_schedule(tx: Transaction, deployment: Deployment, due_time: datetime) -> Schedule | None:
    """Return the active schedule to which a due time belongs; None if there is none.

    A due time of an older schedule belongs to the active one with the same id.
    """
    return find_schedules(tx, [(deployment, due_time)])[0]


def find_schedules(tx: Transaction, due_times: Sequence[tuple[Deployment, datetime]]) -> list[Schedule | None]:
    """Return the active schedule to which each of these due times belongs, with at most one statement."""
    active = [_find_active(deployment, due_time) for deployment, due_time in due_times]
    pairs = list(zip(due_times, active, strict=True))
    older = {(deployment.name, due_time) for (deployment, due_time), schedule in pairs if schedule is None}
    recorded = upstream_lookup.find_recorded(tx, older)
    found: list[Schedule | None] = []
    for (deployment, due_time), schedule in pairs:
        row = recorded.get((deployment.name, due_time))
        of_id = (each for each in deployment.schedules if row is not None and each.id == row.schedule)
        found.append(schedule or next(of_id, None))
    return found


def _find_active(deployment: Deployment, due_time: datetime) -> Schedule | None:
    due = find_due_up_to(deployment.schedules, due_time - INSTANT, due_time, 1, with_excluded=True)
    return due[0][1] if due else None
