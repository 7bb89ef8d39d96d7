"""Renders deployments for the terminal: a table of all, and the details of one."""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from rich.console import RenderableType
from rich.text import Text

from controller.cli.json_output import json_text
from controller.cli.terminal import text_format
from controller.cli.terminal.tables import CompactTable, Details
from controller.model.status import ConditionType, Hold
from controller.model.triggers import UpstreamOutcome
from controller.queries.deployment_details import DeploymentDetail, RuleView
from controller.queries.deployments import DeploymentView, find_streak
from controller.queries.field_locations import DeclaredField
from controller.schedules import zone
from controller.time_format import convert_times, format_span

_NO_MATCH = "No deployments match. `controller deployments list` lists all."
_NO_DEPLOYMENTS = "No deployments. Commit a file to deployments/, or create an example with `controller init`."


def deployment_table(
    deployments: Sequence[DeploymentView], now: datetime, *, is_filtered: bool = False, is_wide: bool = False
) -> CompactTable:
    """Return a table with one row per deployment, in the given order."""
    rows = [
        (
            text_format.plain(view.name),
            text_format.state(view.sync),
            text_format.state(view.health),
            Text("held", style="yellow") if view.held else text_format.ago(view.next_start, now),
            _remark(view, now),
            text_format.plain(view.flow or " ".join(view.command or ()) or "-"),
            *(_more_cells(view) if is_wide else ()),
        )
        for view in deployments
    ]
    titles: tuple[str, ...] = ("DEPLOYMENT", "SYNC", "HEALTH", "NEXT", "LAST RUN", "FLOW")
    if is_wide:
        titles += ("TAGS", "VERSION", "DECLARED IN", "MATRIX", "DESCRIPTION")
    empty = _NO_MATCH if is_filtered else _NO_DEPLOYMENTS
    return CompactTable(titles, rows, flexible=(0, 5, 4), empty=empty, is_wide=is_wide)


def _more_cells(view: DeploymentView) -> tuple[Text, ...]:
    return (
        text_format.plain(", ".join(view.tags)),
        text_format.plain(view.version or "-"),
        text_format.plain(view.document),
        text_format.plain(_matrix(view)),
        text_format.plain(view.description),
    )


def _matrix(view: DeploymentView) -> str:
    """Return the values of a deployment of a matrix: `region=eu, tier=a`."""
    return ", ".join(f"{key}={json_text(value).strip(chr(34))}" for key, value in view.matrix.items()) or "-"


def deployment_detail(view: DeploymentDetail, now: datetime) -> RenderableType:
    """Return the details of one deployment as a two-column grid."""
    rows = [
        ("name", text_format.plain(view.name)),
        ("declared in", text_format.plain(view.document)),
        *([("matrix", text_format.plain(_matrix(view)))] if view.matrix else []),
        ("flow" if view.flow else "command", text_format.plain(view.flow or " ".join(view.command or ()) or "-")),
        ("description", text_format.plain(view.description or "-")),
        ("tags", text_format.plain(", ".join(view.tags) or "-")),
        ("version", text_format.plain(view.version or "-")),
        ("revision", text_format.revision(view.revision)),
        ("changed in", text_format.commit(view.changed_in, now)),
        ("environment", text_format.plain(view.environment or "none")),
        ("python", text_format.python(view.python)),
        ("sync", text_format.state(view.sync)),
        ("health", text_format.state(view.health)),
        ("parameters", text_format.parameters(view.parameters)),
        ("timeout", text_format.plain("-" if view.timeout_seconds is None else f"{view.timeout_seconds:g}s")),
        *[("expect", text_format.plain(_deadline(key, seconds))) for key, seconds in view.expect.items()],
        *[("notify", text_format.plain(_rule(rule))) for rule in view.notify],
        ("last run", _last_run(view, now)),
    ]
    upstreams = (
        one.deployment if one.on is UpstreamOutcome.SUCCEEDED else f"{one.deployment} ({one.on})"
        for one in view.after.upstreams
    )
    if view.after.upstreams:
        rows.append(("after", text_format.plain((" or " if view.after.any else ", ").join(upstreams))))
    if view.dependants:
        rows.append(("dependants", text_format.plain(", ".join(view.dependants))))
    if view.hold is not None:
        rows.append(("held", _hold(view.hold, _zone(view))))
    rows += [
        ("condition", text_format.plain(f"{c.type}={c.status} {c.reason}: {convert_times(c.message, _zone(view))}"))
        for c in view.conditions
    ]
    for finding in view.findings:
        rows.append(("finding", text_format.plain(finding)))
        rows += [("hint", text_format.plain(finding.hint))] if finding.hint is not None else []
    for schedule in view.schedules:
        suffix = " (suspended)" if schedule.suspended or view.suspended else ""
        rows.append(("schedule", text_format.plain(f"{schedule.id}: {schedule.text}{suffix}")))
        rows += [("", text_format.local(time, zone(schedule.timezone))) for time in schedule.fire_times]
    rows += [("starts for", text_format.plain(trigger.text)) for trigger in view.files]
    for webhook in view.webhooks:
        rows.append(("webhook", text_format.plain(f"POST {webhook.path}, {webhook.signature} in {webhook.header}")))
    return Details(rows)


