"""When is which deployment due? The only package that knows APScheduler.

    timetable = Timetable(fire=engine.notify_due)
    timetable.start()
    timetable.project({"nightly": Agenda(schedules=..., after=cursor)})   # what should be there; the rest goes

A job is a disposable projection of what is in force and can be rebuilt at any time. Firing says only "this
deployment has something due": `runs` decides what, from the ledger.
"""

from controller.scheduler.timetable import Timetable

__all__ = ["Timetable"]
