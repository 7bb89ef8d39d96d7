"""What did somebody mean who wrote a cron expression for another program?

Called by `cron` for expressions that it can't read: those of Quartz, Spring, AWS, Kubernetes, Go's robfig/cron and
/etc/crontab. It answers with a message and a hint; an expression in a hint is one that `cron` accepts.
"""

import re
from datetime import datetime

from controller.errors import ScheduleError
from controller.schedules.durations import parse_duration
from controller.schedules.messages import quoted
from controller.schedules.natural_language import Written, spoken_schedule
from controller.schedules.parsing import zone as known_zone

_ZONED = re.compile(r"(?:CRON_TZ|CRON_TIMEZONE|TZ)\s*=\s*[\"']?([\w/+-]+)[\"']?\s+(.+)", re.ASCII | re.IGNORECASE)
_CALL = re.compile(r"(cron|rate)\s*\((.*)\)", re.ASCII | re.IGNORECASE)
_EVERY = re.compile(r"(?:@every|every)\s+(.+)", re.ASCII | re.IGNORECASE)
_COUNTED = re.compile(r"(\d*)\s*(second|minute|hour|day|week)s?", re.ASCII | re.IGNORECASE)
_YEAR = re.compile(r"\d{4}", re.ASCII)
_STEP = re.compile(r"(?:\*|0/)/?(\d{0,2})", re.ASCII)
_QUARTZ_DAY = re.compile(r"(?<![#/\d])[1-7](?![\d])", re.ASCII)
_NAMED_LAST = re.compile(r"(SUN|MON|TUE|WED|THU|FRI|SAT)L", re.ASCII | re.IGNORECASE)
_HASHED = re.compile(r"H(?:\((\d+)-(\d+)\))?(/\d+)?", re.ASCII)
_LONG_NAME = re.compile(
    r"(?:sun|mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?)(?:day)?s?"
    r"|january|february|march|april|june|july|august|sept(?:ember)?|october|november|december",
    re.ASCII | re.IGNORECASE,
)
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_STARTS = frozenset({"@reboot", "@boot", "@startup", "@start"})
_AT_STARTUP = "run `controller trigger NAME` in the unit that starts the machine's services, or use an interval"
_FIVE = "write minute, hour, day of month, month and weekday, such as '30 2 * * mon-fri'"


def explain_foreign(text: str) -> ScheduleError | None:
    """Why a text that does not have five fields, or that begins with `@`, is no cron here; None if nothing is known."""
    if zoned := _ZONED.fullmatch(text):
        zone, rest = zoned.groups()
        zone, written = _zone(zone), f'cron: "{_translated(rest) or rest}"'
        return ScheduleError(
            f"cron {quoted(text)}: the time zone has a key of its own", hint=f"write timezone: {zone} and {written}"
        )
    if text.lower().split()[0] in _STARTS:
        return ScheduleError(f"cron {quoted(text)}: nothing starts with the machine here", hint=_AT_STARTUP)
    if call := _CALL.fullmatch(text):
        return _of_aws(text, *call.groups())
    if every := _EVERY.fullmatch(text):
        return _of_interval(text, every[1])
    bare, mark, _ = text.partition(" #")
    if mark and _is_cron(bare.split()):
        return ScheduleError(f"cron {quoted(text)} has a comment", hint=f'write cron: "{" ".join(bare.split())}"')
    return _of_fields(text) or _of_words(text)


def foreign_field(parts: list[str]) -> str | None:
    """The hint for five fields with a `?`, the `H` of Jenkins, or whole names of days; None if it would be no cron."""
    plain = [_LONG_NAME.sub(lambda found: found[0][:3], part) for part in _stars(parts)]
    if "?" in parts:
        return _written(plain, "`?` is `*` here")
    if any(_HASHED.fullmatch(part) for part in parts):
        numbers = [_unhashed(part, index) for index, part in enumerate(plain)]
        hint = _written(numbers, "there is no `H`")
        return hint and f"{hint} and jitter: 10m to spread the starts"
    return _written(plain, "names have three letters")


def _unhashed(part: str, index: int) -> str:
    """A field with the `H` of Jenkins as the first of the values that it may stand for."""
    found = _HASHED.fullmatch(part)
    if found is None:
        return part
    first, last, step = found.groups()
    if step:
        return f"{first}-{last}{step}" if first else f"*{step}"
    return first or ("1" if index in (2, 3) else "0")


def _zone(name: str) -> str:
    """The zone of the database that `name` stands for, where there is one name only."""
    try:
        known_zone(name)
    except ScheduleError as error:
        found = re.fullmatch(r"write ([\w/+-]+)", error.hint or "")
        return found[1] if found else name
    return name


def _of_words(text: str) -> ScheduleError | None:
    said = spoken_schedule(text)
    return None if said is None else ScheduleError(f"{quoted(text)} is not a cron expression", hint=_keys(said))


def _keys(said: Written) -> str:
    """The hint that says to write these keys of a schedule instead of the cron expression."""
    shown = [f"{key}: {_shown(value)}" for key, value in said.items()]
    return f"write {' and '.join(shown)}{'' if 'cron' in said else ' instead of cron'}"


