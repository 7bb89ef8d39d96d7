"""Formats single values for the terminal: times, ages, states and untrusted text. All terminal views use it."""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from rich.text import Text

from controller.model.commits import Commit
from controller.model.python_environments import PythonSummary
from controller.text import visible, visible_lines
from controller.time_format import format_span, format_time

_STYLES = {
    "Synced": "green",
    "OutOfSync": "yellow",
    "Invalid": "bold red",
    "Healthy": "green",
    "Degraded": "bold red",
    "Running": "cyan",
    "Suspended": "yellow",
    "Unknown": "dim",
    "succeeded": "green",
    "failed": "bold red",
    "timed_out": "bold red",
    "crashed": "bold red",
    "cancelled": "yellow",
    "running": "cyan",
    "pending": "yellow",
    "retrying": "yellow",
    "skipped": "dim",
    "run": "green",
    "sent": "green",
    "waiting": "yellow",
    "undeliverable": "bold red",
    "superseded": "dim",
    "ready": "green",
    "failing": "bold red",
    "misconfigured": "bold red",
    "recovered": "green",
    "late": "yellow",
    "overdue": "bold red",
    "info": "green",
    "warning": "yellow",
    "error": "bold red",
}

_MOST_PACKAGES = 12
_RUN_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-([0-9a-f]{12})\b")

CLOCK_SKEW = timedelta(seconds=5)
"""How far in the future a past event may be recorded, because the clocks of two machines differ."""


def state(name: str) -> Text:
    """Return the name of a state in its colour."""
    return Text(name, style=_STYLES.get(name, ""))


def plain(value: object) -> Text:
    """Return untrusted text without markup and with its control characters escaped."""
    return Text(visible(str(value)))


def first_line(value: str | None) -> Text:
    """Return the first line of untrusted text, for a table; the details show all lines."""
    return plain((value or "").partition("\n")[0])


def shorten_run_ids(text: str) -> str:
    """Return the text with only the last twelve digits of each run id, which every command accepts."""
    return _RUN_ID.sub(r"\1", text)


def lines(value: str) -> Text:
    """Return untrusted text with its line breaks, without markup and with other control characters escaped."""
    return Text(visible_lines(value))


def local(instant: datetime | None, zone: tzinfo | None = None) -> Text:
    """Return a time in `zone`, or in the machine's zone if it is None."""
    return Text("-" if instant is None else format_time(instant, zone))


def ago(instant: datetime | None, now: datetime) -> Text:
    """Return `12s ago` for a past time, `in 3m` for a future one."""
    if instant is None:
        return Text("-", style="dim")
    distance = now - instant
    return Text(f"{format_span(distance)} ago" if distance >= timedelta(0) else f"in {format_span(-distance)}")


def past(instant: datetime | None, now: datetime) -> Text:
    """Return `12s ago` for a past event. A time in the future, recorded by a clock that was ahead, is shown in full."""
    if instant is None or instant - now < CLOCK_SKEW:
        return ago(instant if instant is None else min(instant, now), now)
    return local(instant)


def parameters(values: Mapping[str, Any]) -> Text:
    """Return the parameters as `key=value` pairs with JSON values."""
    return plain(" ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in values.items()) or "-")


def python(summary: PythonSummary | None) -> Text:
    """Return the version, the packages and the digest of a Python environment."""
    if summary is None:
        return Text("the controller's own")
    version = "not built yet" if summary.version is None else summary.version
    digest = "" if summary.digest is None else f", digest {summary.digest[:12]}"
    names = [f"{name} {number}" for name, number in summary.packages.items()]
    more = [f"and {len(names) - _MOST_PACKAGES} more"] if len(names) > _MOST_PACKAGES + 1 else []
    shown = names[:_MOST_PACKAGES] if more else names
    packages = f": {', '.join([*shown, *more])}" if names else ""
    return plain(f"{version}, declared in {summary.declared_at}{digest}{packages}")


def commit(value: Commit | None, now: datetime) -> Text:
    """Return the short id, the subject, the author and the age of a commit."""
    if value is None:
        return Text("-", style="dim")
    return plain(f'{value.sha[:9]} "{value.subject}"  {value.author} · ') + past(value.author_date, now)


def revision(name: str | None) -> Text:
    """Return a short revision: `main@1a2b3c4d5` for `main@sha1:1a2b3c4d5…`."""
    if name is None:
        return Text("none yet", style="dim")
    label, _, digest = name.rpartition(":")
    label = label.removesuffix("sha1").removesuffix("sha256")
    return plain(f"{label}{digest[:9]}")
