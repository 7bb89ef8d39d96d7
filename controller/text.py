"""Text for people: escapes unprintable characters, shortens, joins, and suggests similar names. Every layer calls it.

Only `controller.sdk` does not: in a run, a repository may hide this module with a `controller/text.py` of its own.
"""

from collections.abc import Iterable, Sequence

from controller.sdk.messages import replace_unprintable as replace_unprintable
from controller.sdk.messages import shorten as shorten
from controller.sdk.run_states import visible as visible

_MAX_WORD = 100
_LONGEST_CHARACTER = 4


def visible_lines(text: str) -> str:
    """Return the text with unprintable characters escaped, except line breaks, so that it is safe on a terminal."""
    return visible(text, keep="\n")


def closest(word: str, names: Iterable[str], count: int = 1) -> list[str]:
    """Return the names that resemble `word`, at most `count`, the most similar first.

    `-`, `_` and `.` are the same, and so are lower and upper case; the name that differs only in case comes first.
    """
    if len(word) > _MAX_WORD:
        return []
    from difflib import get_close_matches

    by_plain_name: dict[str, list[str]] = {}
    for name in names:
        by_plain_name.setdefault(_plain(name), []).append(name)
    matches = get_close_matches(_plain(word), by_plain_name, count, 0.6)
    folded = word.casefold()
    similar = (sorted(by_plain_name[match], key=lambda name: (name.casefold() != folded, name)) for match in matches)
    return [name for group in similar for name in group][:count]


def did_you_mean(word: str, names: Iterable[str], count: int = 1) -> str | None:
    """Return a hint with the names that resemble `word`, at most `count`; None if no name does."""
    matches = closest(word, names, count)
    return f"did you mean {join_or(matches)}?" if matches else None


def join_or(words: Sequence[str]) -> str:
    """Return `a`, `a or b`, or `a, b or c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def join_and(words: Sequence[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def join_first(words: Sequence[str], most: int) -> str:
    """Return the first words, at most `most`, and the number of the others: `a, b and 3 more`."""
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_").replace(".", "_")


def format_bytes(size: int) -> str:
    """Return a size with its unit: `512 B`, `1.7 MiB`."""
    if size < 1024:
        return f"{size} B"
    number, units = size / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while number >= 1024 and len(units) > 1:
        number /= 1024
        del units[0]
    return f"{number:.1f} {units[0]}"


def format_count(count: int, noun: str) -> str:
    """Return the count with its noun: `1 file`, `2 files`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def whole_characters(content: bytes) -> bytes:
    """Remove an incomplete UTF-8 character at the end, whose remaining bytes were cut off or not written yet."""
    for back in range(1, min(_LONGEST_CHARACTER, len(content)) + 1):
        byte = content[-back]
        if byte & 0xC0 != 0x80:
            length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return content if length <= back or len(content) == back else content[:-back]
    return content
