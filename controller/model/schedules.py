"""Declared schedules. `manifests` builds them, and `controller.schedules` computes their fire times.

A `Schedule` has exactly one rule: `Cron`, `Interval`, `RRule` or `At`. docs/schedules.md describes their meaning.
"""

from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from controller.model.calendars import Calendar, Outside, Shift, Window
from controller.records import dataclass


class Gap(StrEnum):
    """How to treat a fixed local time that a clock change skips."""

    NEXT_VALID = "next_valid"
    SKIP = "skip"
    SHIFT = "shift"


class Repeat(StrEnum):
    """How to treat a fixed local time that occurs twice because of a clock change."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dst:
    """The policy for clock changes. It applies only to fixed local times."""

    gap: Gap = Gap.NEXT_VALID
    repeat: Repeat = Repeat.FIRST


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A crontab(5) expression. With `day_or`, either day-of-month or day-of-week has to match, as in cron."""

    expression: str
    day_or: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A fixed interval, counted from `anchor`.

    `anchor` is naive (a local time in the schedule's time zone) or aware. None means 2020-01-01T00:00 local time.
    """

    every: timedelta
    anchor: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RRule:
    """An RFC 5545 recurrence rule, or a rule set with DTSTART, RRULE, EXDATE and RDATE lines."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """A list of times, each of which fires once. A naive time is a local time in the schedule's time zone."""

    times: tuple[datetime, ...]


Rule = Cron | Interval | RRule | At


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One declared schedule of a deployment.

    Fire times lie between `start` and `end`, both inclusive; naive values are local times in `timezone`. `parameters`
    override those of the deployment, and so does `run_name`. `jitter` is the maximum delay of a run after its due time.

    `shift` moves fire times to business days, which are neither in the calendars `business` nor on a weekend of theirs.
    Due times whose day is in a calendar of `exclude`, or in none of `only` if there are any, start no run. A run starts
    only in one of the `windows`, if there are any; `outside` says what happens to other due times.
    """

    id: str
    rule: Rule
    timezone: str = "UTC"
    dst: Dst = Dst()
    start: datetime | None = None
    end: datetime | None = None
    jitter: timedelta = timedelta()
    suspend: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)
    run_name: str | None = None
    exclude: tuple[Calendar, ...] = ()
    only: tuple[Calendar, ...] = ()
    shift: Shift = Shift.NONE
    business: tuple[Calendar, ...] = ()
    windows: tuple[Window, ...] = ()
    outside: Outside = Outside.WAIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """The active schedules of one deployment, and the instant after which they fire.

    `after` is used only for a new agenda, and when the schedules change; an unchanged agenda continues from its last
    fire time.
    """

    schedules: tuple[Schedule, ...]
    after: datetime
