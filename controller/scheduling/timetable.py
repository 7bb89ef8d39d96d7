"""The running timetable: which deployments have a job, and waking up on time for each."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from apscheduler.executors.base import BaseExecutor
from apscheduler.job import Job
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from controller.model.schedules import Agenda, Schedule
from controller.scheduling.jobs import HeapJobStore
from controller.scheduling.trigger import CalendarTrigger


class _Announcer(BaseExecutor):  # type: ignore[misc]
    """An executor that runs nothing: it passes the job's id on, and the run engine does the rest."""

    def __init__(self, fire: Callable[[str], None]) -> None:
        super().__init__()
        self._fire = fire

    def submit_job(self, job: Job, run_times: list[datetime]) -> None:  # noqa: ARG002
        """Say that this deployment is due."""
        self._fire(job.id)

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:  # noqa: ARG002
        raise AssertionError("submit_job does not get here")


class Timetable:
    """A projection of what is in force onto APScheduler. `fire` gets a deployment's name whenever it is due.

    `fire` is called on APScheduler's thread and must return at once.
    """

    def __init__(self, fire: Callable[[str], None]) -> None:
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
        self._projected: dict[str, tuple[Schedule, ...]] = {}
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            jobstores={"default": HeapJobStore()},
            executors={"default": _Announcer(fire)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def start(self) -> None:
        """Begin to fire."""
        self._scheduler.start()

    def wake(self) -> None:
        """Look at the wall clock again: after a suspended machine or a clock step, sleep was measured wrongly."""
        self._scheduler.wakeup()

    def close(self) -> None:
        """Stop firing."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def names(self) -> frozenset[str]:
        """The deployments that have a job now."""
        return frozenset(job.id for job in self._scheduler.get_jobs())

    def project(self, wanted: Mapping[str, Agenda]) -> int:
        """Make the jobs equal to `wanted`; returns how many were added, replaced or removed.

        Idempotent. An agenda whose calendar has ended has no job.
        """
        changed = 0
        for name in self._projected.keys() - wanted.keys():
            self._remove(name)
            changed += 1
        for name, agenda in wanted.items():
            if self._projected.get(name) != agenda.schedules:
                self._put(name, agenda)
                changed += 1
        return changed

    def _put(self, name: str, agenda: Agenda) -> None:
        trigger = CalendarTrigger(agenda.schedules, agenda.after)
        first = trigger.get_next_fire_time(None, agenda.after)
        if first is None:
            self._remove(name)
        else:
            self._scheduler.add_job(_due, trigger, id=name, name=name, next_run_time=first, replace_existing=True)
        self._projected[name] = agenda.schedules

    def _remove(self, name: str) -> None:
        self._projected.pop(name, None)
        try:
            self._scheduler.remove_job(name)
        except JobLookupError:
            return


def _due() -> None:
    """What a job is said to call. The executor announces instead of calling."""
