"""Reads what a document says about notifications: its notification rules, its deadlines and its heartbeat.

`build` calls `read_notify_fields`; `notify_file` reads the operator's rules with the same functions.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, TypedDict

from controller.manifests.schedule_fields import read_duration
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.nodes import Path
from controller.model.notifications import DEFAULT_ON, Expectation, NotifyRule, Trouble
from controller.model.policies import EnvSecret, FileSecret, Secret

_DEADLINES = ("start_within", "finish_within", "success_every")


class NotifyFields(TypedDict):
    """The fields of a Deployment that this module reads."""

    notify: tuple[NotifyRule, ...]
    expect: Expectation
    heartbeat: str | Secret | None


def read_notify_fields(context: ValidationContext) -> NotifyFields:
    """Return the notification rules, the deadlines and the heartbeat. Invalid values are left out."""
    declared = context.value.get("notify") if context.is_valid_at(("notify",)) else None
    rules: list[tuple[Path, Any]] = []
    if isinstance(declared, Mapping):
        rules = [(("notify",), declared)]
    elif isinstance(declared, list | tuple):
        rules = [(("notify", index), rule) for index, rule in enumerate(declared)]
    expected = context.valid_fields("expect")
    lengths = {name: read_length(context, ("expect", name), expected.get(name)) for name in _DEADLINES}
    heartbeat = context.get("heartbeat")
    return NotifyFields(
        notify=tuple(read_rule(context, path, rule) for path, rule in rules if context.is_clean(path)),
        expect=Expectation(**lengths),
        heartbeat=read_secret(heartbeat) if isinstance(heartbeat, Mapping) else heartbeat,
    )


def read_rule(
    context: ValidationContext, path: Path, rule: Mapping[str, Any], default_on: Iterable[Trouble] = DEFAULT_ON
) -> NotifyRule:
    """Return the notification rule at `path`, which matches the schema."""
    to, on = rule["to"], rule.get("on", default_on)
    return NotifyRule(
        to=(to,) if isinstance(to, str) else tuple(dict.fromkeys(to)),
        on=tuple(dict.fromkeys(Trouble(word) for word in on)),
        failures=int((rule.get("after") or {}).get("failures", 1)),
        wait=read_length(context, (*path, "for"), rule.get("for")) or timedelta(0),
        deployments=tuple(rule.get("deployments", ())),
        tags=tuple(rule.get("tags", ())),
    )


def read_secret(source: Mapping[str, str]) -> Secret:
    """Return the place of a secret value, which matches the schema."""
    return EnvSecret(env=source["env"]) if "env" in source else FileSecret(file=source["file"])


def read_length(context: ValidationContext, path: Path, value: Any) -> timedelta | None:
    """Return the duration at `path`; None if there is none, or after adding a problem."""
    return None if value is None else read_duration(context, path, value)
