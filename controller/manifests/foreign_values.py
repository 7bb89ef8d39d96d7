"""Converts values of other programs' keys to values of our format: schedules, durations, retries and so on.

`foreign_keys` calls these functions for its hints. Each returns the value to write, or returns None or raises
ValueError if it can't tell what the value means.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from controller.errors import ScheduleError
from controller.manifests.command_checks import command_words
from controller.model.schedules import Cron
from controller.schedules import find_suspicious_steps, parse_duration
from controller.schedules.natural_language import parse_natural_duration, parse_natural_schedule

_MOST_RUNS = 1000
"""The greatest limit of `overlap`."""
_LEAST_SECONDS = 60
"""A smaller number in place of a schedule is ambiguous: it may mean minutes or hours."""
RULES = ("cron", "interval", "rrule", "at")
_OVERLAPS = {"forbid": "skip", "replace": "replace", "allow": "allow", "enqueue": "queue", "cancel_new": "skip"}
SCHEDULE_KEYS = {"timezone": "timezone", "start": "start", "end": "end", "jitter": "jitter", "dst": "dst"} | {
    "anchordate": "anchor_date",
    "dayor": "day_or",
    **{key: key for key in ("except", "only", "shift", "windows", "outside")},
}
NO_SCHEDULE = frozenset({"", "none", "null", "never", "@once", "@never", "@none"})
_COUNTS = frozenset({"limit", "max", "attempts", "maxattempts", "maxretries", "count"})
_DELAYS = frozenset({"delay", "intervalsec", "delayseconds", "interval", "retrydelay", "retrydelayseconds"})

Builder = Callable[[Any], Any]
"""Converts the value that was written to the value to write; None if there is none."""


def plain_key(word: str) -> str:
    """Return the key in a form that is the same for snake_case, kebab-case and camelCase."""
    return word.replace("-", "").replace("_", "").lower()


def schedules_of(value: Any) -> list[dict[str, Any]]:
    """Return the schedules that a list, or a mapping by name, means; empty if any of them is not recognized."""
    if isinstance(value, dict):
        named = [{"id": str(key), **inner} for key, inner in value.items() if isinstance(inner, dict)]
        if named and len(named) == len(value) and all(any(rule in schedule for rule in RULES) for schedule in named):
            return named
        value = [value]
    if not isinstance(value, list):
        value = [value]
    rules = [_complete_rule(item) for item in value]
    return rules if all(rules) else []


def _complete_rule(value: Any) -> dict[str, Any]:
    """Return the schedule itself, without unknown keys, if it has a rule; otherwise the meaning of a short form."""
    if isinstance(value, dict) and any(isinstance(value.get(rule), str | int | float) for rule in RULES):
        keys = {"id", "parameters", "suspend", *RULES, *SCHEDULE_KEYS.values()}
        return {key: item for key, item in value.items() if key in keys}
    return schedule_of(value)


def schedule_of(value: Any) -> dict[str, Any]:
    """Return the schedule that a short form means (an expression, a duration, or a mapping of one); empty if none."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str | dict):
        value = value[0]
    if isinstance(value, dict):
        inner = next((value[key] for key in ("cron", "expression", "interval", "every") if key in value), None)
        return {} if inner is None or isinstance(inner, dict) else schedule_of(inner)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return {}
    try:
        parse_duration(value)
    except ScheduleError:
        return _string_schedule(str(value).strip())
    return {"interval": value} if isinstance(value, str) or value >= _LEAST_SECONDS else {}


def _string_schedule(text: str) -> dict[str, Any]:
    """Return the schedule of a string that is not a duration: an expression, a rule, a date, or plain English."""
    if text.lower() in NO_SCHEDULE:
        return {}
    if schedule := parse_natural_schedule(text):
        return dict(schedule)
    if (length := parse_natural_duration(text)) is not None:
        return {"interval": length}
    if re.match(r"(?i)(RRULE|DTSTART|FREQ)\b", text):
        return {"rrule": text}
    if re.match(r"\d{4}-\d\d-\d\d", text):
        return {"at": text}
    return _cron_of(text) if text.startswith("@") or len(text.split()) >= 5 or "(" in text else {}


def _cron_of(text: str) -> dict[str, Any]:
    """Return the schedule of a cron expression. For a foreign expression, it is parsed from the hint of the error."""
    try:
        find_suspicious_steps(Cron(expression=text))
    except ScheduleError as error:
        matches = re.findall(r'(cron|interval|timezone): (?:"([^"]+)"|([\w/+.-]+))', error.hint or "")
        rule: dict[str, Any] = {}
        for key, quoted, plain in matches:
            rule.setdefault(key, quoted or plain)
        return rule if "cron" in rule or "interval" in rule else {}
    return {"cron": text}


