"""A table that fits the available width by shortening its long columns first."""

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

GAP = 2
NARROWEST = 8


class CompactTable:
    """Single-line rows under bold titles. Columns in `flexible` are shortened first, from the last one to the first."""

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
        rigid = [index for index in range(len(widths)) if index not in self._flexible]
        for index in (*reversed(self._flexible), *reversed(rigid)):
            cut = max(0, min(excess, widths[index] - NARROWEST))
            widths[index] -= cut
            excess -= cut
        return widths
