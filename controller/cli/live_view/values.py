"""Formats single values of the API's JSON for the live view: states, ages, commits and bars."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.text import Text

from controller.cli.live_view.cells import styled
from controller.schedules import zone
from controller.text import visible
from controller.time_format import format_span

BAD, WARN, GOOD, BUSY, DIM = "bold red", "yellow", "green", "cyan", "dim"
_SYMBOLS = {
    "succeeded": ("✓", GOOD),
    "failed": ("✕", BAD),
    "timed_out": ("✕", BAD),
    "crashed": ("✕", BAD),
    "cancelled": ("■", WARN),
    "skipped": ("·", DIM),
    "running": ("●", BUSY),
    "pending": ("○", WARN),
    "retrying": ("↻", WARN),
}
_DEPLOYMENTS = {
    "invalid": ("✕", BAD),
    "failing": ("✕", BAD),
    "out_of_sync": ("!", WARN),
    "late": ("○", WARN),
    "held": ("‖", WARN),
    "suspended": ("‖", WARN),
    "running": ("●", BUSY),
    "waiting": ("○", WARN),
    "ok": ("✓", GOOD),
}
_BAD_CONDITIONS = ("Stalled", "Late", "Overdue")
_WAITING = ("pending", "retrying")
_SHORT_SECONDS = timedelta(minutes=10)
_SHORT_MINUTES = timedelta(hours=3)
_BLOCKS = "▁▂▃▄▅▆▇█"


def plain(text: object, style: str = "") -> Text:
    """Return untrusted text without markup, with unprintable characters escaped."""
    return styled(visible(str(text)), style)


def parse(time: str | None) -> datetime | None:
    """Return a time of the JSON as an aware datetime in UTC."""
    return None if time is None else datetime.fromisoformat(time).astimezone(UTC)


def age(time: str | None, now: datetime) -> str:
    """Return how long ago a time was, or how long until then: `42s`, `5m15s`, `51m`, `5h`, `3d`."""
    moment = parse(time)
    return "-" if moment is None else short_span(abs(now - moment))


def short_span(duration: timedelta) -> str:
    """Return a duration in at most six characters, with fewer units the longer it is."""
    if duration < _SHORT_SECONDS:
        return format_span(duration)
    if duration < _SHORT_MINUTES:
        return format_span(timedelta(minutes=int(duration.total_seconds() // 60)))
    if duration < timedelta(days=2):
        return f"{int(duration.total_seconds() // 3600)}h"
    return f"{duration.days}d"


def clock_time(time: str | None, now: datetime, timezone: str | None = None, *, is_short: bool = False) -> str:
    """Return a time as `11-29 23:18:04 CET` in the named time zone, or else in that of the machine.

    It has the year if that is not the current one. A short one has no seconds if they are zero.
    """
    moment = parse(time)
    if moment is None:
        return "-"
    local_zone = None if timezone is None else zone(timezone)
    local = moment.astimezone(local_zone)
    day = "%m-%d" if local.year == now.astimezone(local_zone).year else "%Y-%m-%d"
    return local.strftime(f"{day} %H:%M %Z" if is_short and not local.second else f"{day} %H:%M:%S %Z")


def run_state(state: str) -> Text:
    """Return the symbol and the name of a run's state."""
    symbol, style = _SYMBOLS.get(state, ("?", ""))
    return styled(f"{symbol} {state.replace('_', ' ')}", style)


def recent_states(states: Sequence[str]) -> Text:
    """Return a symbol for each run, the oldest first."""
    line = Text()
    for state in states:
        symbol, style = _SYMBOLS.get(state, ("?", ""))
        line.append(symbol, style=style)
    return line


def deployment_state(deployment: Mapping[str, Any]) -> Text:
    """Return the symbol and the name of a deployment's state. One without a problem may be running or waiting."""
    state, run = deployment["state"], deployment["last_run"]
    if state == "ok" and deployment["health"] == "Running":
        state = "waiting" if run is not None and run["state"] in _WAITING else "running"
    symbol, style = _DEPLOYMENTS.get(state, ("?", ""))
    return styled(f"{symbol} {state.replace('_', ' ')}", style)


def is_problem(condition: Mapping[str, Any]) -> bool:
    """Return whether a condition of a deployment is a problem; some of them are if they are true."""
    return (condition["status"] == "True") is (condition["type"] in _BAD_CONDITIONS)


def short_commit(commit: Mapping[str, Any], now: datetime) -> Text:
    """Return the id, the subject, the author and the age of a commit."""
    line = plain(f'{commit["sha"][:9]} "{commit["subject"]}" ')
    return line + plain(commit["author"], "bold") + Text(f" {age(commit['author_date'], now)}")


def short_revision(revision: str | None) -> str:
    """Return the name and the short id of a revision: `main@5c3533b`."""
    if revision is None:
        return "nothing applied yet"
    name, _, digest = revision.rpartition(":")
    return f"{name.removesuffix('sha1').removesuffix('sha256')}{digest[:7]}"


def sparkline(counts: Sequence[int]) -> str:
    """Return one block per count, as high as its share of the largest; the lowest one is zero."""
    highest, steps = max(counts, default=0), len(_BLOCKS) - 1
    return "".join(_BLOCKS[-(-count * steps // highest) if highest else 0] for count in counts)


def progress_bar(share: float, width: int) -> Text:
    """Return a bar of `width` cells that is filled up to `share`, between 0 and 1."""
    filled = round(max(0.0, min(1.0, share)) * width)
    return styled("█" * filled, BUSY) + styled("░" * (width - filled), DIM)


def run_progress(run: Mapping[str, Any], now: datetime, width: int) -> Text:
    """Return the progress of a running run: its tasks, or its duration as a share of the usual one."""
    seen, done, typical = run["tasks_seen"], run["tasks_done"], run["typical_seconds"]
    started = parse(run["started_at"])
    elapsed = 0.0 if started is None else max(0.0, (now - started).total_seconds())
    usual = styled("" if typical is None else f" ~{short_span(timedelta(seconds=round(typical)))}", DIM)
    if seen > 1:
        return progress_bar(done / seen, width) + Text(f" {done}/{seen}") + usual
    return progress_bar(elapsed / typical, width) + usual if typical else Text()


def headline(run: Mapping[str, Any]) -> str:
    """Return what a run waits for, what is unknown about it, why it ended, or its result, in one line."""
    if run["uncertain_reason"] is not None:
        return f"unknown: {run['uncertain_reason']}"
    if run["waiting"] is not None:
        return f"waiting: {run['waiting']}"
    if run["reason"] is not None:
        return str(run["reason"])
    return "" if run["result"] is None else json.dumps(run["result"], ensure_ascii=False)


def waiting_line(group: Mapping[str, Any], now: datetime) -> Text:
    """Return what a group of runs waits for, when the first of them starts, and their deployments."""
    first = "" if group["count"] == 1 else "the first "
    start = "" if group["starts_at"] is None else f", {first}in {age(group['starts_at'], now)}"
    names = _waiting_names(group)
    return plain(f"○ {group['text']}{start}", WARN) + plain(f": {names}" if names else "", DIM)


def waiting_text(group: Mapping[str, Any]) -> str:
    """Return what a group of runs waits for, and their deployments."""
    names = _waiting_names(group)
    return f"{group['text']}: {names}" if names else str(group["text"])


def _waiting_names(group: Mapping[str, Any]) -> str:
    counts = Counter(run["deployment"] for run in group["runs"])
    names = [name if count == 1 else f"{name} ({count})" for name, count in counts.items()]
    more = group["count"] - len(group["runs"])
    return ", ".join([*names, f"{more} more"] if names and more else names)
