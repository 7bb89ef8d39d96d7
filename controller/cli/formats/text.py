"""Findings for people: place, message, the source line with a caret under the column, and the hint. `cli` calls it."""

from collections.abc import Iterator, Sequence

from controller.cli.formats.printable import columns, spelled, visible
from controller.cli.formats.source_lines import SourceLine
from controller.model.findings import Finding, Severity

_CUT = "..."
_LEAST_ROOM = 20
_SECRET = frozenset({"PlainSecret"})  # its line must not get into the log of a CI job
_COLORS = {Severity.ERROR: "1;31", Severity.WARNING: "1;33"}


def render(findings: Sequence[Finding], source_line: SourceLine, *, width: int = 80, color: bool = False) -> str:
    """All findings in their order, without a newline at the end; empty if there are none.

    Source lines are cut around the column to fit `width` columns. With `color` there are ANSI colours, our own only.
    """
    return "\n".join(line for finding in findings for line in _lines(finding, source_line, width, color))


def _lines(finding: Finding, source_line: SourceLine, width: int, color: bool) -> Iterator[str]:
    place = _painted(f"{visible(finding.file)}:{finding.line}:{finding.column}:", "1", color)
    severity = _painted(f"{finding.severity}:", _COLORS[finding.severity], color)
    code = _painted(f"[{visible(finding.code)}]", "2", color)
    yield f"{place} {severity} {visible(finding.message)} {code}"
    text = None if finding.code in _SECRET else source_line(finding.file, finding.line)
    if text and not text.isspace():
        # Not a bare indent: a CI server takes a line that begins with `::` as a command, behind spaces too.
        gutter = f"{finding.line:>3} | "
        shown, offset = _window(text, finding.column, max(width - len(gutter), _LEAST_ROOM))
        yield gutter + shown
        yield f"{'| ':>{len(gutter)}}{' ' * offset}{_painted('^', _COLORS[finding.severity], color)}"
    if finding.hint:
        yield f"    hint: {visible(finding.hint)}"


def _painted(text: str, style: str, color: bool) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if color else text


def _window(line: str, column: int, room: int) -> tuple[str, int]:
    """The part of the line around the column that takes at most `room`, and how far in the caret stands."""
    line = line.rstrip("\r\n")
    place = min(max(column, 1) - 1, len(line))
    first = max(0, place - room)  # nothing further away can be shown
    cells = [spelled(char) for char in line[first : place + room + 1]]
    widths = [columns(cell) for cell in cells]
    at = place - first
    left, right = _span(widths, at, room, is_whole=len(cells) == len(line))
    before = _CUT if first + left > 0 else ""
    after = _CUT if first + right < len(line) else ""
    return before + "".join(cells[left:right]) + after, len(before) + sum(widths[left:at])


def _span(widths: list[int], at: int, room: int, *, is_whole: bool) -> tuple[int, int]:
    """From which cell to which before: all if they fit, else what is around `at`, with room for the marks of a cut."""
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
    while left < at and widths[left] == 0:  # an accent without its letter would land on the mark of the cut
        left += 1
    return left, right
