"""What did somebody mean who wrote a key of Prefect, Airflow, Dagu, Kubernetes, GitHub Actions, crontab or compose?

`wording` asks for keys that the format does not have, and for values of another type than a key takes. A hint says what
to write, on one line of YAML that is valid where the key stood.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from controller.calendar import parse_duration
from controller.errors import ScheduleError
from controller.manifests.commands import command_words, yaml_word
from controller.manifests.nodes import Path

_LONGEST = 300
_LEAST_SECONDS = 60
"""A smaller number in place of a schedule may mean minutes or hours."""
_NAME = re.compile(r"[^a-z0-9]+")
_SCHEDULE_KEYS = {"timezone", "start", "end", "jitter", "anchor_date", "day_or", "dst"}
_RULES = ("cron", "interval", "rrule", "at")
_OVERLAPS = {"forbid": "skip", "replace": "replace", "allow": "allow", "enqueue": "queue", "cancel_new": "skip"}
_PROCESS = "runs are processes on the controller's machine"
_GONE = {
    "flow_runner infrastructure infra_overrides job_variables runner container docker image executor runs_on "
    "service_account serviceaccountname build pull push": f"remove it: {_PROCESS}; see resources, env, secrets and "
    "working_directory",
    "flow_storage storage repository repo": "remove it: the code comes from git, at the commit of the deployment",
    "work_pool work_pool_name pool work_queue work_queue_name": "remove it, or write queue: NAME for a queue "
    "that controller.yaml declares under queues",
    "steps jobs tasks stages depends_on depends dependson needs dag upstream downstream": "remove it: a deployment "
    "runs one flow or one command; call the steps from one flow, in their order",
    "requirements requirements_txt pip packages dependencies pip_packages conda": "remove it: install packages in "
    "the Python environment that the controller runs in",
    "spec metadata apiversion jobtemplate template": "remove it, and write the keys of the deployment at the top: "
    "name, flow or command, schedule",
    "depends_on_past wait_for_downstream": "remove it: overlap says what becomes of a time while an earlier run goes "
    "on",
    "env_file envfrom": "remove it, and write each variable under env, or under secrets",
    "on_failure on_success on_retry email email_on_failure notify notifications webhook": "remove it: the operator "
    "decides who is told about runs",
    "restart": "write retries: {limit: 3, on: [failed, crashed]}",
    "prefect_version definitions": "remove it",
}
_GONE_BY_KEY = {key: hint for keys, hint in _GONE.items() for key in keys.split()}

Builder = Callable[[Any], Any]
"""From the value that was written to the one to write; None where there is none."""


def foreign_key_hint(path: Path, key: str, value: Any, document: Any) -> str | None:
    """The hint for a key that is unknown at `path`; None if nobody is known to write it there."""
    word = _plain(key)
    place = path[-1] if path and isinstance(path[-1], str) else path[-2] if len(path) > 1 else ""
    if not path:
        return _of_deployment(word, value, document)
    table = _INSIDE.get(str(place), {})
    found = table.get(word)
    return None if found is None else _entry(*found, value)


def stands_for(key: str) -> str | None:
    """The key of a deployment that an unknown top-level key is meant to be."""
    return _TOP.get(_plain(key), (None,))[0]


def foreign_type_hint(path: Path, value: Any) -> str | None:
    """The hint for a value of the wrong type at `path`; None if it is like nothing that is known."""
    if len(path) == 2 and path[0] == "schedules":
        inner = _rule_of(value)
        return f"write {_flow(inner)}" if inner else None
    builder = _TYPES.get(str(path[-1])) if len(path) == 1 else None
    return None if builder is None else _entry(str(path[0]), builder, value)


def _of_deployment(word: str, value: Any, document: Any) -> str | None:
    if word == "deployments" and isinstance(value, list):
        return "leave out deployments: and write the list itself; a file holds one deployment or a list of them"
    if word in _RULES or word in _SCHEDULE_WORDS:
        return _schedule_hint(word, value, document)
    if word in _SCHEDULE_KEYS or word in _INSIDE["schedule"]:
        return _into_schedule(word, value, document)
    if word in ("retry_delay", "retry_delay_seconds", "retrydelay"):
        return _entry("retries", lambda said: {"limit": _limit_beside(document), "delay": said}, value)
    found = _TOP.get(word)
    if found is not None:
        return _entry(*found, value)
    return _GONE_BY_KEY.get(word)


def _schedule_hint(word: str, value: Any, document: Any) -> str | None:
    rule = {word: value} if word in _RULES and isinstance(value, str | int | float | list) else _rule_of(value)
    if not rule:
        return "remove it: a deployment without a schedule runs when it is triggered" if value is None else None
    zone = next((said for key, said in _items(document) if _plain(key) in ("timezone", "tz")), None)
    if isinstance(zone, str):
        rule = {**rule, "timezone": zone}
    return f"write schedule: {_flow(rule)}"


def _into_schedule(word: str, value: Any, document: Any) -> str | None:
    """A key of a schedule that stands beside it."""
    key, builder = _INSIDE["schedule"].get(word, (word, _same))
    inner = builder(value)
    said = document.get("schedule") if isinstance(document, dict) else None
    rule = dict(said) if isinstance(said, dict) else _rule_of(said)
    rule = rule or next((_rule_of(found) for name, found in _items(document) if _plain(name) in _SCHEDULE_WORDS), {})
    if inner is None:
        return None
    if rule and key not in rule:
        return _within(f"it belongs to a schedule: write schedule: {_flow({**rule, key: inner})}")
    return _within(f"it belongs to a schedule: write {key}: {_flow(inner)} beside its cron, interval, rrule or at")


def _entry(key: str, builder: Builder, value: Any) -> str | None:
    try:
        inner = builder(value)
    except (TypeError, ValueError, AttributeError, KeyError):
        return None
    return None if inner is None else _within(f"write {key}: {_flow(inner)}")


def _within(hint: str) -> str | None:
    return hint if len(hint) <= _LONGEST else None


def _flow(value: Any) -> str:
    """`value` as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{yaml_word(str(key))}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return yaml_word(value) if isinstance(value, str) else json.dumps(value)


