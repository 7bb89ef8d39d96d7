"""Translates texts such as `every weekday`, `@quarterly`, `timedelta(hours=1)` or `Mon..Fri 09:00` into schedule keys.

Called by `foreign_crons` and `durations` to write hints, and by `manifests` for schedules that are not mappings. It
understands English phrases, the schedule names of other programs, and the calendar events of systemd timers.
"""

import re

ScheduleKeys = dict[str, str | bool]
"""The keys of a schedule with their values."""

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMED = {
    "minutely every_minute": "* * * * *",
    "every_5_minutes 5_minutes": "*/5 * * * *",
    "every_10_minutes 10_minutes": "*/10 * * * *",
    "every_15_minutes 15_minutes quarter_hourly": "*/15 * * * *",
    "every_30_minutes 30_minutes half_hourly": "*/30 * * * *",
    "hourly": "@hourly",
    "daily everyday": "@daily",
    "midnight nightly": "@midnight",
    "noon": "0 12 * * *",
    "weekday weekdays every_weekday": "0 0 * * mon-fri",
    "weekend weekends every_weekend": "0 0 * * sat,sun",
    "weekly": "@weekly",
    "monthly every_month": "@monthly",
    "quarterly every_quarter": "0 0 1 */3 *",
    "semiannually semi_annually biannually": "0 0 1 1,7 *",
    "yearly annually every_year": "@yearly",
}
_BY_NAME = {name: cron for names, cron in _NAMED.items() for name in names.split()}
_SYSTEMD = {"weekly": "0 0 * * mon"}
_EVERY = re.compile(r"@?every\s+(?:(\d+(?:\.\d+)?)\s*)?([a-z]+)(?:\s+(?:at\s+)?(\S+))?", re.ASCII)
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("w", "wk", "week", "weeks"), "w"),
}
_ORDER = "wdhms"
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)(?:\s*,?\s*(?:and\s+)?)", re.ASCII)
_CAPITAL_M = re.compile(r"\d\s*M(?![a-zA-Z])", re.ASCII)
"""It could mean minutes or months."""
_DELTA = re.compile(r"(?:datetime\.)?timedelta\(([\w=.,\s]*)\)", re.ASCII)
_PART = re.compile(r"\s*(\w+)\s*=\s*(\d+(?:\.\d+)?)\s*", re.ASCII)
_CLOCK = re.compile(r"(?:at\s+)?(\d{1,2})(?::(\d\d))?(?::00)?\s*(am|pm)?(?:\s+(?:daily|every\s*day))?", re.ASCII)
_DAILY = re.compile(r"(?:daily|every\s*day)\s+(?:at\s+)?")
_WEEKDAY = r"(?:sun|mon|tue|wed|thu|fri|sat)[a-z]*"
_EVENT = re.compile(
    rf"(?:(?P<days>{_WEEKDAY}(?:(?:\.\.|,){_WEEKDAY})*)\s*)?"
    r"(?:(?:\*-)?(?P<month>[\d*,./]+)-(?P<day>[\d*,./]+)(?:\s+|$))?"
    r"(?:(?P<hour>[\d*,./]+):(?P<minute>[\d*,./]+)(?::0{1,2})?)?(?:\s+(?P<zone>[A-Za-z]+(?:/\w+)*))?",
    re.ASCII | re.IGNORECASE,
)


def parse_natural_schedule(text: str, *, systemd: bool = False) -> ScheduleKeys | None:
    """Return the keys of the schedule that `text` describes, or None if it is not understood.

    With `systemd`, the text is the value of `OnCalendar=`, where weeks begin on Monday.
    """
    plain = " ".join(text.lower().removeprefix("oncalendar=").split())
    if len(plain) > 100 or _CAPITAL_M.search(text):
        return None
    name = plain.removeprefix("@").replace(" ", "_").replace("-", "_")
    if systemd and name in _SYSTEMD:
        return {"cron": _SYSTEMD[name]}
    if name in _BY_NAME:
        return {"cron": _BY_NAME[name]}
    event = " ".join(text.removeprefix("OnCalendar=").split())
    return _parse_every(plain) or _parse_clock(plain) or _parse_calendar_event(event)


