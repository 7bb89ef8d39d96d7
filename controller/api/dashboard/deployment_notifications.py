"""Notifications on the page of a deployment: the rules that apply to it, by channel, and the last messages about it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from controller.model.deployments import Deployment
from controller.model.notifications import NotifySettings, Trouble
from controller.notify.rules import find_audience
from controller.queries.notifications import list_messages
from controller.store import Transaction

_MESSAGES = 5
_ELSEWHERE = frozenset({Trouble.SOURCE, Trouble.STORAGE, Trouble.WITHHELD})
"""Troubles of the whole controller, which are not about a deployment."""


def describe_notifications(
    tx: Transaction, settings: NotifySettings, name: str, declared: Deployment | None
) -> Mapping[str, Any]:
    """Return the values of the template. `declared` is None if the deployment can't be built."""
    rules = () if declared is None else declared.notify
    audience = {} if declared is None else find_audience(settings, name, declared.tags, rules)
    return {
        "audience": {
            channel: [
                replace(rule, on=tuple(trouble for trouble in rule.on if trouble not in _ELSEWHERE)) for rule in own
            ]
            for channel, own in audience.items()
        },
        "unknown_channels": sorted({channel for rule in rules for channel in rule.to} - settings.channels.keys()),
        "has_channels": bool(settings.channels),
        "heartbeat": declared is not None and declared.heartbeat is not None,
        "messages": list_messages(tx, _MESSAGES, deployment=name),
    }
