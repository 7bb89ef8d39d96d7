"""Computes when a channel takes messages: outside its quiet hours, and only at the time of its digest if it has one.

`delivery` calls it before each attempt, so that a change of `notify.yaml` also applies to messages that wait. Pure
functions on instants; all local times are resolved in the time zone of the channel.
"""

from datetime import datetime, time, timedelta

from controller import schedules
from controller.model.notifications import Channel, QuietHours
from controller.model.schedules import Dst
from controller.schedules.dst import instants_of

_DAY = timedelta(days=1)


def sending_time(channel: Channel, created_at: datetime, earliest: datetime) -> datetime:
    """Return the first time, not before `earliest`, at which the channel takes a message that was created then."""
    if channel.digest is not None:
        earliest = max(earliest, next_digest(channel.digest, channel.timezone, created_at))
    return earliest if channel.quiet is None else quiet_end(channel.quiet, earliest) or earliest


def next_digest(at: time, timezone: str, after: datetime) -> datetime:
    """Return the first time of a daily digest that is not before `after`."""
    zone = schedules.zone(timezone)
    day = after.astimezone(zone).replace(tzinfo=None, fold=0)
    for days in range(-1, 3):
        [instant] = instants_of(datetime.combine(day.date() + days * _DAY, at), zone, Dst())
        if instant >= after:
            return instant
    raise AssertionError("a day lasts less than two days")


def quiet_end(quiet: QuietHours, now: datetime) -> datetime | None:
    """Return the end of the quiet hours in which `now` is; None if it is in none.

    They begin when the clock first shows their start, and end when it first shows their end, so that they cover each
    instant at most once when clocks are set back.
    """
    zone = schedules.zone(quiet.timezone)
    today = now.astimezone(zone).date()
    for day in (today - _DAY, today):
        [start] = instants_of(datetime.combine(day, quiet.start), zone, Dst())
        last = day if quiet.end > quiet.start else day + _DAY
        [end] = instants_of(datetime.combine(last, quiet.end), zone, Dst())
        if start <= now < end:
            return end
    return None
