"""Renders the due times of a deployment for the terminal."""

from collections.abc import Sequence
from datetime import tzinfo

from controller.cli.terminal import text_format
from controller.cli.terminal.tables import SHORT_ID, CompactTable
from controller.model.runs import Occurrence
from controller.time_format import convert_times


def occurrence_table(
    occurrences: Sequence[Occurrence], zone: tzinfo | None, *, empty: str, is_wide: bool = False
) -> CompactTable:
    """Return a table with one row per due time, with times in `zone`, or in the machine's zone if it is None."""
    rows = [
        (
            text_format.local(occurrence.scheduled_for, zone),
            text_format.state(occurrence.state or occurrence.outcome),
            text_format.plain(occurrence.run_id or "-"),
            text_format.plain(len(occurrence.runs) or ""),
            text_format.plain(occurrence.schedule),
            text_format.plain(convert_times(occurrence.reason or "", zone)),
            *((text_format.plain(" ".join(run.run_id for run in occurrence.runs)),) if is_wide else ()),
        )
        for occurrence in occurrences
    ]
    titles: tuple[str, ...] = ("DUE", "OUTCOME", "RUN", "RUNS", "SCHEDULE", "REASON")
    titles += ("ALL RUNS",) if is_wide else ()
    return CompactTable(titles, rows, flexible=(4, 5), empty=empty, ids={2: SHORT_ID}, is_wide=is_wide)
