"""Which characters are safe to print, and how many columns of a terminal they take. The other modules call it."""

import unicodedata

_JAMO = ("\u1160", "\u11ff")  # vowels and finals of Hangul, drawn into the syllable before them


def visible(text: str, *, keep: str = "") -> str:
    """The text with everything that doesn't print as itself spelled out, but the characters of `keep`.

    That is control characters, ANSI escapes, marks that reorder text, odd spaces and halves of surrogate pairs.
    """
    if text.isprintable():
        return text
    return "".join(char if char in keep else spelled(char) for char in text)


def spelled(char: str) -> str:
    r"""The character, or its escape: `\t`, `\x1b`, `\u202e`."""
    return char if char.isprintable() else repr(char)[1:-1]


def columns(shown: str) -> int:
    """How many columns of a terminal one character takes (UAX #11), or the ASCII escape of one."""
    if len(shown) > 1 or shown < "\u0300":
        return len(shown)
    if unicodedata.category(shown) in ("Mn", "Me") or _JAMO[0] <= shown <= _JAMO[1]:
        return 0
    return 2 if unicodedata.east_asian_width(shown) in "WF" else 1
