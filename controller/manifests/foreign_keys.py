"""Hints for keys and values from Prefect, Airflow, Dagu, Kubernetes, GitHub Actions, crontab, systemd or compose.

`schema_messages` calls it for unknown keys and for values of the wrong type. A hint says what to write instead, as one
line of YAML that is valid in the same place.
"""

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from controller.manifests.command_checks import yaml_word
from controller.manifests.foreign_triggers import trigger_type_hint, upstream_key_hint
from controller.manifests.foreign_values import (
    NO_SCHEDULE,
    RULES,
    SCHEDULE_KEYS,
    Builder,
    catchup_of,
    command_of,
    count_of,
    delay_of,
    directory_of,
    duration_in,
    duration_of,
    flow_of,
    overlap_of,
    parameters_of,
    plain_key,
    restart_of,
    retries_of,
    schedule_of,
    schedules_of,
    secrets_of,
    suspend_when,
    tags_of,
    upstreams_of,
    variables_of,
)
from controller.manifests.yaml.nodes import Path
from controller.model.names import name_from_title
from controller.schedules.natural_language import parse_natural_schedule

_MAX_HINT = 300
_CHANNEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_URL = re.compile(r"https?://[!-~]+")
SHORT_SCHEDULE_HINT = 'write a cron expression, such as "0 2 * * *" or "@daily", or an interval, such as 15m'
_PROCESS = "runs are processes on the controller's machine, or with executor: ray jobs of a cluster"
_REMOVAL_HINTS = {
    "flow_runner infrastructure infra_overrides job_variables runner container docker image runs_on "
    "service_account serviceaccountname build pull push": f"remove it: {_PROCESS}; see resources, env, secrets and "
    "working_directory",
    "flow_storage storage repository repo": "remove it: the code comes from git, at the commit of the deployment",
    "work_pool work_pool_name pool work_queue work_queue_name": "remove it, or write queue: NAME for a queue "
    "that controller.yaml declares under queues",
    "steps jobs tasks stages dag": "remove it: a deployment runs one flow or one command; call the steps in order from "
    "one flow, or make each a deployment that names the previous one under after",
    "downstream": "remove it, and write after: NAME in the deployments that start after this one",
    "requirements requirements_txt pip packages dependencies pip_packages conda": "write it under python, as the path "
    "of a file or as a list: python: {requirements: flows/requirements.txt}",
    "spec metadata apiversion jobtemplate template": "remove it, and write the keys of the deployment at the top: "
    "name, flow or command, schedule",
    "depends_on_past wait_for_downstream": "remove it: overlap says what happens to a due time while an earlier run "
    "has not finished",
    "env_file envfrom": "remove it, and write each variable under env, or under secrets",
    "on_failure on_retry on_failure_callback on_retry_callback alerts alert alerting email email_on_failure "
    "email_on_retry notifications notification slack webhook automation automations": "write notify: {to: ops}, with "
    "the name of a channel that the operator declares in notify.yaml",
    "on_success on_success_callback on_completion": "remove it: successful runs are not reported; heartbeat: URL sends "
    "a request to a URL after each run",
    "sla slo slas slos sla_miss_callback freshness": "write expect: {finish_within: 2h}, or start_within or "
    "success_every",
    "healthcheck healthchecks healthchecks_url health_check ping cronitor dead_mans_switch deadmansswitch": "write "
    "heartbeat: URL, the URL of a monitor such as Healthchecks",
    "default_args": "remove it, and write retries, timeout and parameters at the top",
    "triggers trigger events event preconditions precondition": "write on: [{files: …}] or [{webhook: …}] for what "
    "starts a run besides the schedule",
    "python_version interpreter": 'write it under python: {version: "3.12"}, or {interpreter: /path/of/python}',
    "venv virtualenv uv poetry": "remove it, and write python: {requirements: …} or {project: …} to declare packages; "
    "the controller makes the virtual environment",
    "args arguments argv": "remove it: write the arguments of a program as items of command, and those of a flow "
    "as parameters: {name: value}",
    "user group run_as_user permissions": "remove it: the operator decides which user runs the flows",
    "on_boot_sec on_startup_sec": "remove it: runs start at the times of a schedule, not at boot",
    "persistent": "remove it, or write catchup: {policy: latest}",
    "accuracy_sec": "remove it: a run starts at its due time",
    "prefect_version definitions": "remove it",
    "environment": "remove it: --environment chooses the environment. Write what differs there under environments",
    "shell": "remove it: no shell runs a command; if you need one, write command: [bash, -c, …]",
    "cwd workdir working_dir dir": "remove it, or set working_directory to a path relative to the repository root",
}
_PRIVATE = ("secrets", "env", "heartbeat", "notify")
"""Keys whose values may be secret by mistake, so that no hint repeats them."""
_REMOVAL_HINT_BY_KEY = {key.replace("_", ""): hint for keys, hint in _REMOVAL_HINTS.items() for key in keys.split()}