def count_of(value: Any) -> int | None:
    """Return the number of retries, from a number or from a mapping of another program."""
    if isinstance(value, dict):
        value = next((number for key, number in value.items() if plain_key(key) in _COUNTS), 3)
    return int(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def retries_of(value: Any) -> dict[str, Any] | None:
    """Return the `retries` that a number or a retry policy means."""
    count = count_of(value)
    if count is None or count < 0:
        return None
    retries: dict[str, Any] = {"limit": min(count, 100)}
    if isinstance(value, dict):
        delay = next((length for key, length in value.items() if plain_key(key) in _DELAYS), None)
        retries |= {} if delay is None else delay_of(delay)
    return retries


def delay_of(value: Any) -> dict[str, Any]:
    """Return the `delay` (and `backoff`) of retries, from seconds, a string, or a list of growing delays in seconds."""
    if isinstance(value, list) and value and all(isinstance(item, int | float) for item in value):
        factor = value[1] / value[0] if len(value) > 1 and value[0] else 1
        return {
            "delay": value[0],
            **({"backoff": float(f"{factor:.3g}") if factor % 1 else int(factor)} if 1 < factor <= 100 else {}),
        }
    return {"delay": duration_of(value)}


def duration_of(value: Any) -> Any:
    """Return the duration that a string, or a mapping such as {minutes: 10}, means. Raises ValueError if none."""
    if isinstance(value, dict):
        value = " ".join(f"{number} {unit}" for unit, number in value.items())
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(value)
    try:
        parse_duration(value)
    except ScheduleError:
        if (written := parse_natural_duration(str(value))) is None:
            raise ValueError(value) from None
        return written
    return value


def duration_in(unit: str) -> Builder:
    """Return a builder that converts a number in `unit` to a duration; a string is read as a complete duration."""
    return lambda value: f"{value:.15g}{unit}" if isinstance(value, int | float) else duration_of(value)


def overlap_of(value: Any) -> str | dict[str, Any] | None:
    """Return the `overlap` that a limit or a policy for concurrent runs means."""
    if isinstance(value, str):
        return _OVERLAPS.get(value.replace("-", "_").lower())
    if isinstance(value, dict):
        is_skip = str(value.get("collision_strategy", "")).lower() == "cancel_new"
        policy = "skip" if is_skip else "replace" if value.get("cancel-in-progress") is True else "queue"
        limit = value.get("limit", value.get("concurrency_limit", 1))
    else:
        policy, limit = "queue", value
    if not isinstance(limit, int) or not 1 < limit <= _MOST_RUNS:
        return policy if limit == 1 else None
    return {"policy": policy, "limit": limit}


def flow_of(value: Any) -> str | None:
    """Return the `flow` for an entry point such as `flow.py:main`."""
    return value if re.fullmatch(r"[^:]+\.py:[^:]+", value) else None


def command_of(value: Any) -> Any:
    """Return the `command` for a command line, a Python script or a list of words."""
    if isinstance(value, list):
        return [str(word) for word in value] or None
    if re.fullmatch(r"\S+\.py", value):
        return ["python", value]
    return command_words(value) or None


def variables_of(value: Any) -> dict[str, str] | None:
    """Return `env` as a mapping, from compose's `NAME=value` items or Kubernetes' name and value pairs."""
    if isinstance(value, list):
        pairs = [item.partition("=")[::2] if isinstance(item, str) else (item["name"], item["value"]) for item in value]
        value = dict(pairs)
    return {str(key): item if isinstance(item, str) else json.dumps(item) for key, item in value.items()} or None


def secrets_of(value: Any) -> dict[str, Any] | None:
    """Return the `secrets` for a name, or several names, of environment variables; for a mapping, with its sources."""
    if isinstance(value, dict):
        sources = {key: item for key, item in value.items() if isinstance(item, dict) and set(item) <= {"env", "file"}}
        return {**(secrets_of(list(value)) or {}), **sources} or None
    names = [value] if isinstance(value, str) else [str(name) for name in value]
    names = [name for name in names if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)]
    return {name: {"env": name} for name in names} or None


def parameters_of(value: Any) -> dict[str, Any] | None:
    """Return the `parameters` for a mapping, or for a list of names and values."""
    if isinstance(value, list):
        mappings = [item for item in value if isinstance(item, dict) and len(item) == 1]
        named = {
            item["name"]: item.get("value", item.get("default"))
            for item in value
            if isinstance(item, dict) and "name" in item
        }
        return named or {key: inner for item in mappings for key, inner in item.items()} or None
    return value if isinstance(value, dict) else None


def tags_of(value: Any) -> list[str] | None:
    """Return the `tags` for labels, or for a comma-separated string."""
    if isinstance(value, Mapping):
        return [f"{key}={item}" for key, item in value.items()] or None
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()] or None
    return [str(item) for item in value] or None


def upstreams_of(value: Any) -> str | list[str] | None:
    """Return the `after` for the name of a deployment or a list of names."""
    if isinstance(value, str):
        return value or None
    return value if isinstance(value, list) and value and all(isinstance(item, str) for item in value) else None


def catchup_of(value: Any) -> dict[str, str] | None:
    """Return the `catchup` that true, false or the name of a policy means."""
    words = {False: "none", True: "all", "false": "none", "true": "all", "off": "none", "on": "all"}
    word = words.get(value.lower() if isinstance(value, str) else value)
    return {"policy": word or value} if word or value in ("latest", "all", "none") else None


def restart_of(value: Any) -> dict[str, Any] | None:
    """Return the `retries` that a restart policy means."""
    if str(value).lower() in ("no", "never", "false"):
        return {"limit": 0}
    return {"limit": 3, "on": ["failed", "crashed"]}


def directory_of(value: Any) -> str | None:
    """Return a path as `working_directory` if it is below the repository root; otherwise None."""
    return value if isinstance(value, str) and not value.startswith(("/", "~", "..")) and value != "." else None


def suspend_when(*, when: bool) -> Builder:
    """Return a builder that converts true or false to `suspend`, which is true if the value is `when`."""
    words = {"true": True, "false": False, "yes": True, "no": False}
    return lambda value: word is when if (word := words.get(str(value).lower())) is not None else None
