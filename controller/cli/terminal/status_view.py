"""Renders the status: source, deployments with problems first, runs and events. Printed once or as a live frame."""

from datetime import datetime, tzinfo

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.rule import Rule
from rich.text import Text

from controller.cli.terminal import text_format
from controller.cli.terminal.deployment_tables import deployment_table
from controller.cli.terminal.run_tables import run_table
from controller.cli.terminal.tables import CompactTable, Details
from controller.model.status import ConditionStatus
from controller.queries.attention import AttentionCode
from controller.queries.attention_groups import AttentionGroup
from controller.queries.findings import group_findings
from controller.queries.in_progress import WaitingGroup
from controller.queries.leadership import Leadership, Role
from controller.queries.status import RECENT_RUNS, StatusView
from controller.queries.withheld_rows import group_withheld
from controller.schedules import zone
from controller.text import format_count, join_first
from controller.time_format import ZoneOf, convert_times, convert_times_of, format_span, format_time

MOST_FINDINGS = 5
MOST_CAUSES = 5
MOST_GROUPS = 6
MOST_NAMES = 3


def render_status(view: StatusView, now: datetime, *, rows: int | None = None) -> RenderableType:
    """Return the whole status, with the list of deployments cut to fit a screen of `rows` lines.

    Times are in the time zone of the deployment's schedules, others in that of the machine.
    """
    deployments = group_withheld(view.deployments)
    causes = _Causes(view)
    room = None if rows is None else max(3, rows - 24 - causes.height)
    more = 0 if room is None else max(0, len(deployments) - room)
    deployments = deployments[:room]
    parts: list[RenderableType] = [_head(view, now), *_findings(view), causes]
    parts += [_Heading(f"Deployments ({len(view.deployments)})"), deployment_table(deployments, now)]
    if more:
        parts.append(Text(f"… and {more} more", style="dim"))
    counts = f"running {view.runs.running}, pending {view.runs.pending}"
    parts += [_Heading(f"Runs ({counts})"), *_runs(view, now)]
    parts += [_Heading("Events"), _events(view, now)]
    return Group(*parts)


def _runs(view: StatusView, now: datetime) -> list[RenderableType]:
    """Return the running runs, the newest finished runs, and what the others wait for."""
    finished = [run for run in view.recent_runs if run.state.is_terminal]
    listed = [*view.in_progress.running, *finished][:RECENT_RUNS]
    groups = view.in_progress.waiting
    lines = [_waiting(group, _zone_of(view)) for group in groups[:MOST_GROUPS]]
    if len(groups) > MOST_GROUPS:
        lines.append(Text(f"… and {sum(group.count for group in groups[MOST_GROUPS:])} more waiting", style="dim"))
    if view.in_progress.more_running:
        lines.insert(0, Text(f"… and {view.in_progress.more_running} more running", style="dim"))
    return [run_table(listed, now, _zone_of(view)), *lines] if listed or not lines else [*lines]


def _zone_of(view: StatusView) -> ZoneOf:
    names = {deployment.name: deployment.timezone for deployment in view.deployments}

    def zone_of(deployment: str) -> tzinfo | None:
        name = names.get(deployment)
        return None if name is None else zone(name)

    return zone_of


def _waiting(group: WaitingGroup, zone_of: ZoneOf) -> Text:
    start = ""
    if group.starts_at is not None:
        start = f"{group.start_label} {format_time(group.starts_at, zone_of(group.first or ''))}"
    names = join_first(list(dict.fromkeys(run.deployment for run in group.runs)), MOST_NAMES)
    line = Text("○ ", style="yellow") + text_format.plain(f"{group.text}{start}")
    return line + text_format.plain(f": {names}") if names else line


class _Heading:
    """A title, followed by a line across a terminal, and plain in a pipe."""

    def __init__(self, title: str) -> None:
        self._title = Text(title, style="bold")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Rule(self._title, align="left", style="dim") if console.is_terminal else Text("\n") + self._title


class _Causes:
    """Why deployments fail, in whole on a terminal, whose table of deployments has no room for it.

    Deployments that fail for the same reason are one row. In a pipe, the table says it.
    """

    def __init__(self, view: StatusView) -> None:
        groups = [group for group in view.problems if group.code is AttentionCode.FAILED_RUN and group.cause]
        self._rows = [(_subjects(group), text_format.plain(group.cause)) for group in groups[:MOST_CAUSES]]
        self._count = sum(group.count for group in groups)
        self._more = sum(group.count for group in groups[MOST_CAUSES:])

    @property
    def height(self) -> int:
        """The number of lines, if each cause has one."""
        return len(self._rows) + (self._count > 0) + (self._more > 0)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self._rows or not console.is_terminal:
            return
        yield _Heading(f"Failing ({self._count})")
        yield Details(self._rows)
        if self._more:
            yield Text(f"… and {self._more} more", style="dim")


def _subjects(group: AttentionGroup) -> str:
    return group.subjects[0] + (f" and {group.count - 1} more" if group.count > 1 else "")


