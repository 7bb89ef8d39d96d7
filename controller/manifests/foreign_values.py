"""What does a value of another program's key stand for here: a schedule, a length of time, a number of retries?

`foreign_keys` calls it for hints. Each function answers with the value to write, with None where nothing is known to
be meant, or raises ValueError.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from controller.errors import ScheduleError
from controller.manifests.command_checks import command_words
from controller.model.schedules import Cron
from controller.schedules import find_suspicious_steps, parse_duration, parse_natural_duration, parse_natural_schedule

_LEAST_SECONDS = 60
"""A smaller number in place of a schedule may mean minutes or hours."""
_NAME = re.compile(r"[^a-z0-9]+")
RULES = ("cron", "interval", "rrule", "at")
_OVERLAPS = {"forbid": "skip", "replace": "replace", "allow": "allow", "enqueue": "queue", "cancel_new": "skip"}
SCHEDULE_KEYS = {"timezone": "timezone", "start": "start", "end": "end", "jitter": "jitter", "dst": "dst"} | {
    "anchordate": "anchor_date",
    "dayor": "day_or",
}
NO_SCHEDULE = frozenset({"", "none", "null", "never", "@once", "@never", "@none"})
_COUNTS = frozenset({"limit", "max", "attempts", "maxattempts", "maxretries", "count"})
_DELAYS = frozenset({"delay", "intervalsec", "delayseconds", "interval", "retrydelay", "retrydelayseconds"})

Builder = Callable[[Any], Any]
"""From the value that was written to the one to write; None where there is none."""


def plain_key(word: str) -> str:
    """The key without what differs between snake_case, kebab-case and camelCase."""
    return word.replace("-", "").replace("_", "").lower()


def schedules_of(value: Any) -> list[dict[str, Any]]:
    """The schedules that a list, or a mapping of names, means; none if one of them is unknown."""
    if isinstance(value, dict):
        named = [{"id": str(key), **inner} for key, inner in value.items() if isinstance(inner, dict)]
        if named and len(named) == len(value) and all(any(rule in one for rule in RULES) for one in named):
            return named
        value = [value]
    if not isinstance(value, list):
        value = [value]
    found = [_whole_rule(item) for item in value]
    return found if all(found) else []


def _whole_rule(value: Any) -> dict[str, Any]:
    """A schedule as it stands if it is one already, or what a short form of one means."""
    if isinstance(value, dict) and any(isinstance(value.get(rule), str | int | float) for rule in RULES):
        known = {"id", "parameters", "suspend", *RULES, *SCHEDULE_KEYS.values()}
        return {key: item for key, item in value.items() if key in known}
    return schedule_of(value)


def schedule_of(value: Any) -> dict[str, Any]:
    """The schedule that a short form means: an expression, a length of time, a mapping of the two."""
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
        return _named_schedule(str(value).strip())
    return {"interval": value} if isinstance(value, str) or value >= _LEAST_SECONDS else {}


def _named_schedule(text: str) -> dict[str, Any]:
    """The schedule of a text that is no duration: an expression, a rule, a date, or words."""
    if text.lower() in NO_SCHEDULE:
        return {}
    if said := parse_natural_schedule(text):
        return dict(said)
    if (length := parse_natural_duration(text)) is not None:
        return {"interval": length}
    if re.match(r"(?i)(RRULE|DTSTART|FREQ)\b", text):
        return {"rrule": text}
    if re.match(r"\d{4}-\d\d-\d\d", text):
        return {"at": text}
    return _cron_of(text) if text.startswith("@") or len(text.split()) >= 5 or "(" in text else {}


def _cron_of(text: str) -> dict[str, Any]:
    """The schedule of a cron expression; what another program's expression means stands in the hint of its error."""
    try:
        find_suspicious_steps(Cron(expression=text))
    except ScheduleError as error:
        found = re.findall(r'(cron|interval|timezone): (?:"([^"]+)"|([\w/+.-]+))', error.hint or "")
        said: dict[str, Any] = {}
        for key, quoted, plain in found:
            said.setdefault(key, quoted or plain)
        return said if "cron" in said or "interval" in said else {}
    return {"cron": text}


