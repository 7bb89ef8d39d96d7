"""When does a schedule fire? Pure functions from rules and instants to instants.

Called by `manifests` (parsing and checking), `scheduler` (next fire times), `runs` (missed ones), `reconcile` and
`queries` (previews), and by `cli` and `api` for times that somebody types. It must
not look at the clock, the environment or any file but the time zone database, and materialises nothing.
See docs/schedules.md.
"""

from controller.schedules.ambiguities import ambiguities
from controller.schedules.cron_steps import OddStep, odd_steps
from controller.schedules.describe import describe
from controller.schedules.dst_transitions import MOST as MOST_CHANGES
from controller.schedules.dst_transitions import DstTransition, clock_changes, describe_change
from controller.schedules.due_times import DueTimes, due, due_if_few
from controller.schedules.durations import parse_duration
from controller.schedules.fire_time_search import check, fire_times, next_fire_times
from controller.schedules.instants import parse_moment
from controller.schedules.jitter import jitter_offset
from controller.schedules.natural_language import spoken_length, spoken_schedule
from controller.schedules.parsing import one_zone, parse_time, zone
from controller.schedules.shadowing import shadowed
from controller.schedules.zone_names import FIXED as FIXED_ZONES

__all__ = [
    "FIXED_ZONES",
    "MOST_CHANGES",
    "DstTransition",
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
