"""Renders backfills for the terminal: a table of many, and the details of one."""

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from rich.console import Group, RenderableType
from rich.text import Text

from controller.cli.terminal import text_format
from controller.cli.terminal.tables import SHORT_ID, CompactTable, Details
from controller.model.backfills import BackfillDetail, BackfillProgress, BackfillTime
from controller.time_format import convert_times

_FAILURES_SHOWN = 50
_NO_BACKFILLS = "No backfills. `controller backfill NAME --from TIME` creates one."


def backfill_table(
    backfills: Sequence[BackfillProgress], zones: Mapping[str, tzinfo | None], *, is_wide: bool = False
) -> CompactTable:
    """Return a table with one row per backfill, with times in the zone of its deployment."""
    rows = [
        (
            text_format.plain(backfill.id),
            text_format.plain(backfill.deployment),
            text_format.state(backfill.state),
            text_format.local(backfill.since, zones[backfill.deployment]),
            text_format.local(backfill.until, zones[backfill.deployment]),
            text_format.plain(f"{backfill.done}/{backfill.total}"),
            text_format.plain(backfill.failed),
            text_format.plain(backfill.author),
            *(_more_cells(backfill, zones[backfill.deployment]) if is_wide else ()),
        )
        for backfill in backfills
    ]
    titles: tuple[str, ...] = ("ID", "DEPLOYMENT", "STATE", "FROM", "TO", "PROGRESS", "FAILED", "AUTHOR")
    if is_wide:
        titles += ("CREATED", "FINISHED", "REDO", "PARALLEL", "REVISION")
    return CompactTable(titles, rows, flexible=(1, 7), empty=_NO_BACKFILLS, ids={0: SHORT_ID}, is_wide=is_wide)


def _more_cells(backfill: BackfillProgress, zone: tzinfo | None) -> tuple[Text, ...]:
    return (
        text_format.local(backfill.created_at, zone),
        text_format.local(backfill.finished_at, zone),
        text_format.plain(backfill.redo or "-"),
        text_format.plain(backfill.parallel),
        text_format.revision(backfill.revision),
    )


def backfill_detail(backfill: BackfillDetail, zone: tzinfo | None) -> RenderableType:
    """Return the details of one backfill, with times in `zone`, or in the machine's zone if it is None."""
    rows = [
        ("backfill", text_format.plain(backfill.id)),
        ("deployment", text_format.plain(backfill.deployment)),
        ("state", text_format.state(backfill.state)),
        ("from", text_format.local(backfill.since, zone)),
        ("to", text_format.local(backfill.until, zone)),
        ("done", text_format.plain(f"{backfill.done} of {backfill.total}")),
        ("failed", text_format.plain(backfill.failed)),
        ("cancelled", text_format.plain(backfill.cancelled)),
        ("running", text_format.plain(backfill.running)),
        ("waiting", text_format.plain(backfill.waiting)),
        ("redo", text_format.plain(backfill.redo or "-")),
        ("code", text_format.plain(backfill.code)),
        ("parallel", text_format.plain(backfill.parallel)),
        ("parameters", text_format.parameters(backfill.parameters)),
        ("revision", text_format.plain(backfill.revision)),
        ("author", text_format.plain(backfill.author)),
        ("created", text_format.local(backfill.created_at, zone)),
        ("finished", text_format.local(backfill.finished_at, zone)),
    ]
    parts: list[RenderableType] = [Details(rows)]
    if backfill.failures:
        parts += [Text(""), Text("Failed or cancelled:"), _time_table(backfill.failures[:_FAILURES_SHOWN], zone)]
        more = backfill.more_failures + max(0, len(backfill.failures) - _FAILURES_SHOWN)
        parts += [Text(f"… and {more} more")] if more else []
    if backfill.unfinished:
        parts += [Text(""), Text("Left, the first due times:"), _time_table(backfill.unfinished, zone)]
        parts += [Text(f"… and {backfill.more_unfinished} more")] if backfill.more_unfinished else []
    return Group(*parts)


def _time_table(times: Sequence[BackfillTime], zone: tzinfo | None) -> RenderableType:
    rows = [
        (
            text_format.local(time.due_time, zone),
            text_format.plain(time.run_id or "-"),
            text_format.state(time.state or "waiting"),
            text_format.first_line(convert_times(time.reason or "", zone)),
        )
        for time in times
    ]
    return CompactTable(("DUE", "RUN", "STATE", "REASON"), rows, flexible=(3,))
