"""Tables and lists of details: aligned on a terminal, and in a pipe complete and easy to split."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

GAP = 2
NARROWEST = 8
NARROWEST_TEXT = 30
SHORT_ID = slice(-12, None)
"""The end of an id is its random part, short and sufficient to identify a run."""
SHORT_DIGEST = slice(12)
"""The beginning of a digest is sufficient to identify a Python environment."""
_NO_IDS: Mapping[int, slice] = {}
_UNLIMITED = 1_000_000


class CompactTable:
    """Single-line rows under bold titles, which fit the width of a terminal.

    Columns in `flexible` are shortened first, from the last one to the first; `ids` has the columns with ids, and the
    part of each that identifies a row. In a pipe, the table is TSV: nothing is shortened or padded, and the cells are
    escaped, so that they contain no tabs and line breaks. `empty` is the text instead of a table without rows. With
    `is_wide`, nothing is shortened on a terminal either.
    """

    def __init__(
        self,
        titles: Sequence[str],
        rows: Sequence[Sequence[Text]],
        *,
        flexible: Sequence[int],
        empty: str = "",
        ids: Mapping[int, slice] = _NO_IDS,
        is_wide: bool = False,
    ) -> None:
        self.empty = None if rows else empty
        self._titles = titles
        self._rows = rows
        self._flexible = flexible
        self._ids = _NO_IDS if is_wide else ids
        self._is_wide = is_wide

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.empty:
            yield Text(self.empty, style="dim")
        elif console.is_terminal:
            # The console does not know that the terminal wraps lines which are too long.
            width = sum(self._widths(_UNLIMITED)) + GAP * len(self._titles) if self._is_wide else options.max_width
            yield from console.render(self._aligned(width), options.update(width=width))
        else:
            yield Segment(self.as_tsv())

    def as_tsv(self) -> str:
        """Return the header, if there is one, and the rows, as lines of cells that are separated by tabs."""
        lines = [*([self._titles] if any(self._titles) else []), *[[cell.plain for cell in row] for row in self._rows]]
        return "".join("\t".join(cells) + "\n" for cells in lines)

    def _aligned(self, available: int) -> Table:
        table = Table(box=None, padding=(0, GAP, 0, 0), header_style="bold", show_header=any(self._titles))
        for title, width in zip(self._titles, self._widths(available), strict=True):
            table.add_column(title, width=width, no_wrap=True, overflow="ellipsis")
        for row in self._terminal_rows():
            table.add_row(*row)
        return table

    def _terminal_rows(self) -> Sequence[Sequence[Text]]:
        if not self._ids:
            return self._rows
        return [[cell[self._ids[n]] if n in self._ids else cell for n, cell in enumerate(row)] for row in self._rows]

    def _widths(self, available: int) -> list[int]:
        cells = [self._titles, *[[cell.plain for cell in row] for row in self._terminal_rows()]]
        widths = [max(Text(cell).cell_len for cell in column) for column in zip(*cells, strict=True)]
        excess = sum(widths) + GAP * len(widths) - available
        rigid = [index for index in range(len(widths)) if index not in self._flexible]
        for index in (*reversed(self._flexible), *reversed(rigid)):
            cut = max(0, min(excess, widths[index] - NARROWEST))
            widths[index] -= cut
            excess -= cut
        return widths


class WrappedTable(CompactTable):
    """A table whose last column is shown whole on a terminal too: its cells are wrapped.

    `min_widths` are those of the other columns, so that tables that follow each other are aligned. On a terminal too
    narrow for that, the last column has lines of its own, and the cell before the last two is shortened if necessary.
    """

    def __init__(
        self,
        titles: Sequence[str],
        rows: Sequence[Sequence[Text]],
        *,
        min_widths: Sequence[int],
        empty: str = "",
        is_wide: bool = False,
    ) -> None:
        super().__init__(titles, rows, flexible=(), empty=empty, is_wide=is_wide)
        self._min_widths = min_widths

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.empty or not console.is_terminal:
            yield from super().__rich_console__(console, options)
            return
        widths = [max(pair) for pair in zip(self._widths(_UNLIMITED), self._min_widths, strict=False)]
        indent = sum(widths) + GAP * len(widths)
        room = options.max_width - indent
        titles = [[Text(title, style="bold") for title in self._titles]] if any(self._titles) else []
        if room < NARROWEST_TEXT and not self._is_wide:
            yield from self._stacked(console, [*titles, *self._rows], options.max_width)
            return
        for cells in (*titles, *self._rows):
            # The terminal wraps the lines of a wide table for which it is too narrow.
            yield from _hanging(console, _padded(cells, widths), cells[-1], indent, max(room, NARROWEST_TEXT))

    def _stacked(self, console: Console, rows: Sequence[Sequence[Text]], width: int) -> Iterator[Text]:
        """Yield the rows, each with its last cell on lines of their own."""
        for cells in rows:
            widths = [max(pair) for pair in zip(self._min_widths, [cell.cell_len for cell in cells], strict=False)]
            shortened = list(cells)
            excess = max(0, sum(widths) + GAP * (len(widths) - 1) - width)
            if excess:
                widths[-2] = max(NARROWEST, widths[-2] - excess)
                shortened[len(widths) - 2] = cells[len(widths) - 2].copy()
                shortened[len(widths) - 2].truncate(widths[-2], overflow="ellipsis")
            first = _padded(shortened, widths)
            first.rstrip()
            yield Text.assemble(first, no_wrap=True, overflow="ignore")
            yield from _hanging(console, Text(" " * GAP), cells[-1], GAP, max(1, width - GAP))


def _padded(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    line = Text()
    for cell, width in zip(cells, widths, strict=False):
        line += cell + Text(" " * (width + GAP - cell.cell_len))
    return line


def _hanging(console: Console, first: Text, text: Text, indent: int, room: int) -> Iterator[Text]:
    """Yield a wrapped text after `first`; its other lines have this indentation."""
    for number, line in enumerate(text.wrap(console, room)):
        line.rstrip()
        yield Text.assemble(" " * indent if number else first, line, no_wrap=True, overflow="ignore")


class Details:
    """Titles with their values, aligned in two columns. In a pipe, each value is on one line, without padding."""

    def __init__(self, rows: Sequence[tuple[str, Text]]) -> None:
        self._rows = rows

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not console.is_terminal:
            width = max(len(title) for title, _ in self._rows)
            lines = (f"{title:{width}}  {value.plain}".rstrip(" ") for title, value in self._rows)
            yield Segment("".join(f"{line}\n" for line in lines))
            return
        grid: Table = Table.grid(padding=(0, GAP, 0, 0))
        grid.add_column(style="bold")
        grid.add_column(overflow="fold")
        for title, value in self._rows:
            grid.add_row(title, value)
        yield grid
