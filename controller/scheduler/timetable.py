"""Keeps one APScheduler job per deployment and calls the engine when a deployment is due. `app` starts it."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from apscheduler.executors.base import BaseExecutor
from apscheduler.job import Job
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from controller.clock import Clock, SystemClock
from controller.model.schedules import Agenda, Schedule
from controller.scheduler.jobs import HeapJobStore
from controller.scheduler.schedule_trigger import ScheduleTrigger

OVERLAP = timedelta(seconds=30)
"""After the clock was set back, jobs count from this long before now: longer than it takes to detect the jump."""
_NEVER = datetime.max.replace(tzinfo=UTC)
SOON = timedelta(seconds=25)
"""How long before a due time its code is exported: more than twice the interval at which `app` checks this."""
TOLERANCE = timedelta(seconds=1)
"""A job may count from at most this long after now: the due times until then have been announced already."""


class _Announcer(BaseExecutor):  # type: ignore[misc]
    """An executor that runs no code: it passes the id of the job to the run engine.

    `latest` is the latest time from which a job that was announced counts.
    """

    def __init__(self, fire: Callable[[str], None]) -> None:
        super().__init__()
        self._fire = fire
        self.latest = datetime.min.replace(tzinfo=UTC)

    def submit_job(self, job: Job, run_times: list[datetime]) -> None:  # noqa: ARG002
        """Announce that this deployment is due."""
        if isinstance(job.trigger, ScheduleTrigger):
            self.latest = max(self.latest, job.trigger.counted_from)
        self._fire(job.id)

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:  # noqa: ARG002
        raise AssertionError("submit_job is overridden and never calls this")


class Timetable:
    """Projects the applied deployments onto APScheduler jobs, and calls `fire` with a name when a deployment is due.

    `fire` is called on APScheduler's thread and must return immediately.
    """

    def __init__(self, fire: Callable[[str], None], clock: Clock | None = None) -> None:
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
        self._clock = clock or SystemClock()
        self._projected: dict[str, tuple[Schedule, ...]] = {}
        self._triggers: dict[str, ScheduleTrigger] = {}
        self._lock = threading.Lock()
        self._store = HeapJobStore()
        self._announcer = _Announcer(fire)
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            jobstores={"default": self._store},
            executors={"default": self._announcer},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def start(self) -> None:
        """Start firing."""
        self._scheduler.start()

    def wake(self, now: datetime) -> None:
        """Re-read the wall clock after the machine was suspended or the clock jumped, when a wait has a wrong length.

        If the clock was set back, each job that counts from a later time counts from shortly before `now` again.
        Firing twice for a due time does no harm. Jobs are looked at only if one counts from a later time.
        """
        with self._lock:
            if self._announcer.latest <= now + TOLERANCE:
                self._scheduler.wakeup()
                return
            self._announcer.latest = now + TOLERANCE
            future = [name for name, trigger in self._triggers.items() if trigger.counted_from > now + TOLERANCE]
            self._replace_jobs({name: Agenda(schedules=self._projected[name], after=now) for name in future})
        self._scheduler.wakeup()

    def is_due_soon(self) -> bool:
        """Return whether a deployment may be due within `SOON`."""
        earliest = self._store.earliest()
        return earliest is not None and earliest <= self._clock.now() + SOON

    @property
    def is_started(self) -> bool:
        """Whether deployments are announced when they are due."""
        return bool(self._scheduler.running)

    def close(self) -> None:
        """Stop firing."""
        if self.is_started:
            self._scheduler.shutdown(wait=False)

    def project(self, agendas: Mapping[str, Agenda], removed: Iterable[str] | None = None) -> list[str]:
        """Make the jobs match `agendas`, and remove all others. With `removed`, remove only the jobs of these names.

        Idempotent. A deployment whose schedules have ended has no job. Jobs are added in the order in which they are
        due. Return the names whose job other code changed.
        """
        with self._lock:
            drifted = self._find_drift() if removed is None else []
            for name in drifted:
                self._remove_job(name)
            obsolete = [name for name in (list(self._projected) if removed is None else removed) if name not in agendas]
            for name in obsolete:
                self._remove_job(name)
            self._replace_jobs(
                {name: agenda for name, agenda in agendas.items() if self._projected.get(name) != agenda.schedules}
            )
        return drifted

    def _find_drift(self) -> list[str]:
        """Return the names whose jobs differ from the projection; a job that ended by itself does not differ."""
        if not self.is_started:
            return []
        jobs = self._store.jobs()
        now = self._clock.now()
        foreign = [name for name in jobs if name not in self._triggers]
        return foreign + [
            name
            for name, trigger in self._triggers.items()
            if ((job := jobs.get(name)) is None and not trigger.has_ended)
            or (job is not None and not _is_intact(job, trigger, now))
        ]

    def _replace_jobs(self, agendas: Mapping[str, Agenda]) -> None:
        """Replace the jobs of these names, those that are due first before all others."""
        now = self._clock.now()
        self._announcer.latest = max(self._announcer.latest, now)
        triggers = _start_triggers(agendas, now)
        for name in sorted(triggers, key=lambda name: triggers[name].upcoming or _NEVER):
            trigger = triggers[name]
            first = trigger.upcoming
            if name in self._projected or first is None:  # a job that other code added is replaced below
                self._remove_job(name)
            if first is not None:
                self._scheduler.add_job(_noop, trigger, id=name, name=name, next_run_time=first, replace_existing=True)
            self._projected[name], self._triggers[name] = agendas[name].schedules, trigger

    def _remove_job(self, name: str) -> None:
        self._projected.pop(name, None)
        self._triggers.pop(name, None)
        with suppress(JobLookupError):
            self._scheduler.remove_job(name)


def _start_triggers(agendas: Mapping[str, Agenda], now: datetime) -> dict[str, ScheduleTrigger]:
    """Return triggers that know their first fire time, which is computed once for agendas that share it."""
    started: dict[tuple[int, datetime], ScheduleTrigger] = {}
    triggers: dict[str, ScheduleTrigger] = {}
    for name, agenda in agendas.items():
        # A cursor after now was written while the clock was ahead; count from shortly before now instead.
        after = agenda.after if agenda.after < now else now - OVERLAP
        trigger = triggers[name] = ScheduleTrigger(agenda.schedules, after)
        same = started.setdefault((id(agenda.schedules), after), trigger)
        if same is trigger:
            trigger.get_next_fire_time(None, after)
        else:
            trigger.start_like(same)
    return triggers


def _is_intact(job: Job, trigger: ScheduleTrigger, now: datetime) -> bool:
    """Return whether a job is unchanged, and waits no longer than its schedules require."""
    due: datetime | None = job.next_run_time
    is_unchanged = job.trigger is trigger and job.func is _noop
    return is_unchanged and due is not None and not trigger.would_miss(due, now)


def _noop() -> None:
    """Serve as the function of every job. The executor announces the job instead of calling it."""