def foreign_key_hint(path: Path, key: str, value: Any, document: Any) -> str | None:
    """Return the hint for an unknown key below `path`; None if no other program uses that key."""
    word = plain_key(key)
    if path[:1] == ("after",):
        return upstream_key_hint(key, value)
    if path[:1] == ("calendars",) and word == "file":
        return "only a calendar in controller.yaml can be a file: move it there, or write dates"
    place = path[-1] if path and isinstance(path[-1], str) else path[-2] if len(path) > 1 else ""
    if not path:
        return _deployment_hint(word, value, document)
    if path[0] == "on" and len(path) < 3:
        return _trigger_hint(word, value)
    if place in ("schedule", "schedules") and word in ("holidays", "holiday", "skipholidays"):
        return "write except: [NAME] here, and calendars: {NAME: {holidays: DE}} at the top"
    table = _INSIDE.get(str(place), {})
    entry = table.get(word)
    return None if entry is None else entry_hint(*entry, value)


def default_hint(key: str, document: Mapping[str, Any], defaults: Collection[str]) -> str | None:
    """Return the hint for a key of a deployment at the top of controller.yaml; None if it is not one of `defaults`."""
    own = key if key in defaults else stands_for(key)
    if own is None or own not in defaults:
        return None
    value = document[key]
    if "defaults" in document:
        return f"write {own} under defaults"
    builder = _same if own == key else _TOP[plain_key(key)][1]
    hint = entry_hint(own, builder, value) if own not in _PRIVATE else None
    return f"write defaults: {{{hint.removeprefix('write ') if hint else f'{own}: …'}}}"


def stands_for(key: str) -> str | None:
    """Return the key of the format that corresponds to an unknown top-level key; None if there is none."""
    return _TOP.get(plain_key(key), (None,))[0]


def foreign_type_hint(path: Path, value: Any) -> str | None:
    """Return the hint for a value of the wrong type at `path`; None if its meaning is unknown."""
    if len(path) == 2 and path[0] == "schedules":
        inner = schedule_of(value)
        return f"write {_yaml(inner)}" if inner else _number_hint(value)
    if path == ("schedule",) and (value is None or str(value).strip().lower() in NO_SCHEDULE):
        return "remove it: a deployment without a schedule runs when it is triggered"
    if path == ("schedule", "cron") and isinstance(value, list):
        rules = schedules_of(value)
        return _if_short(f"instead of schedule, write {_rules_entry(rules)}") if rules else None
    if path in (("schedule",), ("schedules",)) and isinstance(value, list | dict):
        rules = schedules_of(value)
        written = _rules_entry(rules) if path == ("schedule",) and rules else f"schedules: {_yaml(rules)}"
        return _if_short(f"write {written}") if rules else None
    if path[:1] == ("notify",) and len(path) > 1:
        return _rule_type_hint(path, value)
    if path[0] in ("after", "on") or "windows" in path:
        return trigger_type_hint(path, value)
    if path[-1:] in (("interval",), ("timeout",), ("start_deadline",), ("delay",), ("max_delay",), ("jitter",)):
        return entry_hint(str(path[-1]), duration_of, value)
    builder = _TYPES.get(str(path[-1])) if len(path) == 1 else None
    hint = None if builder is None else entry_hint(str(path[0]), builder, value)
    return hint or (_number_hint(value) if path == ("schedule",) else None)