def _plain(word: str) -> str:
    return word.replace("-", "_").lower()


def _items(document: Any) -> list[tuple[str, Any]]:
    return [(str(key), value) for key, value in document.items()] if isinstance(document, dict) else []


def _same(value: Any) -> Any:
    return value


def _rule_of(value: Any) -> dict[str, Any]:
    """The schedule that a short form means: an expression, a length of time, a mapping of the two."""
    if isinstance(value, list) and value and isinstance(value[0], str | dict):
        value = value[0]
    if isinstance(value, dict):
        inner = next((value[key] for key in ("cron", "expression", "interval", "every") if key in value), None)
        return {} if inner is None or isinstance(inner, dict) else _rule_of(inner)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return {}
    try:
        parse_duration(value)
    except ScheduleError:
        text = str(value).strip()
        if text.startswith("@") or len(text.split()) == 5:
            return {"cron": text}
        if re.match(r"(?i)(RRULE|DTSTART|FREQ)\b", text):
            return {"rrule": text}
        if re.match(r"\d{4}-\d\d-\d\d", text):
            return {"at": text}
        named = {"hourly", "daily", "midnight", "weekly", "monthly", "yearly"} & {text.lower()}
        return {"cron": f"@{named.pop()}"} if named else {}
    return {"interval": value} if isinstance(value, str) or value >= _LEAST_SECONDS else {}


