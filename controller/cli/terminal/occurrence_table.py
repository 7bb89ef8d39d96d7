"""Renders the due times of a deployment for the terminal."""

from collections.abc import Sequence
from datetime import tzinfo

from rich.console import RenderableType

from controller.cli.terminal import text_format
from controller.cli.terminal.tables import CompactTable
from controller.model.runs import Occurrence


def occurrence_table(occurrences: Sequence[Occurrence], zone: tzinfo | None) -> RenderableType:
    """Return a table with one row per due time, with times in `zone`, or in the machine's zone if it is None."""
    rows = [
        (
            text_format.local(occurrence.scheduled_for, zone),
            text_format.state(occurrence.state or occurrence.outcome),
            text_format.plain("-" if occurrence.run_id is None else occurrence.run_id[-12:]),
            text_format.plain(len(occurrence.runs) or ""),
            text_format.plain(occurrence.schedule),
            text_format.plain(occurrence.reason or ""),
        )
        for occurrence in occurrences
    ]
    titles = ("DUE", "OUTCOME", "RUN", "RUNS", "SCHEDULE", "REASON")
    return CompactTable(titles, rows, flexible=(4, 5), empty="No occurrences.")
