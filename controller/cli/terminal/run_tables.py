"""Renders runs for the terminal: a table of many, and the details of one."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo

from rich.console import Group, RenderableType
from rich.text import Text

from controller.cli.terminal import text_format
from controller.cli.terminal.artifact_view import artifact_list
from controller.cli.terminal.tables import SHORT_ID, CompactTable, Details
from controller.cli.terminal.task_tree import task_tree
from controller.model.queues import SHORTAGE
from controller.model.runs import Attempt, Run, RunDetail, UpstreamRun
from controller.time_format import ZoneOf, convert_times, convert_times_of, format_span, format_time

_NO_RUNS = "No runs yet. A due time starts one, and so does `controller trigger NAME`."
_NO_MATCH = "No runs match. `controller runs list` without filters lists the newest runs."


def run_table(
    runs: Sequence[Run], now: datetime, zone_of: ZoneOf, *, is_filtered: bool = False, is_wide: bool = False
) -> CompactTable:
    """Return a table with one row per run, with times in the zone of its deployment.

    `is_filtered` selects the text for an empty table. A wide table has more columns, and nothing is shortened. If a run
    has a name, names are in the last column.
    """
    titles: tuple[str, ...] = ("RUN", "DEPLOYMENT", "STATE", "TRIGGER", "CREATED", "TOOK", "REASON OR RESULT")
    if is_wide:
        titles += ("DUE", "STARTED", "ATTEMPT", "QUEUE", "REVISION", "TAGS")
    has_names = any(run.name for run in runs)
    if has_names:
        titles += ("NAME",)
    rows = [
        (
            text_format.plain(run.id),
            text_format.plain(run.deployment),
            text_format.state(run.state),
            text_format.plain(run.trigger),
            text_format.past(run.created_at, now),
            text_format.plain(_took(run, now)),
            text_format.first_line(_remark(run, zone_of)),
            *(_more_cells(run, now, zone_of(run.deployment)) if is_wide else ()),
            *((text_format.plain(run.name or "-"),) if has_names else ()),
        )
        for run in runs
    ]
    empty = _NO_MATCH if is_filtered else _NO_RUNS
    flexible = (1, 6, len(titles) - 1) if has_names else (1, 6)
    return CompactTable(titles, rows, flexible=flexible, empty=empty, ids={0: SHORT_ID}, is_wide=is_wide)


def _more_cells(run: Run, now: datetime, zone: tzinfo | None) -> tuple[Text, ...]:
    return (
        text_format.local(run.scheduled_for, zone),
        text_format.past(run.started_at, now),
        text_format.plain(f"{run.attempt} of {run.attempts}"),
        text_format.plain(run.queue),
        text_format.revision(run.revision),
        text_format.plain(", ".join(run.tags)),
    )


def run_detail(run: RunDetail, now: datetime, zone: tzinfo | None) -> RenderableType:
    """Return the details of one run, with times in `zone`, or in the machine's zone if it is None."""
    rows = [
        ("run", text_format.plain(run.id)),
        ("name", text_format.plain(run.name or "-")),
        ("deployment", text_format.plain(run.deployment)),
        ("state", text_format.state(run.state) + text_format.plain(uncertainty(run))),
        *([("unknown since", text_format.local(run.uncertain_since, zone))] if run.uncertain_since else []),
        ("waiting", text_format.plain(convert_times(run.waiting or "-", zone))),
        *([("waits until", _waits_until(run.waits_until, zone))] if run.waits_until is not None else []),
        ("reason", text_format.lines(convert_times(_reason(run) or "-", zone))),
        ("result", text_format.plain(_result(run) or "-")),
        ("trigger", text_format.plain(run.trigger if run.author is None else f"{run.trigger}, by {run.author}")),
        ("upstream", text_format.plain(", ".join(_upstream(each, zone) for each in run.upstream) or "-")),
        ("due time", text_format.local(run.scheduled_for, zone)),
        ("not before", text_format.local(run.not_before, zone)),
        ("start by", text_format.local(run.start_by, zone)),
        ("created", text_format.local(run.created_at, zone)),
        ("started", text_format.local(run.started_at, zone)),
        ("finished", text_format.local(run.finished_at, zone)),
        ("took", text_format.plain(_took(run, now))),
        ("attempt", text_format.plain(f"{run.attempt} of {run.attempts}")),
        ("queue", text_format.plain(f"{run.queue}, priority {run.priority}")),
        ("backfill", text_format.plain(run.backfill_id or "-")),
        ("retry of", text_format.plain(run.retry_of or "-")),
        ("exit code", text_format.plain("-" if run.exit_code is None else run.exit_code)),
        ("signal", text_format.plain("-" if run.signal is None else run.signal)),
        ("revision", text_format.plain(run.revision)),
        ("commit", text_format.commit(run.commit, now)),
        ("spec", text_format.plain(run.spec_digest)),
        ("version", text_format.plain(run.version or "-")),
        ("python", text_format.python(run.python)),
        *([("executor", text_format.plain(place))] if (place := _place(run.history)) else []),
        ("tags", text_format.plain(", ".join(run.tags) or "-")),
        ("parameters", text_format.parameters(run.parameters)),
    ]
    parts: list[RenderableType] = [Details(rows)]
    if len(run.history) > 1:
        parts += [Text(""), _attempt_table(run.history, zone)]
    if run.tasks:
        parts += [Text(""), task_tree(run.tasks, now)]
    if run.artifacts:
        parts += [Text(""), artifact_list(run.artifacts)]
    return Group(*parts)


