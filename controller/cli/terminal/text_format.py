"""How single values look: times, ages, states, texts from outside. Shared by all views of the terminal."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from rich.text import Text

from controller.time_format import shown

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
    "info": "green",
    "warning": "yellow",
    "error": "bold red",
}


CLOCK_SKEW = timedelta(seconds=5)
"""How much later than now something may have happened, by the clocks of two processes or machines."""


def state(word: str) -> Text:
    """A state word in its colour; the word alone says it too."""
    return Text(word, style=_STYLES.get(word, ""))


def plain(value: object) -> Text:
    """A text from outside: no markup, control characters spelled out."""
    text = str(value)
    return Text("".join(char if char.isprintable() else repr(char)[1:-1] for char in text))


def local(instant: datetime | None, zone: tzinfo | None = None) -> Text:
    """A time in `zone`, None is that of the machine."""
    return Text("-" if instant is None else shown(instant, zone))


def ago(instant: datetime | None, now: datetime) -> Text:
    """`12s ago`; for a next fire time `in 3m`."""
    if instant is None:
        return Text("-", style="dim")
    distance = now - instant
    return Text(f"{span(distance)} ago" if distance >= timedelta(0) else f"in {span(-distance)}")


def past(instant: datetime | None, now: datetime) -> Text:
    """`12s ago` for what has happened. What a clock that was ahead recorded as later than now is shown as it is."""
    if instant is None or instant - now < CLOCK_SKEW:
        return ago(instant if instant is None else min(instant, now), now)
    return local(instant)


def span(duration: timedelta) -> str:
    """The two largest units of a duration; `0s` for one that a clock which was set back makes negative."""
    seconds = max(0, round(duration.total_seconds()))
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    filled = [f"{count}{unit}" for count, unit in parts if count]
    return "".join(filled[:2]) or "0s"


def parameters(values: Mapping[str, Any]) -> Text:
    """`key=value`, the values as JSON."""
    return plain(" ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in values.items()) or "-")


def revision(name: str | None) -> Text:
    """`main@1a2b3c4` for `main@sha1:1a2b3c4…`."""
    if name is None:
        return Text("none yet", style="dim")
    label, _, digest = name.rpartition(":")
    label = label.removesuffix("sha1").removesuffix("sha256")
    return plain(f"{label}{digest[:9]}")