def _head(view: StatusView, now: datetime) -> RenderableType:
    controller = view.controller
    if controller.running and controller.started_at is not None:
        running = Text("running", style="green") + Text(
            f", pid {controller.pid}, version {controller.version}, up {format_span(now - controller.started_at)}"
        )
    else:
        running = Text("not running", style="yellow")
    source = text_format.plain(view.source.repo) + Text("  ") + text_format.revision(view.source.revision)
    environment = text_format.plain(view.source.environment or "none")
    rows = [("controller", running)]
    if controller.url is not None:
        rows.append(("dashboard", text_format.plain(controller.url)))
    if view.leadership is not None:
        rows.append(("leader", _leader(view.leadership, now)))
    rows.append(("source", source))
    if view.commit is not None:
        rows.append(("commit", text_format.commit(view.commit, now)))
    rows.append(("environment", environment))
    if view.source.project_name is not None:
        rows.append(("project", text_format.plain(view.source.project_name)))
    if view.source.watch_problem is not None:
        rows.append(("", Text("polling only: ", style="yellow") + text_format.plain(view.source.watch_problem)))
    for condition in view.source.conditions:
        is_good = condition.type == "Ready" and condition.status == "True"
        style = "green" if is_good else "bold red" if condition.type == "Ready" else "yellow"
        state = Text(f"{condition.type}={condition.status} {condition.reason}", style=style)
        since = format_span(now - condition.last_transition_time)
        message = Text() if is_good else Text(": ") + text_format.plain(convert_times(condition.message, None))
        rows.append(("", state + Text(f" for {since}") + message))
    return Details([*rows, *_executors(view, now), *_notifications(view)])


def _executors(view: StatusView, now: datetime) -> list[tuple[str, Text]]:
    """Return a row for each executor that runs flows on a cluster."""
    styles = {ConditionStatus.TRUE: "green", ConditionStatus.FALSE: "bold red"}
    rows = []
    for executor in view.executors:
        ready = executor.ready
        state = Text(f"{ready.type}={ready.status} {ready.reason}", style=styles.get(ready.status, "yellow"))
        since = f" for {format_span(now - ready.last_transition_time)}"
        message = "" if ready.is_true else f": {ready.message}"
        rows.append(("executor", text_format.plain(f"{executor.name} ") + state + text_format.plain(since + message)))
    return rows


def _leader(leadership: Leadership, now: datetime) -> Text:
    """Return who leads, and what the controller of this machine does."""
    leader = leadership.leader
    if leader is None or not leader.leads:
        text = Text("no controller leads: no flow starts", style="bold red")
    else:
        text = text_format.plain(f"{leader.host}, pid {leader.pid}, term {leader.term}")
        text += Text(f", for {format_span(now - leader.since)}")
        text += text_format.plain("" if leader.url is None else f", {leader.url}")
    if leadership.role is Role.STANDBY:
        text += Text("; this controller is a standby", style="yellow")
        if leadership.lag_seconds is not None:
            text += Text(f", {leadership.lag_seconds:.1f} s behind")
        if leadership.forwarded_requests is not None:
            text += Text(f", {format_count(leadership.forwarded_requests, 'request')} forwarded")
    return text


def _notifications(view: StatusView) -> list[tuple[str, Text]]:
    """Return the rows about channels and undelivered messages; no rows if the operator declares no channels."""
    status = view.notifications
    if not status.channels and status.problem is None:
        return []
    counts = [Text(format_count(len(status.channels), "channel"), style="red" if status.unusable else "green")]
    if status.waiting:
        counts.append(Text(f"{status.waiting} waiting", style="yellow"))
    if status.undeliverable:
        counts.append(Text(f"{status.undeliverable} undeliverable", style="bold red"))
    lines = [Text(", ").join(counts)]
    if status.undeliverable:
        lines[0] += Text(": `controller notify log --undelivered` lists them", style="dim")
    if status.problem is not None:
        hint = f" ({status.problem.hint})" if status.problem.hint else ""
        text = f"the new notify.yaml is not used: {status.problem.message}{hint}"
        lines.append(Text("✗ ", style="bold red") + text_format.plain(text))
    lines += [
        text_format.state(channel.state) + Text(" ") + text_format.plain(f"{channel.name}: {channel.message}")
        for channel in status.unusable
    ]
    return [("" if index else "notifications", line) for index, line in enumerate(lines)]


def _findings(view: StatusView) -> list[RenderableType]:
    if not view.source.findings:
        return []
    groups = group_findings(view.source.findings, 1)
    lines = [
        text_format.state(group.severity)
        + Text(" ")
        + text_format.plain(group.findings[0])
        + Text(f" (and {group.count - 1} more {group.code})" if group.count > 1 else "", style="dim")
        for group in groups[:MOST_FINDINGS]
    ]
    more = sum(group.count for group in groups[MOST_FINDINGS:])
    return [
        _Heading(f"Findings ({len(view.source.findings)})"),
        *lines,
        *([Text(f"… and {more} more", style="dim")] if more else []),
    ]


def _events(view: StatusView, now: datetime) -> RenderableType:
    zone_of = _zone_of(view)
    rows = [
        (
            text_format.past(event.time, now),
            text_format.plain(event.about),
            Text(event.reason, style=text_format.state(event.severity).style),
            text_format.plain(text_format.shorten_run_ids(convert_times_of(event.about, event.message, zone_of))),
        )
        for event in view.events
    ]
    return CompactTable(("", "", "", ""), rows, flexible=(1, 3), empty="No events yet.")
