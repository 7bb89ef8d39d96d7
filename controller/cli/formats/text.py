"""Formats findings as text: location, message, source line with a caret under the column, hint. `cli` calls it."""

import unicodedata
from collections.abc import Iterator, Sequence

from controller.cli.formats.source_lines import SourceLine
from controller.model.findings import Finding, Severity
from controller.text import visible

_CUT = "..."
_JAMO = ("\u1160", "\u11ff")  # vowels and finals of Hangul, combined with the preceding syllable
_LEAST_ROOM = 20
_SECRET = frozenset({"PlainSecret"})  # the line must not appear in the log of a CI job
_COLORS = {Severity.ERROR: "1;31", Severity.WARNING: "1;33"}


def render(findings: Sequence[Finding], source_line: SourceLine, *, width: int = 80, color: bool = False) -> str:
    """Return all findings in the given order, without a newline at the end; an empty string if there are none.

    Source lines are cut around the column to fit `width` columns. `color` adds ANSI colours.
    """
    return "\n".join(line for finding in findings for line in _lines(finding, source_line, width, color))


def _lines(finding: Finding, source_line: SourceLine, width: int, color: bool) -> Iterator[str]:
    location = _paint(f"{visible(finding.file)}:{finding.line}:{finding.column}:", "1", color)
    severity = _paint(f"{finding.severity}:", _COLORS[finding.severity], color)
    code = _paint(f"[{visible(finding.code)}]", "2", color)
    yield f"{location} {severity} {visible(finding.message)} {code}"
    text = None if finding.code in _SECRET else source_line(finding.file, finding.line)
    if text and not text.isspace():
        # The gutter is required: CI servers run a line that begins with `::` as a command, even after spaces.
        gutter = f"{finding.line:>3} | "
        excerpt, offset = _window(text, finding.column, max(width - len(gutter), _LEAST_ROOM))
        yield gutter + excerpt
        yield f"{'| ':>{len(gutter)}}{' ' * offset}{_paint('^', _COLORS[finding.severity], color)}"
    if finding.hint:
        yield f"    hint: {visible(finding.hint)}"


def _paint(text: str, style: str, color: bool) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if color else text


def _window(line: str, column: int, room: int) -> tuple[str, int]:
    """Return the part of the line around the column that fits `room` terminal columns, and the offset of the caret."""
    line = line.rstrip("\r\n")
    position = min(max(column, 1) - 1, len(line))
    first = max(0, position - room)  # cells further to the left cannot fit
    cells = [visible(char) for char in line[first : position + room + 1]]
    widths = [columns(cell) for cell in cells]
    at = position - first
    left, right = _span(widths, at, room, is_whole=len(cells) == len(line))
    before = _CUT if first + left > 0 else ""
    after = _CUT if first + right < len(line) else ""
    return before + "".join(cells[left:right]) + after, len(before) + sum(widths[left:at])


def _span(widths: list[int], at: int, room: int, *, is_whole: bool) -> tuple[int, int]:
    """Return the range of cells to show: all if they fit, else those around `at`, with room for the cut marks."""
    end = len(widths)
    if is_whole and sum(widths) + (at == end) <= room:
        return 0, end
    room -= 2 * len(_CUT)
    left, right = at, min(at + 1, end)
    used = max(1, sum(widths[left:right]))
    while left > 0 and used + widths[left - 1] <= room // 2:
        left -= 1
        used += widths[left]
    while right < end and used + widths[right] <= room:
        used += widths[right]
        right += 1
    while left > 0 and used + widths[left - 1] <= room:
        left -= 1
        used += widths[left]
    while left < at and widths[left] == 0:  # a combining accent without its letter would be drawn over the cut mark
        left += 1
    return left, right


def columns(cell: str) -> int:
    """Return the number of terminal columns of one character (UAX #11) or of its ASCII escape."""
    if len(cell) > 1 or cell < "\u0300":
        return len(cell)
    if unicodedata.category(cell) in ("Mn", "Me") or _JAMO[0] <= cell <= _JAMO[1]:
        return 0
    return 2 if unicodedata.east_asian_width(cell) in "WF" else 1
