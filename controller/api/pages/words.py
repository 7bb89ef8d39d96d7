"""How values look on a page: times, durations, revisions. Templates use these as filters."""

import json
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

from controller.views.plain import to_json, utc

_GOOD = frozenset({"succeeded", "Healthy", "Synced", "True"})
_BAD = frozenset({"failed", "timed_out", "crashed", "Degraded", "Invalid", "error", "False"})
_BUSY = frozenset({"running", "Running", "retrying", "pending"})
_ODD = frozenset({"OutOfSync", "warning", "cancelled", "Suspended"})


def when(moment: datetime | None, zone: str = "", empty: str = "-") -> Markup:
    """A time for a browser, which shows it in its own zone; with `zone` it also tells that of the deployment."""
    if moment is None:
        return Markup("<span class=muted>{}</span>").format(empty)
    text = f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" data-zone="{}">{}</time>').format(utc(moment), zone, text)


def lasted(start: datetime | None, end: datetime | None) -> Markup:
    """How long something took; while it goes on the browser counts."""
    if start is None:
        return Markup("<span class=muted>-</span>")
    if end is None:
        return Markup('<span data-since="{}">…</span>').format(utc(start))
    return escape(seconds((end - start).total_seconds()))


def seconds(count: float) -> str:
    """`0.35 s`, `12 s`, `3 min 5 s`, `2 h 4 min`, `3 d 2 h`."""
    if count < 10:
        return f"{count:.2f} s"
    whole = round(count)
    for size, name, smaller, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def short(revision: str | None) -> str:
    """`main@1a2b3c4d5` of a revision."""
    if not revision:
        return "-"
    label, _, commit = revision.rpartition(":")
    name = label.rpartition("@")[0]
    return f"{name}@{commit[:9]}" if name else commit[:9]


def tone(word: object) -> str:
    """The class of a word that says how it goes."""
    text = str(word)
    for words, name in ((_GOOD, "good"), (_BAD, "bad"), (_BUSY, "busy"), (_ODD, "odd")):
        if text in words:
            return name
    return "plain"


def pretty(value: Any) -> str:
    """JSON for people."""
    return json.dumps(to_json(value), indent=2, ensure_ascii=False)


def compact(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(to_json(value), ensure_ascii=False)


FILTERS = {
    "when": when,
    "seconds": seconds,
    "short": short,
    "tone": tone,
    "pretty": pretty,
    "compact": compact,
}
