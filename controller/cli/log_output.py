"""Prints the output of a run: unchanged into a pipe, and on a terminal without escape sequences other than colours.

A flow may print data that it received from elsewhere. On a terminal, escape sequences in that data could move the
cursor, change the title or inject input, so all sequences except colours are shown as text.
"""

import codecs
import re
from typing import BinaryIO

from controller.text import visible

RESET = "\x1b[0m"
_SPECIAL = re.compile(r"\x1b\[([0-9;:]{0,99})m|\n")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;:]{0,99})?\Z")
_COLOURS = ("38", "48", "58")
_HARMLESS = frozenset(map(str, (*range(5), 7, 9, *range(21, 28), 29, *range(30, 50), 53, 55, 59, *range(90, 108))))
"""SGR codes for colours, weight and underlining, but not those that hide text, make it blink or change the font."""


class LogWriter:
    """Prints bytes as they arrive. `close` resets a colour that the output left on."""

    def __init__(self, stream: BinaryIO, *, with_colours: bool) -> None:
        self._stream = stream
        self._filter = TerminalFilter(with_colours=with_colours) if stream.isatty() else None

    @property
    def is_terminal(self) -> bool:
        """Whether the output goes to a terminal."""
        return self._filter is not None

    def write(self, chunk: bytes) -> None:
        """Print these bytes and flush."""
        self._stream.write(chunk if self._filter is None else self._filter.filter_chunk(chunk).encode())
        self._stream.flush()

    def write_separator(self, separator: bytes) -> None:
        """Print the line between two attempts."""
        self.write(separator)

    def close(self) -> None:
        """Print the buffered rest, such as an incomplete character or sequence."""
        if self._filter is not None:
            self._stream.write(self._filter.finish().encode())
            self._stream.flush()


class MatchingLines:
    """Passes on only the lines that match a regular expression. It sees neither colours nor the time before a line."""

    def __init__(self, writer: LogWriter, pattern: "re.Pattern[str]", *, stamp_width: int = 0) -> None:
        self._writer = writer
        self._pattern = pattern
        self._stamp_width = stamp_width
        self._pending = b""

    @property
    def is_terminal(self) -> bool:
        """Whether the output goes to a terminal."""
        return self._writer.is_terminal

    def write(self, chunk: bytes) -> None:
        """Print the matching ones of the lines that are complete; the rest waits for its end."""
        *lines, self._pending = (self._pending + chunk).split(b"\n")
        for line in lines:
            if self._is_match(line[self._stamp_width :]):
                self._writer.write(line + b"\n")

    def write_separator(self, separator: bytes) -> None:
        """Print the line between two attempts if it matches; it begins with a line feed if the last line has none."""
        line = separator.lstrip(b"\n")
        self.write(separator[: len(separator) - len(line)])
        if self._is_match(line.rstrip(b"\n")):
            self._writer.write(line)

    def close(self) -> None:
        """Print the last line, if it matches and has no line break."""
        if self._pending:
            self.write(b"\n")
        self._writer.close()

    def _is_match(self, line: bytes) -> bool:
        return self._pattern.search(_SPECIAL.sub("", line.decode("utf-8", "backslashreplace"))) is not None


class TerminalFilter:
    """Turns bytes into text that is safe on a terminal. Characters and sequences may be split between chunks."""

    def __init__(self, *, with_colours: bool) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._with_colours = with_colours
        self._is_coloured = False
        self._pending = ""

    def filter_chunk(self, chunk: bytes) -> str:
        """Return the text to print for this chunk; an incomplete sequence at its end is kept for the next one."""
        whole = self._pending + self._decoder.decode(chunk)
        unfinished = _UNFINISHED.search(whole)
        self._pending = "" if unfinished is None else unfinished[0]
        return self._sanitize(whole[: len(whole) - len(self._pending)])

    def finish(self) -> str:
        """Return the kept rest and the reset of a colour that is still on."""
        rest = self._sanitize(self._pending + self._decoder.decode(b"", final=True))
        self._pending = ""
        return rest + self._reset()

    def _sanitize(self, text: str) -> str:
        parts: list[str] = []
        position = 0
        for match in _SPECIAL.finditer(text):
            parts.append(visible(text[position : match.start()], keep="\t"))
            position = match.end()
            if match[0] == "\n":
                parts.append(self._reset() + "\n")
            elif not is_harmless(match[1]):
                parts.append(visible(match[0], keep="\t"))
            elif self._with_colours:
                self._is_coloured = match[1].strip("0;") != ""
                parts.append(match[0])
        return "".join([*parts, visible(text[position:], keep="\t")])

    def _reset(self) -> str:
        was_coloured, self._is_coloured = self._is_coloured, False
        return RESET if was_coloured else ""


def is_harmless(parameters: str) -> bool:
    """Whether an SGR sequence with these parameters sets only colours, weight and underlining (ECMA-48)."""
    codes = iter(parameters.split(";"))
    for code in codes:
        name, _, more = code.partition(":")
        if name.lstrip("0") in _COLOURS and not more:
            kind = next(codes, "")
            skipped = {"5": 1, "2": 3}.get(kind)
            if skipped is None or any(not next(codes, "").isdigit() for _ in range(skipped)):
                return False
        elif (name.lstrip("0") or "0") not in _HARMLESS:
            return False
    return True