def _count(value: Any) -> int | None:
    """How many more attempts: a number, or what a mapping of another program says."""
    if isinstance(value, dict):
        value = next(
            (value[key] for key in ("limit", "max", "attempts", "max_attempts", "max_retries") if key in value), 3
        )
    return int(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None


def _retries(value: Any) -> dict[str, Any] | None:
    count = _count(value)
    if count is None or count < 0:
        return None
    found: dict[str, Any] = {"limit": min(count, 100)}
    if isinstance(value, dict):
        delay = next(
            (value[key] for key in ("delay", "interval_sec", "delay_seconds", "interval") if key in value), None
        )
        found |= {} if delay is None or isinstance(delay, dict | list) else {"delay": delay}
    return found


def _limit_beside(document: Any) -> int:
    counts = [_count(said) for key, said in _items(document) if _TOP.get(_plain(key), ("",))[0] == "retries"]
    own = dict(_items(document)).get("retries")
    return next((count for count in [*counts, _count(own) if own is not None else None] if count), 1)


def _length(unit: str) -> Builder:
    return lambda value: f"{value:g}{unit}" if isinstance(value, int | float) else value


def _overlap(value: Any) -> str | None:
    if isinstance(value, dict):
        return "replace" if value.get("cancel-in-progress") is True else "queue"
    if isinstance(value, str):
        return _OVERLAPS.get(_plain(value))
    return "queue" if isinstance(value, int) and value == 1 else "allow"


def _named(value: Any) -> str | None:
    return _NAME.sub("-", value.lower()).strip("-")[:63].strip("-") or None


def _flow_path(value: Any) -> str | None:
    return value if re.fullmatch(r"[^:]+\.py:[^:]+", value) else None


def _command(value: Any) -> Any:
    if isinstance(value, list):
        return [str(word) for word in value] or None
    if re.fullmatch(r"\S+\.py", value):
        return ["python", value]
    return command_words(value) or None


def _variables(value: Any) -> dict[str, str] | None:
    """Variables as a mapping, from the `NAME=value` items of compose or the name and value of Kubernetes."""
    if isinstance(value, list):
        pairs = [item.partition("=")[::2] if isinstance(item, str) else (item["name"], item["value"]) for item in value]
        value = dict(pairs)
    return {str(key): item if isinstance(item, str) else json.dumps(item) for key, item in value.items()} or None


def _secrets(value: Any) -> dict[str, Any] | None:
    names = [value] if isinstance(value, str) else [str(name) for name in value]
    names = [name for name in names if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII)]
    return {name: {"env": name} for name in names} or None


def _parameters(value: Any) -> dict[str, Any] | None:
    if isinstance(value, list):
        mappings = [item for item in value if isinstance(item, dict) and len(item) == 1]
        named = {
            item["name"]: item.get("value", item.get("default"))
            for item in value
            if isinstance(item, dict) and "name" in item
        }
        return named or {key: said for item in mappings for key, said in item.items()} or None
    return value if isinstance(value, dict) else None


def _tags(value: Any) -> list[str] | None:
    if isinstance(value, Mapping):
        return [f"{key}={item}" for key, item in value.items()] or None
    if isinstance(value, str):
        return [item.strip() for item in value.split(",") if item.strip()] or None
    return [str(item) for item in value] or None


def _catchup(value: Any) -> dict[str, str] | None:
    words = {False: "none", True: "all", "false": "none", "true": "all", "off": "none", "on": "all"}
    word = words.get(value.lower() if isinstance(value, str) else value)
    return {"policy": word or value} if word or value in ("latest", "all", "none") else None


def _suspend(*, when: bool) -> Builder:
    return lambda value: value is when if isinstance(value, bool) else None


