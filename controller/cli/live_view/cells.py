"""Lays out lines of exactly the width of the screen: nothing wraps, and what is too long is cut in the middle."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from controller.records import dataclass
from controller.text import visible

GAP = 2
_CUT = "…"
_SMALLEST = 8
"""The last column is cut further on a screen that is too narrow for all columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table. It is at least `narrowest` cells wide, if its content is; `is_last` takes what is left.

    On a narrow screen, the columns with the highest `drop` are left out first; those with 0 never are.
    """

    title: str
    narrowest: int = 4
    drop: int = 0
    is_last: bool = False
    is_number: bool = False
    keeps_end: bool = False
    """Whether a cell that is too long is cut at its beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The widths of the visible columns, by their index."""

    widths: dict[int, int]


def styled(text: str, style: str) -> Text:
    """Return a text with a style that does not spread to what is appended to it."""
    return Text.assemble((text, style)) if style else Text(text)


def fit(text: str, width: int) -> str:
    """Return the text as one line of at most `width` cells, cut in the middle, with unprintable characters escaped."""
    line = visible(text.strip().partition("\n")[0])
    if cell_len(line) <= width:
        return line
    if width <= 1:
        return _CUT[:width]
    front = (width - 1 + 1) // 2
    return _first_cells(line, front) + _CUT + _first_cells(line[::-1], width - 1 - front)[::-1]


def fit_text(text: Text, width: int) -> Text:
    """Return a styled text as one line of at most `width` cells, cut at its end."""
    result = text.copy()
    if result.cell_len > width:
        result.truncate(width, overflow="ellipsis")
    return result


def choose_widths(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> Layout:
    """Return the widths of the columns, and leave out those that do not fit."""
    natural = {
        index: max([cell_len(column.title), *[row[index].cell_len for row in rows]], default=0)
        for index, column in enumerate(columns)
    }
    narrow = {index: min(natural[index], columns[index].narrowest) for index in natural}
    for index in sorted(natural, key=lambda index: -columns[index].drop):
        if not columns[index].drop or sum(narrow.values()) + GAP * (len(narrow) - 1) <= width:
            break
        del narrow[index]
    widths = {index: natural[index] for index in narrow}
    excess = sum(widths.values()) + GAP * (len(widths) - 1) - width
    last = [index for index in widths if columns[index].is_last]
    others = sorted((index for index in widths if index not in last), key=lambda index: -widths[index])
    for index, smallest in [(i, narrow[i]) for i in [*last, *others]] + [(i, _SMALLEST) for i in last]:
        cut = max(0, min(excess, widths[index] - smallest))
        widths[index] -= cut
        excess -= cut
    if excess < 0:
        for index in widths:
            widths[index] -= excess if columns[index].is_last else 0
    return Layout(widths=widths)


def table_line(columns: Sequence[Column], cells: Sequence[Text], layout: Layout, width: int) -> Text:
    """Return one line of a table."""
    line = Text()
    for position, (index, size) in enumerate(layout.widths.items()):
        cell = cells[index]
        if cell.cell_len > size:
            cell = _cut_cell(cell, size, columns[index])
        padding = " " * max(0, size - cell.cell_len)
        line.append(" " * GAP if position else "")
        line.append_text(Text(padding) + cell if columns[index].is_number else cell + Text(padding))
    return fit_text(line, width)


def _cut_cell(cell: Text, width: int, column: Column) -> Text:
    """Cut a cell in the middle, or at its end if it has several styles."""
    if column.keeps_end:
        return cell[-width:] if width else Text()
    if len(cell.spans) > 1:
        return fit_text(cell, width)
    return styled(fit(cell.plain, width), str(cell.spans[0].style) if cell.spans else "")


def join_parts(parts: Sequence[Text], width: int, gap: str = "   ") -> Text:
    """Join the parts on one line, without the last ones if they do not fit."""
    line = Text()
    for part in parts:
        addition = (Text(gap) if line else Text()) + part
        if line.cell_len + addition.cell_len > width and line:
            break
        line.append_text(addition)
    return fit_text(line, width)


def spread(left: Text, right: Text, width: int) -> Text:
    """Return a line with one text at its beginning and one at its end; the first is cut if both do not fit."""
    start = fit_text(left, max(0, width - right.cell_len - 1))
    return start + Text(" " * max(1, width - start.cell_len - right.cell_len)) + right


def _first_cells(text: str, width: int) -> str:
    size = 0
    for position, character in enumerate(text):
        size += cell_len(character)
        if size > width:
            return text[:position]
    return text
