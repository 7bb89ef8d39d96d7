"""Escapes characters that are unsafe to print, and measures terminal columns. The other formats call it."""

import unicodedata

_JAMO = ("\u1160", "\u11ff")  # vowels and finals of Hangul, combined with the preceding syllable


def visible(text: str, *, keep: str = "") -> str:
    """Replace unprintable characters, except those in `keep`, with their escapes.

    Unprintable are control characters, ANSI escapes, bidirectional marks, unusual spaces and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(char if char in keep else escaped(char) for char in text)


def escaped(char: str) -> str:
    r"""Return the character, or its escape if it is unprintable: `\t`, `\x1b`, `\u202e`."""
    return char if char.isprintable() else repr(char)[1:-1]


def columns(cell: str) -> int:
    """Return the number of terminal columns of one character (UAX #11) or of its ASCII escape."""
    if len(cell) > 1 or cell < "\u0300":
        return len(cell)
    if unicodedata.category(cell) in ("Mn", "Me") or _JAMO[0] <= cell <= _JAMO[1]:
        return 0
    return 2 if unicodedata.east_asian_width(cell) in "WF" else 1
