"""The ledger on the terminal: one line for each due time."""

from collections.abc import Sequence
from datetime import tzinfo

from rich.console import RenderableType
from rich.text import Text

from controller.tui import words
from controller.tui.tables import CompactTable
from controller.views.occurrences import OccurrenceView


def occurrence_table(found: Sequence[OccurrenceView], zone: tzinfo | None) -> RenderableType:
    """One row each, newest first, with times in `zone`; None is the machine's."""
    if not found:
        return Text("Nothing was due.", style="dim")
    rows = [
        (
            words.local(one.scheduled_for, zone),
            words.state(one.outcome),
            words.plain("-" if one.run_id is None else one.run_id[-12:]),
            words.plain(one.schedule),
            words.plain(one.reason or ""),
        )
        for one in found
    ]
    return CompactTable(("DUE", "OUTCOME", "RUN", "SCHEDULE", "REASON"), rows, flexible=(3, 4))
