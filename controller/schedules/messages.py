"""Quotes user input in error messages, and suggests the closest valid spelling.

Called by the parsers of this package. Nothing here raises, whatever the input contains.
"""

from collections.abc import Iterable
from difflib import get_close_matches

_MAX_LENGTH = 80


def quoted(text: object) -> str:
    """Return the text in quotes, on one line and cut to about 80 characters."""
    try:
        string = str(text)
    except ValueError:  # an int with thousands of digits
        return f"a huge {type(text).__name__}"
    return repr(string if len(string) <= _MAX_LENGTH else f"{string[:_MAX_LENGTH]}…")


def did_you_mean(unknown: str, valid_names: Iterable[str]) -> str | None:
    """Return a hint that lists up to three similar valid names, or None if there are none."""
    folded = {name.casefold(): name for name in valid_names}
    close = get_close_matches(unknown[:_MAX_LENGTH].casefold(), folded, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(folded[name] for name in close)}?" if close else None
