"""Deployments on the terminal: a table of all, a page for one."""

from collections.abc import Sequence
from datetime import datetime, tzinfo

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from controller.calendar import one_zone, zone
from controller.model.status import Hold
from controller.tui import words
from controller.tui.tables import CompactTable
from controller.views.deployments import DeploymentView
from controller.views.details import DeploymentDetail


def deployment_table(deployments: Sequence[DeploymentView], now: datetime) -> RenderableType:
    """One row each."""
    if not deployments:
        return Text("No deployments. Commit a file below deployments/, or see `controller init`.", style="dim")
    rows = [
        (
            words.plain(view.name),
            words.state(view.sync),
            words.state(view.health),
            Text("held", style="yellow") if view.held else words.ago(view.next_fire_time, now),
            _last_run(view, now),
            words.plain(view.flow or " ".join(view.command or ()) or "-"),
        )
        for view in deployments
    ]
    return CompactTable(("DEPLOYMENT", "SYNC", "HEALTH", "NEXT", "LAST RUN", "FLOW"), rows, flexible=(0, 5, 4))


def deployment_detail(view: DeploymentDetail, now: datetime) -> RenderableType:
    """Everything about one."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold")
    grid.add_column()
    rows: list[tuple[str, RenderableType]] = [
        ("name", words.plain(view.name)),
        ("declared in", words.plain(f"{view.file}:{view.line}")),
        ("flow" if view.flow else "command", words.plain(view.flow or " ".join(view.command or ()) or "-")),
        ("description", words.plain(view.description or "-")),
        ("tags", words.plain(", ".join(view.tags) or "-")),
        ("version", words.plain(view.version or "-")),
        ("revision", words.revision(view.revision)),
        ("environment", words.plain(view.environment or "none")),
        ("sync", words.state(view.sync)),
        ("health", words.state(view.health)),
        ("parameters", words.parameters(view.parameters)),
        ("timeout", words.plain("-" if view.timeout_seconds is None else f"{view.timeout_seconds:g}s")),
        ("last run", _last_run(view, now)),
    ]
    if view.hold is not None:
        rows.append(("held", _hold(view.hold, one_zone(one.timezone for one in view.schedules))))
    rows += [("condition", words.plain(f"{c.type}={c.status} {c.reason}: {c.message}")) for c in view.conditions]
    rows += [("finding", words.plain(f"{f.file}:{f.line}:{f.column}: {f.message}")) for f in view.findings]
    for schedule in view.schedules:
        suffix = " (suspended)" if schedule.suspended or view.suspended else ""
        rows.append(("schedule", words.plain(f"{schedule.id}: {schedule.text}{suffix}")))
        rows += [("", words.local(time, zone(schedule.timezone))) for time in schedule.fire_times]
    for title, value in rows:
        grid.add_row(title, value)
    return Group(grid)


def _hold(hold: Hold, zone: tzinfo | None) -> Text:
    limit = Text() if hold.until is None else Text(" until ") + words.local(hold.until, zone)
    said = words.plain(f"by {hold.author} since ") + words.local(hold.since, zone) + limit
    return said + Text(": ") + words.plain(hold.reason)


def _last_run(view: DeploymentView, now: datetime) -> Text:
    run = view.last_run
    if run is None:
        return Text("-", style="dim")
    text = words.state(run.state) + Text(" ") + words.past(run.finished_at or run.started_at or run.created_at, now)
    return text if run.reason is None else text + Text(" ") + words.plain(run.reason)
