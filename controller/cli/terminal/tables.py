"""A table that keeps its short columns whole and shortens the long ones to the width there is."""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

GAP = 2
NARROWEST = 8


class CompactTable:
    """Rows of single lines under bold titles. Columns in `flexible` give way first, the last one before the others."""

    def __init__(self, titles: Sequence[str], rows: Sequence[Sequence[Text]], *, flexible: Sequence[int]) -> None:
        self._titles = titles
        self._rows = rows
        self._flexible = flexible

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = Table(box=None, padding=(0, GAP, 0, 0), header_style="bold", show_header=any(self._titles))
        for title, width in zip(self._titles, self._widths(options.max_width), strict=True):
            table.add_column(title, width=width, no_wrap=True, overflow="ellipsis")
        for row in self._rows:
            table.add_row(*row)
        yield table

    def _widths(self, available: int) -> list[int]:
        cells = [self._titles, *[[cell.plain for cell in row] for row in self._rows]]
        widths = [max(Text(cell).cell_len for cell in column) for column in zip(*cells, strict=True)]
        excess = sum(widths) + GAP * len(widths) - available
        others = [index for index in range(len(widths)) if index not in self._flexible]
        for index in (*reversed(self._flexible), *reversed(others)):
            given = max(0, min(excess, widths[index] - NARROWEST))
            widths[index] -= given
            excess -= given
        return widths
