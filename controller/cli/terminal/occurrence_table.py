"""The ledger on the terminal: one line for each due time."""

from collections.abc import Sequence
from datetime import tzinfo

from rich.console import RenderableType
from rich.text import Text

from controller.cli.terminal import text_format
from controller.cli.terminal.tables import CompactTable
from controller.queries.occurrences import OccurrenceView


def occurrence_table(found: Sequence[OccurrenceView], zone: tzinfo | None) -> RenderableType:
    """One row each, newest first, with times in `zone`; None is the machine's."""
    if not found:
        return Text("Nothing was due.", style="dim")
    rows = [
        (
            text_format.local(one.scheduled_for, zone),
            text_format.state(one.outcome),
            text_format.plain("-" if one.run_id is None else one.run_id[-12:]),
            text_format.plain(one.schedule),
            text_format.plain(one.reason or ""),
        )
        for one in found
    ]
    return CompactTable(("DUE", "OUTCOME", "RUN", "SCHEDULE", "REASON"), rows, flexible=(3, 4))