def _number_hint(value: Any) -> str | None:
    """Return the hint for a number in place of a schedule, because it may mean minutes or hours."""
    return SHORT_SCHEDULE_HINT if isinstance(value, int | float) else None


def _rule_type_hint(path: Path, value: Any) -> str | None:
    """Return the hint for a value of the wrong type in a notification rule."""
    if isinstance(path[-1], int) and len(path) == 2 and isinstance(value, str) and _CHANNEL.fullmatch(value):
        return f"write {_yaml({'to': value})}"
    if path[-1] == "after" and isinstance(value, int | float) and not isinstance(value, bool):
        return f"write after: {{failures: {value:g}}}"
    return None


def _deployment_hint(word: str, value: Any, document: Any) -> str | None:
    if word == "deployments" and isinstance(value, list):
        return "remove deployments: and write the list itself; a file holds one deployment or a list of them"
    if word in RULES or word in _SCHEDULE_WORDS:
        return _schedule_hint(word, value, document)
    if word in ("retrydelay", "retrydelayseconds"):
        return entry_hint("retries", lambda delay: {"limit": _retry_limit(document), **delay_of(delay)}, value)
    if word in ("webhook", "files") and isinstance(value, dict):
        return f"write on: [{{{word}: …}}]"
    entry = _TOP.get(word)
    if entry is not None and entry[0] == "suspend" and word in ("disabled", "disable", "active", "isactive"):
        hint = entry_hint(*entry, value)
        return f"{hint}, or enabled: false to leave it out of an environment" if hint == "write suspend: true" else hint
    if entry is not None:
        return _unless_set(word, entry[0], entry_hint(*entry, value), document) or _REMOVAL_HINT_BY_KEY.get(word)
    if word in SCHEDULE_KEYS or (word in _INSIDE["schedule"] and word not in _REMOVAL_HINT_BY_KEY):
        return _schedule_key_hint(word, value, document)
    return _REMOVAL_HINT_BY_KEY.get(word)


def _unless_set(word: str, key: str, hint: str | None, document: Any) -> str | None:
    """Return `hint`, or that the key must go if the document already has `key`, its counterpart in the format.

    None if `word` is that key itself, which the file can't have.
    """
    if hint is None or not isinstance(document, dict) or key not in document:
        return hint
    if word == plain_key(key):
        return None
    return f"remove it: {key} is already set"


def _trigger_hint(word: str, value: Any) -> str | None:
    """Return the hint for an unknown key under `on`, such as the schedules of a GitHub workflow."""
    rules = schedules_of(value) if word == "schedule" else []
    return _if_short(f"instead of on, write {_rules_entry(rules)}") if rules else None


def _rules_entry(rules: list[dict[str, Any]]) -> str:
    return f"schedule: {_yaml(rules[0])}" if len(rules) == 1 else f"schedules: {_yaml(rules)}"


def _schedule_hint(word: str, value: Any, document: Any) -> str | None:
    if word == "oncalendar" and isinstance(value, str):
        rule: dict[str, Any] = dict(parse_natural_schedule(value, systemd=True) or {})
    else:
        rule = {word: value} if word in RULES and isinstance(value, str | int | float | list) else schedule_of(value)
    if not rule:
        return "remove it: a deployment without a schedule runs when it is triggered" if value is None else None
    zone = next((value for key, value in _items(document) if plain_key(key) in ("timezone", "tz")), None)
    if isinstance(zone, str):
        rule = {**rule, "timezone": zone}
    return f"write schedule: {_yaml(rule)}"


def _schedule_key_hint(word: str, value: Any, document: Any) -> str | None:
    """Return the hint for a key of a schedule that was written at the top level."""
    key, builder = _INSIDE["schedule"].get(word, (SCHEDULE_KEYS.get(word, word), _same))
    try:
        inner = builder(value)
    except ValueError:
        return None
    schedule = document.get("schedule") if isinstance(document, dict) else None
    rule = dict(schedule) if isinstance(schedule, dict) else schedule_of(schedule)
    rule = rule or next(
        (schedule_of(entry) for name, entry in _items(document) if plain_key(name) in _SCHEDULE_WORDS), {}
    )
    if inner is None:
        return None
    if rule and key not in rule:
        return _if_short(f"it belongs in a schedule: write schedule: {_yaml({**rule, key: inner})}")
    return _if_short(f"it belongs in a schedule: write {key}: {_yaml(inner)} beside its cron, interval, rrule or at")


