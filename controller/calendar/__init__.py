# ruff: noqa: A005 - imports are absolute everywhere, so the standard library's calendar stays reachable
"""When does a schedule fire? Pure functions from rules and instants to instants.

Called by `manifests` (parsing and checking), `scheduling` (next fire times), `runs` (missed ones), `reconcile` and
`views` (previews), and by `cli` and `api` for times that somebody types. It must
not look at the clock, the environment or any file but the time zone database, and materialises nothing.
See docs/schedules.md.
"""

from controller.calendar.ambiguities import ambiguities
from controller.calendar.changes import MOST as MOST_CHANGES
from controller.calendar.changes import ClockChange, clock_changes, describe_change
from controller.calendar.cron_steps import OddStep, odd_steps
from controller.calendar.describing import describe
from controller.calendar.durations import parse_duration
from controller.calendar.firing import check, fire_times, next_fire_times
from controller.calendar.jitter import jitter_offset
from controller.calendar.missed import DueTimes, due, due_if_few
from controller.calendar.moments import parse_moment
from controller.calendar.shadowing import shadowed
from controller.calendar.spoken import spoken_length, spoken_schedule
from controller.calendar.times import one_zone, parse_time, zone
from controller.calendar.zone_names import FIXED as FIXED_ZONES

__all__ = [
    "FIXED_ZONES",
    "MOST_CHANGES",
    "ClockChange",
    "DueTimes",
    "OddStep",
    "ambiguities",
    "check",
    "clock_changes",
    "describe",
    "describe_change",
    "due",
    "due_if_few",
    "fire_times",
    "jitter_offset",
    "next_fire_times",
    "odd_steps",
    "one_zone",
    "parse_duration",
    "parse_moment",
    "parse_time",
    "shadowed",
    "spoken_length",
    "spoken_schedule",
    "zone",
]
