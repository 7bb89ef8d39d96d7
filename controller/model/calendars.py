"""Calendars, and how a schedule uses them. `manifests` builds them, and `controller.schedules` evaluates them.

A calendar is a set of days. The days are those of the time zone of the schedule that uses the calendar.
"""

from collections.abc import Mapping
from datetime import date, time
from enum import StrEnum

from controller.records import dataclass

WEEKEND = frozenset({5, 6})
"""Saturday and Sunday, with Monday as 0."""


class Shift(StrEnum):
    """Where a fire time moves whose day is not a business day."""

    NONE = "none"
    NEXT = "next_business_day"
    PREVIOUS = "previous_business_day"


class Outside(StrEnum):
    """How to treat a due time outside of the windows of its schedule."""

    WAIT = "wait"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holidays:
    """The holidays of a country (`DE`), a part of a country (`DE-BY`) or a financial market (`XNYS`).

    Without `categories`, these are the public holidays. The `holidays` package documents the others.
    """

    code: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HolidayData:
    """The holidays that a version of the package has from 1 January of `first_year` on, with their names by day."""

    version: str
    first_year: int
    days: Mapping[Holidays, Mapping[date, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DateRange:
    """The days from `first` to `last`, both inclusive, with an optional `name`.

    With `rrule`, an RFC 5545 rule, the range repeats: one begins at `first`, and one on each further day of the rule
    except those in `exdates`.
    """

    first: date
    last: date
    name: str = ""
    rrule: str = ""
    exdates: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """A named set of days: `holidays`, or else the days of `dates`.

    A business day is a day that is neither in the calendar nor on one of the weekdays `weekend` (Monday is 0).
    """

    name: str
    holidays: Holidays | None = None
    dates: tuple[DateRange, ...] = ()
    weekend: frozenset[int] = WEEKEND

    def __hash__(self) -> int:
        """Return a hash that takes no time for a long list of dates."""
        return hash((self.name, self.holidays, len(self.dates), self.dates[:1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The hours from `start` to `end`, exclusive, on the days in `weekdays` (Monday is 0).

    A window whose `end` is not after its `start` ends on the following day; `end` is 00:00 for the end of the day.
    """

    weekdays: frozenset[int]
    start: time
    end: time