def parse_natural_duration(text: str) -> str | None:
    """Rewrite a text such as `10 minutes` or `timedelta(hours=1)` as a duration; None if it is not understood."""
    if _CAPITAL_M.search(text):
        return None
    plain = " ".join(text.lower().split())
    amounts: dict[str, str] = {}
    if delta := _DELTA.fullmatch(plain):
        pairs = [_PART.fullmatch(part) for part in delta[1].split(",") if part.strip()]
        parts = [(pair[2], pair[1]) for pair in pairs if pair]
        is_whole = len(parts) == len(pairs)
    else:
        parts = _LENGTH.findall(plain)
        is_whole = _LENGTH.sub("", plain) == ""
    for number, unit in parts:
        amounts[_UNITS.get(unit, "?")] = number
    if not is_whole or not amounts or "?" in amounts or len(amounts) != len(parts):
        return None
    return "".join(f"{amounts[unit]}{unit}" for unit in _ORDER if unit in amounts)


def _parse_every(text: str) -> ScheduleKeys | None:
    match = _EVERY.fullmatch(text)
    if match is None:
        return None
    number, word, clock = match.groups()
    day = word[:3] if re.fullmatch(_WEEKDAY, word) and number is None else None
    if day or (clock and number in (None, "1") and word in ("day", "weekday", "weekend")):
        days = day or {"day": "*", "weekday": "mon-fri", "weekend": "sat,sun"}[word]
        hour_minute = _minute_and_hour(clock or "00:00")
        return {"cron": f"{hour_minute} * * {days}"} if hour_minute else None
    return {"interval": f"{number or 1}{_UNITS[word]}"} if word in _UNITS and clock is None else None


def _parse_clock(text: str) -> ScheduleKeys | None:
    """Read a time of day, which becomes a daily schedule."""
    clock = _DAILY.sub("", text) if _DAILY.match(text) else text
    if clock == text and not re.search(r"\d:\d\d|[ap]m|daily|every", text, re.ASCII):
        return None
    fields = _minute_and_hour(clock)
    return {"cron": f"{fields} * * *"} if fields else None


def _minute_and_hour(text: str) -> str | None:
    """Return the first two cron fields for a time of day."""
    match = _CLOCK.fullmatch(text)
    if match is None:
        return {"midnight": "0 0", "noon": "0 12"}.get(text)
    hour, minute, half = int(match[1]), int(match[2] or 0), match[3]
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0) if 0 < hour <= 12 else 24
    return f"{minute} {hour}" if hour < 24 and minute < 60 else None


def _parse_calendar_event(text: str) -> ScheduleKeys | None:
    """Read a calendar event of systemd without seconds or a year, such as `Mon..Fri *-*-* 09:00:00 Europe/Berlin`."""
    match = _EVENT.fullmatch(text)
    if match is None or not any(match.group("days", "month", "hour")):
        return None
    fields = [match[name] or ("*" if name in ("month", "day") else "0") for name in ("minute", "hour", "day", "month")]
    days = re.sub(_WEEKDAY, lambda day: day[0][:3].lower(), match["days"] or "*", flags=re.IGNORECASE)
    keys: ScheduleKeys = {"cron": " ".join([*(_cron_field(field) for field in fields), days.replace("..", "-")])}
    if match["zone"]:
        keys["timezone"] = match["zone"]
    if days != "*" and fields[2] != "*":
        keys["day_or"] = False
    return keys


def _cron_field(field: str) -> str:
    """Convert a number of a calendar event to a cron field: drop leading zeros, write ranges with a hyphen."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", field).replace("..", "-")
