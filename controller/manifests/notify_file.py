"""Reads `notify.yaml`, the operator's file with the channels and the rules of notifications.

`controller.notify.channels` calls `read_notify_file` for every new version of the file. URLs are secrets: no finding
contains a value of a channel.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import time
from typing import Any
from urllib.parse import urlsplit

from controller import schedules
from controller.errors import ScheduleError
from controller.manifests.commit_status_fields import read_commit_status
from controller.manifests.notify_fields import read_length, read_rule, read_secret
from controller.manifests.schema_validation import NOTIFY, check_shape
from controller.manifests.validation_context import ValidationContext
from controller.manifests.yaml.loader import load
from controller.manifests.yaml.nodes import Path, Position, Problem
from controller.model.findings import Finding, Severity, by_place
from controller.model.notifications import Channel, NotifyRule, NotifySettings, QuietHours, Trouble
from controller.model.policies import Secret
from controller.text import did_you_mean

_TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
MAX_ERRORS = 20
"""How many errors of the file a message has."""
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


def describe_errors(errors: Sequence[Finding]) -> str:
    """Return the first errors of the file with their hints, one per line, and the number of the others."""
    if len(errors) == 1:
        return f"{errors[0]}."
    lines = [str(error) + (f" ({error.hint})" if error.hint else "") for error in errors[:MAX_ERRORS]]
    return "\n".join([*lines, *([f"And {len(errors) - MAX_ERRORS} more."] if len(errors) > MAX_ERRORS else [])])


def read_notify_file(content: bytes, path: str) -> tuple[NotifySettings, tuple[Finding, ...]]:
    """Return what the file declares, and its findings in the order of the file; `path` is the file's name in them.

    With an error among the findings, the settings are incomplete and must not be used.
    """
    loaded = load(content)
    problems = [_without_values(problem) for problem in loaded.problems]
    settings = NotifySettings()
    if len(loaded.documents) > 1 or any(not isinstance(each.root.value, dict) for each in loaded.documents):
        place = loaded.documents[-1].root.place
        problems.append(Problem(code="NotAMapping", message="the file must be a single mapping", place=place))
    elif loaded.documents:
        [document] = loaded.documents
        shape = check_shape(document.root, NOTIFY)
        context = ValidationContext(document.root, (*document.problems, *shape))
        settings = _settings(context)
        problems += context.problems
    elif not problems:
        problems.append(_no_channels(Position(1, 1)))
    return settings, tuple(sorted((problem.finding(path, None) for problem in problems), key=by_place))


def _settings(context: ValidationContext) -> NotifySettings:
    declared = context.value.get("channels")
    names = list(declared) if isinstance(declared, Mapping) else []
    built = [_channel(context, name, declared) for name in names] if isinstance(declared, Mapping) else []
    channels = {channel.name: channel for channel in built if channel is not None}
    rules = context.value.get("rules")
    items = list(enumerate(rules)) if isinstance(rules, list | tuple) and context.is_valid_at(("rules",)) else []
    commit_status = read_commit_status(context)
    if not names and commit_status is None and not context.problems:
        context.problems.append(_no_channels(context.root.at(("channels",)).place))
    wait = read_length(context, ("group_wait",), context.get("group_wait"))
    settings = NotifySettings(
        channels=channels,
        commit_status=commit_status,
        rules=tuple(_rule(context, ("rules", i), rule, names) for i, rule in items if context.is_clean(("rules", i))),
    )
    return settings if wait is None else replace(settings, group_wait=wait)


def _no_channels(place: Position) -> Problem:
    message = "no channel is declared, so nothing is reported"
    hint = "declare one: channels: {ops: {url: {env: SLACK_URL}}}"
    return Problem(code="NoChannels", message=message, place=place, hint=hint, severity=Severity.WARNING)


def _rule(context: ValidationContext, path: Path, rule: Mapping[str, Any], names: list[str]) -> NotifyRule:
    to = rule["to"]
    for name in [to] if isinstance(to, str) else to:
        if name not in names:
            place = (*path, "to") if isinstance(to, str) else (*path, "to", list(to).index(name))
            hint = did_you_mean(name, names) or (f"declared channels: {', '.join(names)}" if names else None)
            context.add("UnknownChannel", f"channel {name} is not declared", place, hint=hint)
    return read_rule(context, path, rule, tuple(Trouble))


def _channel(context: ValidationContext, name: str, declared: Mapping[str, Any]) -> Channel | None:
    """Return the channel of this name; None if it has an error."""
    path: Path = ("channels", name)
    if not context.is_clean(path):
        return None
    fields = declared[name]
    timezone = _timezone(context, (*path, "timezone"), fields.get("timezone", "UTC"))
    digest = _time_of_day(context, (*path, "digest"), fields.get("digest"))
    quiet = _quiet_hours(context, (*path, "quiet"), fields.get("quiet"), timezone)
    channel = Channel(
        name=name,
        url=_place(fields.get("url")),
        webhook=_place(fields.get("webhook")),
        hmac=None if fields.get("hmac") is None else read_secret(fields["hmac"]),
        quiet=quiet,
        digest=digest,
        timezone=timezone,
        log_lines=int(fields.get("log_lines", 0)),
    )
    _check_url(context, (*path, "url" if channel.webhook is None else "webhook"), channel)
    return channel if context.is_clean(path) else None


def _place(value: Any) -> str | Secret | None:
    return read_secret(value) if isinstance(value, Mapping) else value


def _check_url(context: ValidationContext, path: Path, channel: Channel) -> None:
    """Add what is wrong with a URL that the file contains. One behind a secret is checked when it is used."""
    url = channel.url if channel.webhook is None else channel.webhook
    if not isinstance(url, str):
        return
    if not _URL.fullmatch(url):
        hint = "write it as SCHEME://…, without spaces, or where it comes from: {env: NAME} or {file: /path}"
        context.add("InvalidUrl", f"{path[-1]} is not a URL", path, hint=hint)
    elif channel.webhook is not None:
        _check_webhook(context, path, url)


def _check_webhook(context: ValidationContext, path: Path, url: str) -> None:
    parts = _split(url)
    if _has_invalid_port(url):
        hint = "write a number from 1 to 65535, or leave the port out"
        context.add("InvalidUrl", "the port of webhook is invalid", path, hint=hint)
    elif parts is None or parts[0] not in ("http", "https"):
        hint = "write https://…, or use the key url for a service of apprise"
        context.add("InvalidUrl", "webhook must be a URL that begins with https:// or http://", path, hint=hint)
    elif "@" in urlsplit(url).netloc:
        hint = "remove them; hmac signs each request, and the path or the query can contain a token"
        context.add("InvalidUrl", "webhook contains a user or a password, which are not sent", path, hint=hint)
    elif parts[0] == "http" and parts[1] not in _LOCAL_HOSTS:
        hint = "write https://… if the receiver supports it"
        message = "messages are sent without encryption"
        context.add("PlainHttp", message, path, hint=hint, severity=Severity.WARNING)


def _has_invalid_port(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    try:
        return parts.port == 0
    except ValueError:
        return True


def _split(url: str) -> tuple[str, str] | None:
    """Return the scheme and the host of a URL; None if it has no valid ones."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return (parts.scheme, parts.hostname) if parts.hostname else None