def entry_hint(key: str, builder: Builder, value: Any) -> str | None:
    """Return the hint to write `key` with the value that `builder` makes of `value`; None if it makes none."""
    try:
        inner = builder(value)
    except (TypeError, ValueError, AttributeError, KeyError):
        return None
    return None if inner is None else _if_short(f"write {key}: {_yaml(inner)}")


def _if_short(hint: str) -> str | None:
    return hint if len(hint) <= _MAX_HINT else None


def _yaml(value: Any) -> str:
    """Return `value` as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{yaml_word(str(key))}: {_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return yaml_word(value) if isinstance(value, str) else json.dumps(value)


def _items(document: Any) -> list[tuple[str, Any]]:
    return [(str(key), value) for key, value in document.items()] if isinstance(document, dict) else []


def _same(value: Any) -> Any:
    return value


def _retry_limit(document: Any) -> int:
    counts = [count_of(value) for key, value in _items(document) if _TOP.get(plain_key(key), ("",))[0] == "retries"]
    own = dict(_items(document)).get("retries")
    return next((count for count in [*counts, count_of(own) if own is not None else None] if count), 1)


_SCHEDULE_WORDS = frozenset(
    {"scheduleinterval", "crontab", "cronexpression", "cronschedule", "every", "frequency", "rrules", "oncalendar"}
)
_WORDS: tuple[tuple[str, str, Builder], ...] = (
    ("entrypoint entry_point flow_path flow_file", "flow", flow_of),
    ("run script cmd exec program bash_command exec_start", "command", command_of),
    ("shell", "command", lambda value: command_of(value) if " " in value else None),
    ("dag_id id title deployment_name workflow job_name", "name", name_from_title),
    ("max_retries maxretries retry retry_policy retrypolicy backofflimit attempts retry_limit", "retries", retries_of),
    (
        "timeout_seconds timeout_sec activedeadlineseconds runtime_max_sec timeout_start_sec",
        "timeout",
        duration_in("s"),
    ),
    ("timeout_minutes", "timeout", duration_in("m")),
    ("execution_timeout dagrun_timeout max_duration max_run_time", "timeout", duration_in("s")),
    ("startingdeadlineseconds misfire_grace_time", "start_deadline", duration_in("s")),
    (
        "concurrency_limit concurrency concurrencypolicy overlap_policy max_active_runs maxactiveruns",
        "overlap",
        overlap_of,
    ),
    ("params kwargs op_kwargs inputs with conf", "parameters", parameters_of),
    ("paused is_paused is_paused_upon_creation disabled disable", "suspend", suspend_when(when=True)),
    ("active is_schedule_active is_active", "suspend", suspend_when(when=False)),
    ("environment env_vars envs environment_variables variables", "env", variables_of),
    ("secret", "secrets", secrets_of),
    ("labels label keywords annotations", "tags", tags_of),
    ("doc doc_md docs comment summary owner", "description", lambda value: value if isinstance(value, str) else None),
    ("cwd workdir working_dir dir", "working_directory", directory_of),
    ("restart restart_policy", "retries", restart_of),
    ("tz time_zone timezone_name zone", "timezone", lambda value: value if isinstance(value, str) else None),
    ("flow_run_name run_name_template runname", "run_name", lambda value: value if isinstance(value, str) else None),
    ("weight priority_weight", "priority", _same),
    ("skip_on_exit_code", "skip_exit_code", _same),
    ("memory mem mem_limit memory_limit", "resources", lambda value: {"memory": value}),
    ("history_limit hist_retention_days histretentiondays", "retention", lambda value: {"days": value}),
    ("successfuljobshistorylimit", "retention", lambda value: {"runs": value}),
)
_WORDS += (
    ("depends_on depends dependson needs upstream upstreams requires wait_for", "after", upstreams_of),
    ("sla slo", "expect", lambda value: {"finish_within": duration_of(value)}),
    (
        "healthcheck healthchecks healthchecks_url health_check heartbeat_url ping ping_url cronitor",
        "heartbeat",
        lambda value: value if isinstance(value, str) and _URL.fullmatch(value) else None,
    ),
)
_TOP = {plain_key(word): (key, builder) for words, key, builder in _WORDS for word in words.split()}
_SCHEDULE = (
    ("expression crontab schedule cron_expression cron_schedule schedule_interval", "cron", _same),
    ("tz time_zone timezone_name zone", "timezone", _same),
    ("every frequency", "interval", _same),
    ("seconds", "interval", duration_in("s")),
    ("minutes", "interval", duration_in("m")),
    ("hours", "interval", duration_in("h")),
    ("days", "interval", duration_in("d")),
    ("start_date startdate start_time starts_at begin", "start", _same),
    ("end_date enddate end_time ends_at until", "end", _same),
    ("date run_at time datetime when once", "at", _same),
    ("name slug key", "id", _same),
    ("anchor", "anchor_date", _same),
    ("params inputs args kwargs", "parameters", parameters_of),
    ("paused disabled", "suspend", suspend_when(when=True)),
    ("enabled active", "suspend", suspend_when(when=False)),
)
_ATTEMPTS = (
    ("max count attempts max_attempts max_retries maximum number", "limit", _same),
    ("delay_seconds interval interval_sec wait retry_delay", "delay", _same),
    ("exponential_backoff factor multiplier", "backoff", lambda value: 2 if value is True else value),
    ("max_interval max_delay_seconds", "max_delay", _same),
)
_INSIDE = {
    place: {plain_key(word): (key, builder) for words, key, builder in rows for word in words.split()}
    for place, rows in (("schedule", _SCHEDULE), ("schedules", _SCHEDULE), ("retries", _ATTEMPTS))
}
_INSIDE["expect"] = {
    plain_key(word): (key, duration_of)
    for key, words in (
        ("start_within", "start started_within start_in starts_within started_by max_delay late_after"),
        ("finish_within", "finish within finished_within end_within finish_in deadline sla duration max_duration"),
        ("success_every", "every success succeed_every success_within freshness max_age interval"),
    )
    for word in words.split()
}
_INSIDE["notify"] = {plain_key(word): ("to", _same) for word in ["channel", "channels", "targets", "receivers"]} | {
    plain_key(word): ("on", lambda value: [value] if isinstance(value, str) else value)
    for word in ["events", "event", "states", "state", "when"]
}
_INSIDE["resources"] = {
    **dict.fromkeys(("mem", "memorylimit", "ram"), ("memory", _same)),
    **dict.fromkeys(("cpu", "cores", "numcpus"), ("cpus", _same)),
    **dict.fromkeys(("gpu", "numgpus"), ("gpus", _same)),
}
_INSIDE["catchup"] = {"enabled": ("policy", lambda value: "all" if value is True else "none")}
_INSIDE["retention"] = {"count": ("runs", _same), "keep": ("runs", _same)}
_TYPES = {
    "schedule": lambda value: schedule_of(value) or None,
    "schedules": lambda value: [schedule_of(value)] if schedule_of(value) else None,
    "retries": retries_of,
    "catchup": catchup_of,
    "retention": lambda value: {"runs": value} if isinstance(value, int) else None,
    "resources": lambda value: {"memory": value} if isinstance(value, str) else None,
    "env": lambda value: variables_of(value) if isinstance(value, list) else None,
    "secrets": secrets_of,
    "parameters": parameters_of,
    "tags": lambda value: tags_of(value) if isinstance(value, dict) else None,
    "prune": lambda value: {True: "enabled", False: "disabled"}.get(value) if isinstance(value, bool) else None,
    "overlap": lambda value: {True: "allow", False: "skip"}[value] if isinstance(value, bool) else overlap_of(value),
    "suspend": suspend_when(when=True),
    "notify": lambda value: {"to": value} if isinstance(value, str) and _CHANNEL.fullmatch(value) else None,
    "expect": lambda value: {"finish_within": value} if duration_of(value) is not None else None,
}
