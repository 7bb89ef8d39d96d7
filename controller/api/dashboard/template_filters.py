"""How values look on a page: times, durations, revisions. Templates use these as filters."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from controller.queries.serialization import to_json, utc
from controller.time_format import shown

_TONES = {
    "good": frozenset({"succeeded", "Healthy", "Synced", "True"}),
    "bad": frozenset({"failed", "timed_out", "crashed", "Degraded", "Invalid", "error", "False"}),
    "busy": frozenset({"running", "Running", "retrying", "pending"}),
    "odd": frozenset({"OutOfSync", "warning", "cancelled", "Suspended", "held", "suspended in git"}),
}
_GLYPHS = {"succeeded": "✓", "running": "●", "retrying": "↻", "pending": "○", "scheduled": "○", "cancelled": "⊘"}
_RUN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_REVISION = re.compile(r"([\w./-]+@)sha(?:1|256):([0-9a-f]{9})[0-9a-f]{20,}")
_REORDERS = re.compile("[\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SHORT, _IN_TENTHS = 0.1, 10
_LINE = 64
_DEEPEST = 30
_MOST_CHARACTERS, _MOST_LINES = 600, 15
_ALL_CHARACTERS, _ALL_LINES, _BRIEF = 20_000, 200, 500


def when(moment: datetime | None, zone: str | None = None, empty: str = "-") -> Markup:
    """A time in the deployment's `zone`, or in UTC. A browser that runs scripts shows it in its own zone instead."""
    if moment is None:
        return Markup("<span class=muted>{}</span>").format(empty)
    text = shown(moment, ZoneInfo(zone) if zone else UTC)
    return Markup('<time datetime="{}" data-zone="{}">{}</time>').format(utc(moment), zone or "", text)


def at(moment: datetime, zone: str) -> Markup:
    """The same by the clock alone, for a place that says the day; in `zone` until a browser shows it in its own."""
    text = f"{moment.astimezone(ZoneInfo(zone)):%H:%M}"
    return Markup('<time datetime="{}" data-zone="{}" data-clock>{}</time>').format(utc(moment), zone, text)


def lasted(start: datetime | None, end: datetime | None) -> Markup:
    """How long something took; while it goes on the browser counts."""
    if start is None:
        return Markup("<span class=muted>-</span>")
    if end is None:
        return Markup('<span data-since="{}">…</span>').format(utc(start))
    return escape(seconds(max(0.0, (end - start).total_seconds())))


def seconds(count: float) -> str:
    """`0.4 ms`, `35 ms`, `0.35 s`, `12 s`, `3 min 5 s`, `2 h 4 min`, `3 d 2 h`."""
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
    """`main@1a2b3c4d5` of a revision."""
    if not revision:
        return "-"
    label, _, commit = revision.rpartition(":")
    name = label.rpartition("@")[0]
    return f"{name}@{commit[:9]}" if name else commit[:9]


def tone(word: object) -> str:
    """The class of a word that says how it goes."""
    text = str(word)
    return next((name for name, words in _TONES.items() if text in words), "plain")


def glyph(state: object) -> str:
    """A sign for a state, so that it is told by more than its colour."""
    return _GLYPHS.get(str(state)) or {"bad": "✕", "good": "✓"}.get(tone(state), "-")


def linked(text: str) -> Markup:
    """A message with its runs as links, and its revisions in short."""
    brief = _REVISION.sub(lambda found: f"{found[1]}{found[2]}", text)
    return Markup(
        _RUN.sub(lambda found: f'<a class="mono" href="/runs/{found[0]}">{found[0][-12:]}</a>', escape(brief))
    )


def pretty(value: Any) -> str:
    """JSON for people: what fits on a line is on one."""
    return _laid_out(to_json(value), 0)


def _laid_out(value: Any, indent: int) -> str:
    line = compact(value)
    if (
        len(line) + indent <= _LINE
        or indent > 2 * _DEEPEST
        or not isinstance(value, Mapping | list | tuple)
        or not value
    ):
        return line
    inner = " " * (indent + 2)
    if isinstance(value, Mapping):
        parts = [f"{inner}{compact(key)}: {_laid_out(one, indent + 2)}" for key, one in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{' ' * indent}}}"
    return "[\n" + ",\n".join(f"{inner}{_laid_out(one, indent + 2)}" for one in value) + f"\n{' ' * indent}]"


def compact(value: Any) -> str:
    """JSON on one line; what would reorder a text on a screen is escaped, as the log has it."""
    text = json.dumps(to_json(value), ensure_ascii=False)
    return _REORDERS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def beginning(text: str) -> str:
    """As much of a long text as a page shows."""
    return "\n".join(text[:_ALL_CHARACTERS].split("\n")[:_ALL_LINES])


def cut(text: str) -> str:
    """In words, how much of it that is; nothing if it is the whole."""
    shown = beginning(text)
    if shown == text:
        return ""
    lines = text.count("\n") + 1
    if lines > _ALL_LINES:
        return f"The first {shown.count(chr(10)) + 1:,} of {lines:,} lines"
    return f"The first {len(shown):,} of {len(text):,} characters"


def brief(text: str) -> str:
    """A text in a row of others."""
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}…"


def is_long(text: str) -> bool:
    """Whether it is too long to be shown without a box that scrolls."""
    return len(text) > _MOST_CHARACTERS or text.count("\n") >= _MOST_LINES


FILTERS = {
    "when": when,
    "at": at,
    "seconds": seconds,
    "short": short,
    "tone": tone,
    "glyph": glyph,
    "linked": linked,
    "pretty": pretty,
    "compact": compact,
    "is_long": is_long,
    "beginning": beginning,
    "cut": cut,
    "brief": brief,
}
