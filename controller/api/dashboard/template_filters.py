"""Template filters that format values for pages: times, durations, revisions, JSON."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from controller.model.runs import Run
from controller.queries.serialization import to_json, utc
from controller.text import format_bytes
from controller.time_format import TIME_IN_UTC, format_time

_TONES = {
    "good": frozenset({"succeeded", "Healthy", "Synced", "True", "ok", "sent", "ready", "recovered"}),
    "bad": frozenset(
        {"failed", "timed_out", "crashed", "Degraded", "Invalid", "error", "False"}
        | {"invalid", "failing", "undeliverable", "misconfigured", "overdue", "source", "storage"}
    ),
    "busy": frozenset({"running", "Running", "retrying", "pending", "waiting"}),
    "warn": frozenset(
        {"OutOfSync", "warning", "cancelled", "paused", "Suspended", "held", "suspended in git"}
        | {"out_of_sync", "late", "suspended", "withheld", "python", "flapping"}
    ),
}
_RUN_ICONS = frozenset({"timed_out", "crashed", "running", "retrying", "pending", "cancelled", "skipped"})
_STATE_ICONS = {"Running": "running", "scheduled": "pending", "paused": "held", "held": "held", "Suspended": "held"}
_STATE_ICONS |= {
    "suspended in git": "held",
    "suspended": "held",
    "late": "pending",
    "info": "info",
    "waiting": "pending",
} | {state: state for state in _RUN_ICONS}
_TONE_ICONS = {"good": "succeeded", "bad": "failed", "warn": "warning"}
_ID = re.compile(r"([Bb]ackfill )?([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12})")
_REVISION = re.compile(r"([\w./-]+@)sha(?:1|256):([0-9a-f]{9})[0-9a-f]{20,}")
_REORDERS = re.compile("[\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SHORT, _IN_TENTHS = 0.1, 10
_LINE = 64
_MAX_INDENTED_DEPTH = 30
_LONG_CHARACTERS, _LONG_LINES = 600, 15
_MAX_CHARACTERS, _MAX_LINES, _MAX_BRIEF = 20_000, 200, 500


def when(moment: datetime | None, zone: str | None = None, empty: str = "-") -> Markup:
    """Render a time in `zone`, by default UTC. With scripts enabled, browsers show it in the viewer's zone instead."""
    if moment is None:
        return Markup("<span class=muted>{}</span>").format(empty)
    return _time(moment, zone, format_time(moment, ZoneInfo(zone) if zone else UTC))


def date(moment: datetime, zone: str | None = None) -> Markup:
    """Render a time as `when` does, but never relative to now: for times after "since" and "until"."""
    return _time(moment, zone, format_time(moment, ZoneInfo(zone) if zone else UTC), "date")


def at(moment: datetime, zone: str) -> Markup:
    """Render the time of day only, where the day is shown elsewhere. Time zones as in `when`."""
    return _time(moment, zone, f"{moment.astimezone(ZoneInfo(zone)):%H:%M}", "clock")


def _time(moment: datetime, zone: str | None, text: str, kind: str = "") -> Markup:
    attribute = Markup(" data-{}").format(kind) if kind else ""
    return Markup('<time datetime="{}" data-zone="{}"{}>{}</time>').format(utc(moment), zone or "", attribute, text)


def duration(start: datetime | None, end: datetime | None) -> Markup:
    """Render a duration. Without an `end`, a script counts the seconds since `start`."""
    if start is None:
        return Markup("<span class=muted>-</span>")
    if end is None:
        return Markup('<span data-since="{}">…</span>').format(utc(start))
    return escape(seconds(max(0.0, (end - start).total_seconds())))


def run_duration(run: Run) -> Markup:
    """Render how long the attempts of a run have taken. While it is running, a script counts the seconds."""
    if run.running_since is not None:
        return duration(run.running_since, None)
    if run.took is None:
        return Markup("<span class=muted>-</span>")
    return escape(seconds(run.took))


