"""Runs on the terminal: a table of many, a page for one."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from controller.model.queues import SHORTAGE
from controller.tui import words
from controller.tui.artifacts import artifact_list
from controller.tui.tables import CompactTable
from controller.tui.tasks import task_tree
from controller.views.runs import RunView


def run_table(runs: Sequence[RunView], now: datetime, *, is_filtered: bool = False) -> RenderableType:
    """One row each, newest first."""
    if not runs:
        return Text("No run is like that." if is_filtered else "No runs yet.", style="dim")
    titles = ("RUN", "DEPLOYMENT", "STATE", "TRIGGER", "STARTED", "TOOK", "REASON OR RESULT")
    rows = [
        (
            # The end of the id is its random part: short, and enough to name the run.
            words.plain(run.id[-12:]),
            words.plain(run.deployment),
            words.state(run.state),
            words.plain(run.trigger),
            words.past(run.started_at or run.created_at, now),
            words.plain(_took(run, now)),
            words.plain(_remark(run)),
        )
        for run in runs
    ]
    return CompactTable(titles, rows, flexible=(1, 6))


def run_detail(run: RunView, now: datetime, zone: tzinfo | None) -> RenderableType:
    """Everything about one, with times in `zone`; None is the machine's."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold")
    grid.add_column()
    rows: list[tuple[str, RenderableType]] = [
        ("run", words.plain(run.id)),
        ("name", words.plain(run.name or "-")),
        ("deployment", words.plain(run.deployment)),
        ("state", words.state(run.state)),
        ("waiting", words.plain(run.waiting or "-")),
        ("reason", words.plain(run.reason or "-")),
        ("result", words.plain(_result(run) or "-")),
        ("trigger", words.plain(run.trigger)),
        ("scheduled for", words.local(run.scheduled_for, zone)),
        ("not before", words.local(run.not_before, zone)),
        ("start by", words.local(run.start_by, zone)),
        ("created", words.local(run.created_at, zone)),
        ("started", words.local(run.started_at, zone)),
        ("finished", words.local(run.finished_at, zone)),
        ("took", words.plain(_took(run, now))),
        ("attempt", words.plain(f"{run.attempt} of {run.attempts}")),
        ("queue", words.plain(f"{run.queue}, priority {run.priority}")),
        ("retry of", words.plain(run.retry_of or "-")),
        ("exit code", words.plain("-" if run.exit_code is None else run.exit_code)),
        ("signal", words.plain("-" if run.signal is None else run.signal)),
        ("revision", words.plain(run.revision)),
        ("spec", words.plain(run.spec_digest)),
        ("version", words.plain(run.version or "-")),
        ("tags", words.plain(", ".join(run.tags) or "-")),
        ("parameters", words.parameters(run.parameters)),
    ]
    for title, value in rows:
        grid.add_row(title, value)
    parts: list[RenderableType] = [grid]
    if run.tasks:
        parts += [Text(""), task_tree(run.tasks, now)]
    if run.artifacts:
        parts += [Text(""), artifact_list(run.artifacts)]
    return Group(*parts)


def _took(run: RunView, now: datetime) -> str:
    if run.started_at is None:
        return "-"
    lasted = max((run.finished_at or now) - run.started_at, timedelta(0))
    return f"{lasted.total_seconds():.2f}s" if lasted < timedelta(seconds=10) else words.span(lasted)


def _remark(run: RunView) -> str:
    """What there is to say in one line: what it waits for, why it ended so, or what came of it."""
    if run.waiting is not None:
        is_said = run.reason is None or run.reason == f"{SHORTAGE}{run.waiting}"
        return f"waits: {run.waiting}" + ("" if is_said else f" ({run.reason})")
    return run.reason if run.reason is not None else _result(run)


def _result(run: RunView) -> str:
    return "" if run.result is None else json.dumps(run.result, ensure_ascii=False)
