"""Converts messages to the requests that `sender` understands: the texts for services, and the JSON for webhooks.

`delivery` calls it. Pure functions.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from controller import schedules
from controller.model.notifications import Message, Trouble
from controller.notify.channels import Endpoint
from controller.notify.commit_status_requests import commit_status_request
from controller.text import format_count
from controller.time_format import format_time

DIGEST = "digest"
"""The state of several messages that are sent as one."""
_SEVERITIES = {
    Trouble.RECOVERED.value: "success",
    Trouble.LATE.value: "warning",
    Trouble.OVERDUE.value: "warning",
    "flapping": "warning",
    "test": "info",
    DIGEST: "info",
}


def message_request(endpoint: Endpoint, batch: Sequence[Message], now: datetime) -> dict[str, Any]:
    """Return the request that sends these messages to a channel: one as it is, several as a digest.

    Of several commit statuses, only the newest is sent.
    """
    declared = endpoint.channel.commit_status
    if declared is not None:
        return commit_status_request(declared, endpoint.url, endpoint.key or "", batch[-1])
    title, body = (
        (batch[0].title, batch[0].body)
        if len(batch) == 1
        else _digest_texts(batch, schedules.zone(endpoint.channel.timezone))
    )
    request = {"url": endpoint.url, "key": endpoint.key, "id": batch[-1].id}
    if endpoint.is_webhook:
        payload = _payload(batch[0]) if len(batch) == 1 else _digest_payload(batch, title, body)
        return {**request, "kind": "webhook", "payload": payload, "timestamp": int(now.timestamp())}
    state = batch[0].state if len(batch) == 1 else DIGEST
    return {
        **request,
        "kind": "service",
        "title": title,
        "body": body,
        "severity": _SEVERITIES.get(state, "failure"),
    }


def heartbeat_request(url: str, message: Message) -> dict[str, str]:
    """Return the request that sends a heartbeat: the payload has the `suffix` of the path, such as `/fail`."""
    base, question, query = url.partition("?")
    return {"url": f"{base.rstrip('/')}{message.payload.get('suffix', '')}{question}{query}", "body": message.body}


def _payload(message: Message) -> dict[str, Any]:
    """Return the JSON of a message: its fields, and what the evaluation adds, such as `url`."""
    return {
        "id": message.id,
        "state": message.state,
        "deployment": message.deployment,
        "run_id": message.run_id,
        "reason": message.reason,
        "title": message.title,
        "body": message.body,
        "incident_id": message.incident_id,
        "created_at": _utc(message.created_at),
        **{name: value for name, value in message.payload.items() if name != "id"},
    }


def _digest_payload(batch: Sequence[Message], title: str, body: str) -> Mapping[str, Any]:
    """Return the JSON of a digest. Its id is that of the newest message, so that a repetition has the same id."""
    newest = batch[-1]
    digest = {"id": newest.id, "state": DIGEST, "title": title, "body": body, "created_at": _utc(newest.created_at)}
    return {**digest, "messages": [_payload(message) for message in batch]}


def _digest_texts(batch: Sequence[Message], zone: ZoneInfo) -> tuple[str, str]:
    lines = [f"{format_time(message.created_at, zone)}: {message.title}" for message in batch]
    return format_count(len(batch), "message"), "\n".join(lines)


def _utc(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
