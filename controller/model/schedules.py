"""What a schedule says, as data. `manifests` builds it, `schedules` computes its fire times.

One `Schedule` has exactly one rule: `Cron`, `Interval`, `RRule` or `At`. See docs/schedules.md for the meaning.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class Gap(StrEnum):
    """What happens to a fixed local time that a clock change leaves out."""

    NEXT_VALID = "next_valid"
    SKIP = "skip"
    SHIFT = "shift"


class Repeat(StrEnum):
    """What happens to a fixed local time that a clock change makes happen twice."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dst:
    """The policy at clock changes. It applies to fixed clock times only."""

    gap: Gap = Gap.NEXT_VALID
    repeat: Repeat = Repeat.FIRST


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A crontab(5) expression; with `day_or` day-of-month and day-of-week are alternatives, as cron has it."""

    expression: str
    day_or: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Every so long, counted from `anchor`.

    `anchor` is naive (a local time of the schedule's zone) or aware; None is 2020-01-01T00:00 local time.
    """

    every: timedelta
    anchor: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RRule:
    """An RFC 5545 recurrence rule, or a rule set with DTSTART, RRULE, EXDATE and RDATE lines."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """Once at each of these times; a naive one is a local time of the schedule's zone."""

    times: tuple[datetime, ...]


Rule = Cron | Interval | RRule | At


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One declared schedule of a deployment.

    `start` and `end` (both inclusive; naive means local to `timezone`) bound the fire times. `parameters` are
    merged over the deployment's. `jitter` is how much later than its time an occurrence starts at most.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """What fires for one deployment: its active schedules, counted after an instant.

    `after` matters when the agenda is new or its schedules changed; one that goes on keeps its own count.
    """

    schedules: tuple[Schedule, ...]
    after: datetime