def _quiet_hours(context: ValidationContext, path: Path, value: Any, timezone: str) -> QuietHours | None:
    if value is None:
        return None
    start, end = (_time_of_day(context, (*path, key), value[key]) for key in ("from", "to"))
    zone = _timezone(context, (*path, "timezone"), value.get("timezone", timezone))
    if start is None or end is None:
        return None
    if start == end:
        context.add("InvalidValue", "from and to must differ", (*path, "to"))
    return QuietHours(start=start, end=end, timezone=zone)


def _time_of_day(context: ValidationContext, path: Path, value: str | None) -> time | None:
    """Return the time of day at `path`; None if there is none, or after adding a problem."""
    if value is None:
        return None
    match = _TIME_OF_DAY.fullmatch(value)
    if match is None:
        hint = 'write a time of day in 24 hours, in quotes: "22:00"'
        context.add("InvalidTime", f"{path[-1]} is not a time of day", path, hint=hint)
        return None
    return time(int(match[1]), int(match[2]))


def _timezone(context: ValidationContext, path: Path, name: str) -> str:
    try:
        schedules.zone(name)
    except ScheduleError as error:
        context.add_error("InvalidTimezone", error, path)
        return "UTC"
    return name


def _without_values(problem: Problem) -> Problem:
    """Return a problem of the YAML syntax without its hint if that repeats a part of the file, which may be secret."""
    return replace(problem, hint=None) if problem.hint and '"' in problem.hint else problem