def _waits_until(time: datetime, zone: tzinfo | None) -> Text:
    return text_format.local(time, zone) + Text(", then the run is skipped")


def _upstream(run: UpstreamRun, zone: tzinfo | None) -> str:
    due_time = "" if run.due_time is None else f" (due {format_time(run.due_time, zone)})"
    return f"{run.deployment} {run.run_id[SHORT_ID]}{due_time}"


def _place(attempts: Sequence[Attempt]) -> str:
    """Return where the last attempt runs, if that is a cluster."""
    if not attempts or attempts[-1].job_id is None:
        return ""
    last = attempts[-1]
    node = f", on {last.node}" if last.node else ""
    return f"{last.executor}{node}, job {last.job_id}"


def _attempt_table(attempts: Sequence[Attempt], zone: tzinfo | None) -> RenderableType:
    rows = [
        (
            text_format.plain(attempt.number),
            text_format.state(attempt.state),
            text_format.local(attempt.started_at, zone),
            text_format.local(attempt.finished_at, zone),
            text_format.first_line(convert_times(attempt.reason or "", zone)),
        )
        for attempt in attempts
    ]
    return CompactTable(("ATTEMPT", "STATE", "STARTED", "FINISHED", "REASON"), rows, flexible=(4,))


def _took(run: Run, now: datetime) -> str:
    if run.running_since is not None:
        duration = max(now - run.running_since, timedelta())
    elif run.took is not None:
        duration = timedelta(seconds=run.took)
    else:
        return "-"
    return f"{duration.total_seconds():.2f}s" if duration < timedelta(seconds=10) else format_span(duration)


def _remark(run: Run, zone_of: ZoneOf) -> str:
    """Return what the run is waiting for, what is unknown, the reason for its outcome, or its result, in one line."""
    text = _reason(run) if run.uncertain_reason is None else f"unknown: {run.uncertain_reason}"
    if run.waiting is not None:
        is_redundant = run.reason is None or run.reason == f"{SHORTAGE}{run.waiting}"
        text = f"waiting: {run.waiting}" + ("" if is_redundant else f" ({run.reason})")
    return convert_times_of(run.deployment, text, zone_of) if text else _result(run)


def _reason(run: Run) -> str | None:
    """Return the reason for the state of the run; for one whose flow is being stopped, that of the cancellation."""
    if run.cancel_reason is not None and not run.state.is_terminal:
        return f"being cancelled: {run.cancel_reason}"
    return run.reason


def uncertainty(run: Run) -> str:
    """Return what follows the state of a run if it is unknown whether it is running."""
    return "" if run.uncertain_reason is None else f" (unknown: {run.uncertain_reason})"


def _result(run: Run) -> str:
    return "" if run.result is None else json.dumps(run.result, ensure_ascii=False)