def _deadline(key: str, seconds: float) -> str:
    return f"{key}: {format_span(timedelta(seconds=seconds))}"


def _rule(rule: RuleView) -> str:
    """Return a notification rule in one line: `ops: failed, recovered; after 3 failures in a row; if it lasts 10m`."""
    parts = [f"{', '.join(rule.to)}: {', '.join(rule.on)}"]
    parts += [f"after {rule.failures} failures in a row"] if rule.failures > 1 else []
    parts += [f"if it lasts {format_span(timedelta(seconds=rule.for_seconds))}"] if rule.for_seconds else []
    return "; ".join(parts)


def field_table(fields: Sequence[DeclaredField], now: datetime) -> CompactTable:
    """Return a table of the fields of a deployment, with where they are declared and the commits that changed them."""
    rows = [
        (
            text_format.plain(field.name),
            text_format.plain(field.value if isinstance(field.value, str) else json_text(field.value)),
            text_format.plain(f"{field.file}:{field.line}"),
            text_format.commit(field.changed_in, now),
        )
        for field in fields
    ]
    return CompactTable(("FIELD", "VALUE", "DECLARED IN", "CHANGED IN"), rows, flexible=(1, 3), empty="No fields.")


def _hold(hold: Hold, zone: tzinfo | None) -> Text:
    limit = Text() if hold.until is None else Text(" until ") + text_format.local(hold.until, zone)
    origin = text_format.plain(f"by {hold.author} since ") + text_format.local(hold.since, zone) + limit
    return origin + Text(": ") + text_format.plain(hold.reason)


def _remark(view: DeploymentView, now: datetime) -> Text:
    """Return the last run, and what it waits for, or which deadline was missed."""
    run = _last_run(view, now)
    if_true = (ConditionType.LATE, ConditionType.OVERDUE, ConditionType.STALLED)
    if_false = (ConditionType.PYTHON_READY, ConditionType.FILES_WATCHED, ConditionType.EXECUTOR_READY)
    problems = (
        condition for condition in view.conditions if condition.type in (if_true if condition.is_true else if_false)
    )
    problem = next(problems, None)
    if problem is None:
        return run
    message = convert_times(problem.message, _zone(view))
    reason = text_format.plain(f"{problem.type}={problem.status} {problem.reason}: {message}")
    return reason if view.last_run is None else run + Text("; ") + reason


def _last_run(view: DeploymentView, now: datetime) -> Text:
    run = view.last_run
    if run is None:
        return Text("-", style="dim")
    text = (
        text_format.state(run.state)
        + Text(" ")
        + text_format.past(run.finished_at or run.started_at or run.created_at, now)
    )
    streak = find_streak(view)
    if streak is not None and streak.count > 1:
        failures = "" if run.id == streak.run_id else "failures "
        duration = format_span(now - streak.since)
        text += Text(f" {streak.count} {failures}in a row for {duration}", style="bold red")
    if run.waits_for is not None:
        return text + Text(" waits for ") + text_format.plain(convert_times(run.waits_for, _zone(view)))
    reason = run.reason or (None if streak is None else streak.reason)
    return text if reason is None else text + Text(" ") + text_format.first_line(convert_times(reason, _zone(view)))


def _zone(view: DeploymentView) -> tzinfo | None:
    """Return the time zone of its schedules, or None for that of the machine."""
    return None if view.timezone is None else zone(view.timezone)
