"""Wakes up when a deployment is due. This is the only package that uses APScheduler.

    timetable = Timetable(fire=engine.notify_due)
    timetable.start()
    timetable.project({"nightly": Agenda(schedules=..., after=cursor)})   # removes the jobs of other deployments

A job is a disposable projection of the applied deployments and can be rebuilt at any time. Firing only announces that
a deployment is due: `runs` decides from the ledger which runs to start.
"""

from controller.scheduler.timetable import Timetable

__all__ = ["Timetable"]