def seconds(count: float) -> str:
    """Format a duration in seconds: `0.4 ms`, `35 ms`, `0.35 s`, `12 s`, `3 min 5 s`, `2 h 4 min`, `3 d 2 h`."""
    if count == 0:
        return "0 s"
    if count < _SHORT:
        return f"{count * 1000:.{0 if count * 1000 >= _IN_TENTHS else 1}f} ms"
    if count < 10:
        return f"{count:.2f} s"
    whole = round(count)
    for size, name, smaller, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def short(revision: str | None) -> str:
    """Shorten a revision, for example to `main@1a2b3c4d5`."""
    if not revision:
        return "-"
    label, _, commit = revision.rpartition(":")
    name = label.rpartition("@")[0]
    return f"{name}@{commit[:9]}" if name else commit[:9]


def tone(status: object) -> str:
    """Return the CSS class for a state, sync, health, severity or condition status."""
    text = str(status)
    return next((name for name, statuses in _TONES.items() if text in statuses), "plain")


def state_icon(state: object) -> str:
    """Return the id in icons.svg of the icon for a state, so that colour is not the only difference."""
    return _STATE_ICONS.get(str(state)) or _TONE_ICONS.get(tone(state), "none")


def with_links(text: str, zone: str | None = None) -> Markup:
    """Escape a message, link the ids of runs and backfills in it, shorten the revisions, and show times as `date`."""
    brief = _REVISION.sub(lambda match: f"{match[1]}{match[2]}", text)
    linked = _ID.sub(_link, escape(brief))
    return Markup(TIME_IN_UTC.sub(lambda match: _dated(match, zone), linked))


def _dated(match: re.Match[str], zone: str | None) -> str:
    try:
        return date(datetime.fromisoformat(match[1]).replace(tzinfo=UTC), zone)
    except ValueError:
        return match[0]


def _link(match: re.Match[str]) -> str:
    prefix, number = match[1] or "", match[2]
    page = "backfills" if prefix else "runs"
    return f'{prefix}<a class="mono" href="/{page}/{number}">{number[-12:]}</a>'


def pretty(value: Any) -> str:
    """Format a value as indented JSON; an object or array that fits on one line is not broken up."""
    return _format_nested(to_json(value), 0)


def _format_nested(value: Any, indent: int) -> str:
    line = compact(value)
    if (
        len(line) + indent <= _LINE
        or indent > 2 * _MAX_INDENTED_DEPTH
        or not isinstance(value, Mapping | list | tuple)
        or not value
    ):
        return line
    inner = " " * (indent + 2)
    if isinstance(value, Mapping):
        parts = [f"{inner}{compact(key)}: {_format_nested(item, indent + 2)}" for key, item in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{' ' * indent}}}"
    return "[\n" + ",\n".join(f"{inner}{_format_nested(item, indent + 2)}" for item in value) + f"\n{' ' * indent}]"


def compact(value: Any) -> str:
    """Format a value as JSON on one line. Bidirectional control characters are escaped, as in the log."""
    text = json.dumps(to_json(value), ensure_ascii=False)
    return _REORDERS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def beginning(text: str) -> str:
    """Return the part of a long text that pages show: at most 200 lines and 20,000 characters."""
    return "\n".join(text[:_MAX_CHARACTERS].split("\n")[:_MAX_LINES])


def truncation(text: str) -> str:
    """Describe how `beginning` shortens the text; return an empty string if it does not."""
    visible = beginning(text)
    if visible == text:
        return ""
    lines = text.count("\n") + 1
    if lines > _MAX_LINES:
        return f"Showing the first {visible.count(chr(10)) + 1:,} of {lines:,} lines"
    return f"Showing the first {len(visible):,} of {len(text):,} characters"


def brief(text: str) -> str:
    """Shorten a text for a list to 500 characters."""
    return text if len(text) <= _MAX_BRIEF else f"{text[:_MAX_BRIEF]}…"


def is_long(text: str) -> bool:
    """Return whether a text needs a box that scrolls."""
    return len(text) > _LONG_CHARACTERS or text.count("\n") >= _LONG_LINES


FILTERS = {
    "utc": utc,
    "when": when,
    "date": date,
    "at": at,
    "iso": utc,
    "size": format_bytes,
    "seconds": seconds,
    "short": short,
    "tone": tone,
    "state_icon": state_icon,
    "with_links": with_links,
    "pretty": pretty,
    "compact": compact,
    "is_long": is_long,
    "beginning": beginning,
    "truncation": truncation,
    "brief": brief,
}