def _shown(value: str | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if re.fullmatch(r"[\w/+-]+", value) else f'"{value}"'


def _of_interval(text: str, length: str) -> ScheduleError:
    counted = _COUNTED.fullmatch(length.strip())
    short = f"{counted[1] or 1}{counted[2][0].lower()}" if counted else length.strip()
    try:
        parse_duration(short)
    except ScheduleError:
        said = spoken_schedule(text)
        hint = "write a cron expression, or an interval such as 1h30m" if said is None else _keys(said)
        return ScheduleError(f"{quoted(text)} is not a cron expression", hint=hint)
    return ScheduleError(f"{quoted(text)} is an interval", hint=f"write interval: {short} instead of cron")


def _of_aws(text: str, kind: str, inner: str) -> ScheduleError:
    if kind.lower() == "rate":
        return _of_interval(text, inner)
    parts = inner.split()
    hint: str | None = _FIVE
    if len(parts) == 6:
        hint = _written([*_stars(parts[:4]), _weekdays(parts[4])], "leave out `cron( )` and the year") or _FIVE
    return ScheduleError(f"cron {quoted(text)} is written for AWS", hint=hint)


def _of_fields(text: str) -> ScheduleError | None:
    parts = text.split()
    message = f"cron {quoted(text)} has {len(parts)} fields, not 5"
    if len(parts) < 5:
        return None
    if _is_cron(parts[:5]) and len(parts) > 5:
        if re.fullmatch(r"[A-Z]\w+(/[\w+-]+)+|UTC|GMT", parts[5], re.ASCII) and len(parts) == 6:
            return ScheduleError(message, hint=f'write timezone: {_zone(parts[5])} and cron: "{" ".join(parts[:5])}"')
        if re.match(r"[a-z_/.]\w", parts[5]) and parts[5].lower()[:3] not in _DAYS:
            hint = f'write cron: "{" ".join(parts[:5])}", and the program under command'
            return ScheduleError(message, hint=hint)
    found = _of_six_or_seven(parts)
    return ScheduleError(message, hint=found) if found else None


def _of_six_or_seven(parts: list[str]) -> str | None:
    """The hint for an expression with seconds, a year, or both."""
    if len(parts) not in (6, 7):
        return None
    if len(parts) == 6 and _YEAR.fullmatch(parts[5]):
        hint = _written(_stars(parts[:5]), "leave out the year")
        return hint and f"{hint}, with start: {parts[5]}-01-01 and end: {parts[5]}-12-31T23:59:59"
    if (step := _STEP.fullmatch(parts[0])) and all(part in ("*", "?") for part in parts[1:]):
        return f"there are no seconds in a cron: write interval: {int(step[1] or 1) or 1}s instead of cron"
    translated = _translated(" ".join(parts)) if parts[0].isdigit() else None
    if translated is None:
        return "leave out the seconds (or the year); for fire times below a minute use `interval: 30s`"
    hint = f'leave out the seconds: write cron: "{translated}"'
    if len(parts) == 7 and _YEAR.fullmatch(parts[6]):
        return f"{hint}, with start: {parts[6]}-01-01 and end: {parts[6]}-12-31T23:59:59"
    if len(parts) == 6 and "?" not in parts and parts[5] == "*" and _is_cron(parts[:5]):
        return f'{hint}; if the last field is a year, write cron: "{" ".join(parts[:5])}"'
    return hint


def _translated(text: str) -> str | None:
    """The five fields of an expression that begins with seconds, or of one with `?`; None if they make no cron."""
    parts = text.split()
    if len(parts) in (6, 7):
        is_quartz = "?" in parts or len(parts) == 7
        parts = [*_stars(parts[1:5]), _weekdays(parts[5]) if is_quartz else parts[5]]
    parts = _stars(parts)
    return " ".join(parts) if _is_cron(parts) or text.startswith("@") else None


def _weekdays(field: str) -> str:
    """A weekday field of Quartz or AWS, whose Sunday is 1, in ours."""
    if field.upper() == "L":
        return "sat"
    named = _NAMED_LAST.sub(lambda found: f"{_DAYS.index(found[1].lower())}L", field)
    if named != field or "?" in field:
        return named.replace("?", "*")
    days, slash, step = field.partition("/")

    def renamed(found: re.Match[str]) -> str:
        number = int(found[0]) - 1
        return str(number) if "L" in days.upper() or "#" in days else _DAYS[number]

    return _QUARTZ_DAY.sub(renamed, days) + slash + step


def _stars(parts: list[str]) -> list[str]:
    return ["*" if part == "?" else part for part in parts]


def _written(parts: list[str], why: str) -> str | None:
    return f'{why}: write cron: "{" ".join(parts)}"' if _is_cron(parts) else None


def _is_cron(parts: list[str]) -> bool:
    from cronsim import CronSim, CronSimError

    try:
        CronSim(" ".join(parts), datetime(2020, 1, 1))  # noqa: DTZ001 - a local time has no zone
    except (CronSimError, ValueError, OverflowError, AssertionError):
        return False
    return len(parts) == 5