def count_of(value: Any) -> int | None:
    """How many more attempts: a number, or what a mapping of another program says."""
    if isinstance(value, dict):
        value = next((said for key, said in value.items() if plain_key(key) in _COUNTS), 3)
    return int(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def retries_of(value: Any) -> dict[str, Any] | None:
    """The `retries` that a number, or a retry policy, means."""
    count = count_of(value)
    if count is None or count < 0:
        return None
    found: dict[str, Any] = {"limit": min(count, 100)}
    if isinstance(value, dict):
        delay = next((said for key, said in value.items() if plain_key(key) in _DELAYS), None)
        found |= {} if delay is None else delay_of(delay)
    return found


def delay_of(value: Any) -> dict[str, Any]:
    """The delay between attempts, of the seconds, the text or the list of growing delays of another program."""
    if isinstance(value, list) and value and all(isinstance(item, int | float) for item in value):
        grown = value[1] / value[0] if len(value) > 1 and value[0] else 1
        return {
            "delay": value[0],
            **({"backoff": float(f"{grown:.3g}") if grown % 1 else int(grown)} if 1 < grown <= 100 else {}),
        }
    return {"delay": duration_of(value)}


def duration_of(value: Any) -> Any:
    """The duration that a text, or a mapping such as {minutes: 10}, means; what can't be said here is an error."""
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
    """From a number in `unit` to a duration; a text is a duration of its own."""
    return lambda value: f"{value:.15g}{unit}" if isinstance(value, int | float) else duration_of(value)


def overlap_of(value: Any) -> str | None:
    """The `overlap` that a limit of concurrent runs, or a policy for them, means."""
    if isinstance(value, dict):
        if str(value.get("collision_strategy", "")).lower() == "cancel_new":
            return "skip"
        return "replace" if value.get("cancel-in-progress") is True else "queue"
    if isinstance(value, str):
        return _OVERLAPS.get(value.replace("-", "_").lower())
    return "queue" if isinstance(value, int) and value == 1 else "allow"


def name_of(value: Any) -> str | None:
    """The name of a deployment that is nearest to a title."""
    return _NAME.sub("-", value.lower()).strip("-")[:63].strip("-") or None


def flow_of(value: Any) -> str | None:
    """The `flow` of an entry point in a file."""
    return value if re.fullmatch(r"[^:]+\.py:[^:]+", value) else None


def command_of(value: Any) -> Any:
    """The `command` of a command line, a script or a list of words."""
    if isinstance(value, list):
        return [str(word) for word in value] or None
    if re.fullmatch(r"\S+\.py", value):
        return ["python", value]
    return command_words(value) or None


def variables_of(value: Any) -> dict[str, str] | None:
    """Variables as a mapping, from the `NAME=value` items of compose or the name and value of Kubernetes."""
    if isinstance(value, list):
        pairs = [item.partition("=")[::2] if isinstance(item, str) else (item["name"], item["value"]) for item in value]
        value = dict(pairs)
    return {str(key): item if isinstance(item, str) else json.dumps(item) for key, item in value.items()} or None


def secrets_of(value: Any) -> dict[str, Any] | None:
    """The `secrets` that names of variables mean."""
    names = [value] if isinstance(value, str) else [str(name) for name in value]
    names = [name for name in names if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)]
    return {name: {"env": name} for name in names} or None


def parameters_of(value: Any) -> dict[str, Any] | None:
    """The `parameters` of a mapping, or of a list of names and values."""
    if isinstance(value, list):
        mappings = [item for item in value if isinstance(item, dict) and len(item) == 1]
        named = {
            item["name"]: item.get("value", item.get("default"))
            for item in value
            if isinstance(item, dict) and "name" in item
        }
        return named or {key: said for item in mappings for key, said in item.items()} or None
    return value if isinstance(value, dict) else None


def tags_of(value: Any) -> list[str] | None:
    """The `tags` that labels, or a text with commas, mean."""
    if isinstance(value, Mapping):
        return [f"{key}={item}" for key, item in value.items()] or None
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()] or None
    return [str(item) for item in value] or None


def catchup_of(value: Any) -> dict[str, str] | None:
    """The `catchup` that true, false or the name of a policy means."""
    words = {False: "none", True: "all", "false": "none", "true": "all", "off": "none", "on": "all"}
    word = words.get(value.lower() if isinstance(value, str) else value)
    return {"policy": word or value} if word or value in ("latest", "all", "none") else None


def restart_of(value: Any) -> dict[str, Any] | None:
    """The `retries` that a restart policy means."""
    if str(value).lower() in ("no", "never", "false"):
        return {"limit": 0}
    return {"limit": 3, "on": ["failed", "crashed"]}


def directory_of(value: Any) -> str | None:
    """The `working_directory` that a path below the repository root means."""
    return value if isinstance(value, str) and not value.startswith(("/", "~", "..")) and value != "." else None


def suspend_when(*, when: bool) -> Builder:
    """From true or false to `suspend`, which is true where the value is `when`."""
    words = {"true": True, "false": False, "yes": True, "no": False}
    return lambda value: said is when if (said := words.get(str(value).lower())) is not None else None
