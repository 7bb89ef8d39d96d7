"""Recognises cron expressions of other programs and says how to write them here.

Called by `cron` for expressions that it can't parse: those of Quartz, Spring, AWS, Kubernetes, Go's robfig/cron,
Jenkins and /etc/crontab. The result is a message and a hint; `cron` accepts every expression in a hint.
"""

import re
from datetime import datetime

from controller.errors import ScheduleError
from controller.schedules.durations import parse_duration
from controller.schedules.messages import quote
from controller.schedules.natural_language import ScheduleKeys, parse_natural_schedule
from controller.schedules.parsing import zone as find_zone

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
_AT_STARTUP = "run `controller trigger NAME` from a systemd unit that starts at boot, or write an interval"
_FIVE = "write minute, hour, day of month, month and weekday, such as '30 2 * * mon-fri'"


def explain_foreign(text: str) -> ScheduleError | None:
    """Explain why a text without five fields, or with a leading `@`, is invalid; None if it is not recognised."""
    if zoned := _ZONED.fullmatch(text):
        zone, rest = zoned.groups()
        zone, cron_key = _iana_zone(zone), f'cron: "{_translate(rest) or rest}"'
        message = f"cron {quote(text)}: the time zone belongs under its own key"
        return ScheduleError(message, hint=f"write timezone: {zone} and {cron_key}")
    if text.lower().split()[0] in _STARTS:
        return ScheduleError(f"cron {quote(text)}: schedules can't start runs at boot", hint=_AT_STARTUP)
    if call := _CALL.fullmatch(text):
        return _explain_aws(text, *call.groups())
    if every := _EVERY.fullmatch(text):
        return _explain_interval(text, every[1])
    bare, mark, _ = text.partition(" #")
    if mark and _is_cron(bare.split()):
        return ScheduleError(f"cron {quote(text)} contains a comment", hint=f'write cron: "{" ".join(bare.split())}"')
    return _explain_fields(text) or _explain_words(text)


def foreign_field(parts: list[str]) -> str | None:
    """Return a hint for five fields with `?`, Jenkins' `H`, or full names of days or months.

    Returns None if the corrected expression would still be invalid.
    """
    plain = [_LONG_NAME.sub(lambda match: match[0][:3], part) for part in _stars(parts)]
    if "?" in parts:
        return _cron_hint(plain, "use `*` instead of `?`")
    if any(_HASHED.fullmatch(part) for part in parts):
        numbers = [_replace_hash(part, index) for index, part in enumerate(plain)]
        hint = _cron_hint(numbers, "`H` is not supported")
        return hint and f"{hint} and jitter: 10m to spread the starts"
    return _cron_hint(plain, "use three-letter names")


def _replace_hash(part: str, index: int) -> str:
    """Replace Jenkins' `H` by the first value that it can take."""
    match = _HASHED.fullmatch(part)
    if match is None:
        return part
    first, last, step = match.groups()
    if step:
        return f"{first}-{last}{step}" if first else f"*{step}"
    return first or ("1" if index in (2, 3) else "0")


def _iana_zone(name: str) -> str:
    """Return the IANA name for `name` if the hint for it suggests exactly one, otherwise `name` itself."""
    try:
        find_zone(name)
    except ScheduleError as error:
        match = re.fullmatch(r"write ([\w/+-]+)", error.hint or "")
        return match[1] if match else name
    return name


def _explain_words(text: str) -> ScheduleError | None:
    keys = parse_natural_schedule(text)
    return None if keys is None else ScheduleError(f"{quote(text)} is not a cron expression", hint=_keys_hint(keys))


def _keys_hint(keys: ScheduleKeys) -> str:
    """Return the hint to write these keys of a schedule instead of the cron expression."""
    lines = [f"{key}: {_yaml_value(value)}" for key, value in keys.items()]
    return f"write {' and '.join(lines)}{'' if 'cron' in keys else ' instead of cron'}"


