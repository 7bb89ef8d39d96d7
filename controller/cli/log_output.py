"""How the output of a run is printed: raw where output is piped, and on a terminal with its colours and nothing else.

A flow may print what it was sent by others. On a terminal, escape sequences could move the cursor, set the title or
answer for the user; so all but colours are shown as text.
"""

import codecs
import re
from typing import BinaryIO

RESET = "\x1b[0m"
_SPECIAL = re.compile(r"\x1b\[([0-9;:]{0,99})m|\n")
_UNFINISHED = re.compile(r"\x1b(?:\[[0-9;:]{0,99})?\Z")
_COLOURS = ("38", "48", "58")
_HARMLESS = frozenset(map(str, (*range(5), 7, 9, *range(21, 28), 29, *range(30, 50), 53, 55, 59, *range(90, 108))))
"""Colours, weight, underlining. Not what hides text or has it blink, and no other fonts."""


class LogWriter:
    """Prints bytes as they come. `close` ends a colour that was left on."""

    def __init__(self, stream: BinaryIO, *, with_colours: bool) -> None:
        self._stream = stream
        self._shown = Shown(with_colours=with_colours) if stream.isatty() else None

    def write(self, chunk: bytes) -> None:
        """Print these."""
        self._stream.write(chunk if self._shown is None else self._shown.text(chunk).encode())
        self._stream.flush()

    def close(self) -> None:
        """Print what was held back."""
        if self._shown is not None:
            self._stream.write(self._shown.end().encode())
            self._stream.flush()


class Shown:
    """Turns bytes into what a terminal may show; a character or a sequence may come in two parts."""

    def __init__(self, *, with_colours: bool) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._with_colours = with_colours
        self._is_coloured = False
        self._held = ""

    def text(self, chunk: bytes) -> str:
        """What is to be shown of it now."""
        whole = self._held + self._decoder.decode(chunk)
        unfinished = _UNFINISHED.search(whole)
        self._held = "" if unfinished is None else unfinished[0]
        return self._shown(whole[: len(whole) - len(self._held)])

    def end(self) -> str:
        """What is to be shown when nothing more comes."""
        rest = self._shown(self._held + self._decoder.decode(b"", final=True))
        self._held = ""
        return rest + self._reset()

    def _shown(self, text: str) -> str:
        parts: list[str] = []
        position = 0
        for found in _SPECIAL.finditer(text):
            parts.append(visible(text[position : found.start()]))
            position = found.end()
            if found[0] == "\n":
                parts.append(self._reset() + "\n")
            elif not is_harmless(found[1]):
                parts.append(visible(found[0]))
            elif self._with_colours:
                self._is_coloured = found[1].strip("0;") != ""
                parts.append(found[0])
        return "".join([*parts, visible(text[position:])])

    def _reset(self) -> str:
        was_coloured, self._is_coloured = self._is_coloured, False
        return RESET if was_coloured else ""


def visible(text: str) -> str:
    """The text with what is not printable spelled out, but for tabs."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\t" else repr(char)[1:-1] for char in text)


def is_harmless(parameters: str) -> bool:
    """Whether this selects colours, weight and underlining only (ECMA-48, SGR)."""
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
