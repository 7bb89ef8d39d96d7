"""Computes when schedules fire: pure functions from rules and instants to instants.

Called by `manifests` (parsing and validation), `scheduler` (next fire times), `runs` (missed fire times), `reconcile`
and `queries` (previews), and by `cli` and `api` to parse times that users type. The package must not read the clock,
the environment, or any file except the time zone database and the holidays package, and it stores no fire times. See
docs/schedules.md.
"""

from controller.schedules.ambiguities import find_ambiguities
from controller.schedules.cron_steps import SuspiciousStep, find_suspicious_steps
from controller.schedules.describe import describe
from controller.schedules.dst_transitions import (
    MAX_TRANSITIONS,
    DstTransition,
    describe_transition,
    find_dst_transitions,
)
from controller.schedules.due_times import DueTimes, find_due, find_due_up_to, find_latest_due, find_skipped
from controller.schedules.durations import parse_duration
from controller.schedules.exclusions import (
    EXCLUSIONS,
    find_exclusion,
    is_exclusion,
    window_exclusion,
    window_opening,
)
from controller.schedules.fire_time_search import check_schedule, fire_times, next_fire_times
from controller.schedules.instants import parse_moment
from controller.schedules.jitter import jitter_offset
from controller.schedules.parsing import parse_time, shared_zone, zone
from controller.schedules.shadowing import find_shadowed
from controller.schedules.windows import parse_clock, parse_weekdays
from controller.schedules.zone_names import FIXED as FIXED_ZONES

__all__ = [
    "EXCLUSIONS",
    "FIXED_ZONES",
    "MAX_TRANSITIONS",
    "DstTransition",
    "DueTimes",
    "SuspiciousStep",
    "check_schedule",
    "describe",
    "describe_transition",
    "find_ambiguities",
    "find_dst_transitions",
    "find_due",
    "find_due_up_to",
    "find_exclusion",
    "find_latest_due",
    "find_shadowed",
    "find_skipped",
    "find_suspicious_steps",
    "fire_times",
    "is_exclusion",
    "jitter_offset",
    "next_fire_times",
    "parse_clock",
    "parse_duration",
    "parse_moment",
    "parse_time",
    "parse_weekdays",
    "shared_zone",
    "window_exclusion",
    "window_opening",
    "zone",
]