def _yaml_value(value: str | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if re.fullmatch(r"[\w/+-]+", value) else f'"{value}"'


def _explain_interval(text: str, length: str) -> ScheduleError:
    counted = _COUNTED.fullmatch(length.strip())
    short = f"{counted[1] or 1}{counted[2][0].lower()}" if counted else length.strip()
    try:
        parse_duration(short)
    except ScheduleError:
        keys = parse_natural_schedule(text)
        hint = "write a cron expression, or an interval such as 1h30m" if keys is None else _keys_hint(keys)
        return ScheduleError(f"{quote(text)} is not a cron expression", hint=hint)
    return ScheduleError(f"{quote(text)} is an interval", hint=f"write interval: {short} instead of cron")


def _explain_aws(text: str, kind: str, inner: str) -> ScheduleError:
    if kind.lower() == "rate":
        return _explain_interval(text, inner)
    parts = inner.split()
    hint: str | None = _FIVE
    if len(parts) == 6:
        hint = _cron_hint([*_stars(parts[:4]), _weekdays(parts[4])], "remove `cron( )` and the year") or _FIVE
    return ScheduleError(f"cron {quote(text)} uses the syntax of AWS", hint=hint)


def _explain_fields(text: str) -> ScheduleError | None:
    parts = text.split()
    message = f"cron {quote(text)} has {len(parts)} fields, not 5"
    if len(parts) < 5:
        return None
    if _is_cron(parts[:5]) and len(parts) > 5:
        if re.fullmatch(r"[A-Z]\w+(/[\w+-]+)+|UTC|GMT", parts[5], re.ASCII) and len(parts) == 6:
            return ScheduleError(
                message, hint=f'write timezone: {_iana_zone(parts[5])} and cron: "{" ".join(parts[:5])}"'
            )
        if re.match(r"[a-z_/.]\w", parts[5]) and parts[5].lower()[:3] not in _DAYS:
            hint = f'write cron: "{" ".join(parts[:5])}", and put the program under command'
            return ScheduleError(message, hint=hint)
    field_hint = _six_or_seven_hint(parts)
    return ScheduleError(message, hint=field_hint) if field_hint else None


def _six_or_seven_hint(parts: list[str]) -> str | None:
    """Return the hint for an expression with seconds, a year, or both."""
    if len(parts) not in (6, 7):
        return None
    if len(parts) == 6 and _YEAR.fullmatch(parts[5]):
        hint = _cron_hint(_stars(parts[:5]), "remove the year")
        return hint and f"{hint}, with start: {parts[5]}-01-01 and end: {parts[5]}-12-31T23:59:59"
    if (step := _STEP.fullmatch(parts[0])) and all(part in ("*", "?") for part in parts[1:]):
        return f"a cron expression has no seconds: write interval: {int(step[1] or 1) or 1}s instead of cron"
    translated = _translate(" ".join(parts)) if parts[0].isdigit() else None
    if translated is None:
        return "remove the seconds (or the year); to fire more often than every minute, write interval: 30s"
    hint = f'remove the seconds: write cron: "{translated}"'
    if len(parts) == 7 and _YEAR.fullmatch(parts[6]):
        return f"{hint}, with start: {parts[6]}-01-01 and end: {parts[6]}-12-31T23:59:59"
    if len(parts) == 6 and "?" not in parts and parts[5] == "*" and _is_cron(parts[:5]):
        return f'{hint}; if the last field is a year, write cron: "{" ".join(parts[:5])}"'
    return hint


def _translate(text: str) -> str | None:
    """Convert an expression with leading seconds or with `?` to five fields; None if the result would be invalid."""
    parts = text.split()
    if len(parts) in (6, 7):
        is_quartz = "?" in parts or len(parts) == 7
        parts = [*_stars(parts[1:5]), _weekdays(parts[5]) if is_quartz else parts[5]]
    parts = _stars(parts)
    return " ".join(parts) if _is_cron(parts) or text.startswith("@") else None


def _weekdays(field: str) -> str:
    """Convert a weekday field of Quartz or AWS, where Sunday is 1."""
    if field.upper() == "L":
        return "sat"
    converted = _NAMED_LAST.sub(lambda match: f"{_DAYS.index(match[1].lower())}L", field)
    if converted != field or "?" in field:
        return converted.replace("?", "*")
    days, slash, step = field.partition("/")

    def convert(match: re.Match[str]) -> str:
        number = int(match[0]) - 1
        return str(number) if "L" in days.upper() or "#" in days else _DAYS[number]

    return _QUARTZ_DAY.sub(convert, days) + slash + step


def _stars(parts: list[str]) -> list[str]:
    return ["*" if part == "?" else part for part in parts]


def _cron_hint(parts: list[str], why: str) -> str | None:
    return f'{why}: write cron: "{" ".join(parts)}"' if _is_cron(parts) else None


def _is_cron(parts: list[str]) -> bool:
    from cronsim import CronSim, CronSimError

    try:
        CronSim(" ".join(parts), datetime(2020, 1, 1))  # noqa: DTZ001 - a local time has no zone
    except (CronSimError, ValueError, OverflowError, AssertionError):
        return False
    return len(parts) == 5
