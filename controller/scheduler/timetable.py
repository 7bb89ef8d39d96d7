"""The running timetable: which deployments have a job, and waking up on time for each."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.executors.base import BaseExecutor
from apscheduler.job import Job
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from controller.clock import Clock, SystemClock
from controller.model.schedules import Agenda, Schedule
from controller.scheduler.jobs import HeapJobStore
from controller.scheduler.trigger import CalendarTrigger

OVERLAP = timedelta(seconds=30)
"""How far before a clock that was set back jobs count from: longer than it takes to notice."""
TOLERANCE = timedelta(seconds=1)
"""A job may count from so much later than now: its due times until then were announced when the clock was there."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Projected:
    """How many jobs were added, replaced or removed, and the names whose job somebody else had changed."""

    changed: int
    drifted: tuple[str, ...]


class Timetable:
    """A projection of what is in force onto APScheduler. `fire` gets a deployment's name whenever it is due.

    `fire` is called on APScheduler's thread and must return at once.
    """

    def __init__(self, fire: Callable[[str], None], clock: Clock | None = None) -> None:
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
        self._clock = clock or SystemClock()
        self._projected: dict[str, tuple[Schedule, ...]] = {}
        self._triggers: dict[str, CalendarTrigger] = {}
        self._lock = threading.Lock()
        self._store = HeapJobStore()
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            jobstores={"default": self._store},
            executors={"default": _Announcer(fire)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def start(self) -> None:
        """Begin to fire."""
        self._scheduler.start()

    def wake(self, now: datetime) -> None:
        """Look at the wall clock again: after a suspended machine or a clock step, sleep was measured wrongly.

        If it was set back, each job that counts from a later time counts from a little before now again. What it fires
        twice does no harm.
        """
        with self._lock:
            ahead = [name for name, trigger in self._triggers.items() if trigger.counted_from > now + TOLERANCE]
            for name in ahead:
                self._put(name, Agenda(schedules=self._projected[name], after=now))
        self._scheduler.wakeup()

    def close(self) -> None:
        """Stop firing."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def names(self) -> frozenset[str]:
        """The deployments that have a job now."""
        return frozenset(job.id for job in self._scheduler.get_jobs())

    def project(self, wanted: Mapping[str, Agenda], gone: Iterable[str] | None = None) -> Projected:
        """Make the jobs equal to `wanted`. With `gone`: make them so for these names, remove those, see to no others.

        Idempotent. An agenda whose calendar has ended has no job.
        """
        with self._lock:
            drifted = self._drifted() if gone is None else []
            for name in drifted:
                self._remove(name)
            leaving = [name for name in (list(self._projected) if gone is None else gone) if name not in wanted]
            for name in leaving:
                self._remove(name)
            changed = [name for name, agenda in wanted.items() if self._projected.get(name) != agenda.schedules]
            for name in changed:
                self._put(name, wanted[name])
        return Projected(changed=len(leaving) + len(changed), drifted=tuple(drifted))

    def _drifted(self) -> list[str]:
        """What differs between the jobs and what was projected; a job that ended by itself does not."""
        if not self._scheduler.running:
            return []
        jobs = self._store.jobs()
        known = self._triggers
        now = self._clock.now()
        foreign = [name for name in jobs if name not in known]
        return foreign + [
            name
            for name, trigger in known.items()
            if ((job := jobs.get(name)) is None and not trigger.has_ended)
            or (job is not None and not _is_ours(job, trigger, now))
        ]

    def _put(self, name: str, agenda: Agenda) -> None:
        now = self._clock.now()
        # Accounted for past now, or as good as: a clock that was ahead has said so.
        after = agenda.after if agenda.after < now else now - OVERLAP
        trigger = CalendarTrigger(agenda.schedules, after)
        first = trigger.get_next_fire_time(None, after)
        self._remove(name)
        if first is not None:
            self._scheduler.add_job(_due, trigger, id=name, name=name, next_run_time=first, replace_existing=True)
        self._projected[name], self._triggers[name] = agenda.schedules, trigger

    def _remove(self, name: str) -> None:
        self._projected.pop(name, None)
        self._triggers.pop(name, None)
        with suppress(JobLookupError):
            self._scheduler.remove_job(name)


def _is_ours(job: Job, trigger: CalendarTrigger, now: datetime) -> bool:
    """Whether a job is as it was made, and waits for no later time than its calendar says."""
    due: datetime | None = job.next_run_time
    is_unchanged = job.trigger is trigger and job.func is _due
    return is_unchanged and due is not None and not trigger.passes_over(due, now)


def _due() -> None:
    """What a job is said to call. The executor announces instead of calling."""
