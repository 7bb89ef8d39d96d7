"""Renders events for the terminal."""

from collections.abc import Sequence
from datetime import tzinfo

from rich.text import Text

from controller.cli.terminal import text_format
from controller.cli.terminal.tables import WrappedTable
from controller.model.status import Event

_TITLES = ("TIME", "SEVERITY", "ABOUT", "REASON")
_MIN_WIDTHS = (23, 8, 12, 12)


def event_table(
    events: Sequence[Event], zone: tzinfo | None, *, empty: str = "", has_titles: bool = True, is_wide: bool = False
) -> WrappedTable:
    """Return a table with one row per event, with times in `zone`, or in the machine's zone if it is None.

    A table without titles continues an earlier one.
    """
    rows = [
        (
            text_format.local(event.time, zone),
            text_format.state(event.severity),
            text_format.plain(event.about),
            Text(event.reason, style=text_format.state(event.severity).style),
            *((_revision(event),) if is_wide else ()),
            text_format.plain(event.message),
        )
        for event in events
    ]
    titles = (*_TITLES, *(("REVISION",) if is_wide else ()), "MESSAGE")
    titles = titles if has_titles else ("",) * len(titles)
    return WrappedTable(titles, rows, min_widths=_MIN_WIDTHS, empty=empty)


def _revision(event: Event) -> Text:
    return Text("-") if event.revision is None else text_format.revision(event.revision)
