"""Renders events for the terminal."""

from collections.abc import Sequence
from datetime import tzinfo

from rich.text import Text

from controller.cli.terminal import text_format
from controller.cli.terminal.tables import WrappedTable
from controller.model.status import NumberedEvent
from controller.time_format import ZoneOf, convert_times, convert_times_of

_TITLES = ("TIME", "SEVERITY", "ABOUT", "REASON")
_WIDE_TITLES = ("ID", "RUN", "TAGS", "ENVIRONMENT", "REVISION")
_MIN_WIDTHS = (23, 8, 12, 12)


def event_table(
    events: Sequence[NumberedEvent],
    zone: tzinfo | None,
    *,
    zone_of: ZoneOf | None = None,
    empty: str = "",
    has_titles: bool = True,
    is_wide: bool = False,
) -> WrappedTable:
    """Return a table with one row per event, with times in `zone`, or in the machine's zone if it is None.

    With `zone_of`, the times in a message are in the zone of its deployment. A table without titles continues an
    earlier one.
    """
    rows = [
        (
            text_format.local(event.time, zone),
            text_format.state(event.severity),
            text_format.plain(event.about),
            Text(event.reason, style=text_format.state(event.severity).style),
            *(_more_cells(event) if is_wide else ()),
            text_format.plain(_message(event, zone, zone_of)),
        )
        for event in events
    ]
    titles = (*_TITLES, *(_WIDE_TITLES if is_wide else ()), "MESSAGE")
    titles = titles if has_titles else ("",) * len(titles)
    min_widths = (*_MIN_WIDTHS, *(1 for _ in _WIDE_TITLES if is_wide))
    return WrappedTable(titles, rows, min_widths=min_widths, empty=empty, is_wide=is_wide)


def _message(event: NumberedEvent, zone: tzinfo | None, zone_of: ZoneOf | None) -> str:
    if zone_of is None:
        return convert_times(event.message, zone)
    return convert_times_of(event.about, event.message, zone_of)


def _more_cells(event: NumberedEvent) -> tuple[Text, ...]:
    return (
        Text(str(event.id)),
        text_format.plain(event.run_id or "-"),
        text_format.plain(", ".join(event.tags) or "-"),
        text_format.plain(event.environment or "-"),
        Text("-") if event.revision is None else text_format.revision(event.revision),
    )