_SCHEDULE_WORDS = frozenset(
    {"schedule_interval", "crontab", "cron_expression", "cron_schedule", "every", "frequency", "rrules"}
)
_WORDS: tuple[tuple[str, str, Builder], ...] = (
    ("entrypoint entry_point flow_path flow_file", "flow", _flow_path),
    ("run script cmd exec program shell bash_command", "command", _command),
    ("dag_id id title deployment_name workflow job_name", "name", _named),
    ("max_retries maxretries retry retry_policy retrypolicy backofflimit attempts retry_limit", "retries", _retries),
    ("timeout_seconds timeout_sec timeoutseconds timeoutsec activedeadlineseconds", "timeout", _length("s")),
    ("timeout_minutes", "timeout", _length("m")),
    ("execution_timeout dagrun_timeout max_duration max_run_time", "timeout", _length("s")),
    ("startingdeadlineseconds misfire_grace_time", "start_deadline", _length("s")),
    (
        "concurrency_limit concurrency concurrencypolicy overlap_policy max_active_runs maxactiveruns",
        "overlap",
        _overlap,
    ),
    ("params default_args kwargs op_kwargs inputs with conf", "parameters", _parameters),
    ("paused is_paused is_paused_upon_creation disabled disable", "suspend", _suspend(when=True)),
    ("enabled active is_schedule_active is_active", "suspend", _suspend(when=False)),
    ("environment env_vars envs environment_variables variables", "env", _variables),
    ("secret", "secrets", _secrets),
    ("labels label keywords annotations", "tags", _tags),
    ("doc doc_md docs comment summary owner", "description", lambda value: value if isinstance(value, str) else None),
    ("cwd workdir working_dir workingdir dir", "working_directory", _same),
    ("weight priority_weight", "priority", _same),
    ("memory mem mem_limit memory_limit", "resources", lambda value: {"memory": value}),
    ("history_limit hist_retention_days histretentiondays", "retention", lambda value: {"days": value}),
    ("successfuljobshistorylimit", "retention", lambda value: {"runs": value}),
)
_TOP = {word: (key, builder) for words, key, builder in _WORDS for word in words.split()}
_SCHEDULE = (
    ("expression crontab schedule cron_expression cron_schedule schedule_interval", "cron", _same),
    ("tz time_zone timezone_name zone", "timezone", _same),
    ("every frequency", "interval", _same),
    ("seconds", "interval", _length("s")),
    ("minutes", "interval", _length("m")),
    ("hours", "interval", _length("h")),
    ("days", "interval", _length("d")),
    ("start_date startdate start_time starts_at begin", "start", _same),
    ("end_date enddate end_time ends_at until", "end", _same),
    ("date run_at time datetime when once", "at", _same),
    ("name slug key", "id", _same),
    ("anchor", "anchor_date", _same),
    ("params inputs args kwargs", "parameters", _parameters),
    ("paused disabled", "suspend", _suspend(when=True)),
    ("enabled active", "suspend", _suspend(when=False)),
)
_ATTEMPTS = (
    ("max count attempts max_attempts max_retries maximum number", "limit", _same),
    ("delay_seconds interval interval_sec wait retry_delay", "delay", _same),
    ("exponential_backoff factor multiplier", "backoff", lambda value: 2 if value is True else value),
    ("max_interval max_delay_seconds", "max_delay", _same),
)
_INSIDE = {
    place: {word: (key, builder) for words, key, builder in rows for word in words.split()}
    for place, rows in (("schedule", _SCHEDULE), ("schedules", _SCHEDULE), ("retries", _ATTEMPTS))
}
_INSIDE["resources"] = {
    **dict.fromkeys(("mem", "memory_limit", "ram"), ("memory", _same)),
}
_INSIDE["catchup"] = {"enabled": ("policy", lambda value: "all" if value is True else "none")}
_INSIDE["retention"] = {"count": ("runs", _same), "keep": ("runs", _same)}
_TYPES = {
    "schedule": lambda value: _rule_of(value) or None,
    "schedules": lambda value: [_rule_of(value)] if _rule_of(value) else None,
    "retries": _retries,
    "catchup": _catchup,
    "retention": lambda value: {"runs": value} if isinstance(value, int) else None,
    "resources": lambda value: {"memory": value} if isinstance(value, str) else None,
    "env": lambda value: _variables(value) if isinstance(value, list) else None,
    "secrets": _secrets,
    "parameters": _parameters,
    "tags": lambda value: _tags(value) if isinstance(value, dict) else None,
}
