"""How the calendar quotes what somebody wrote, and what they may have meant.

Called by the parsers of this package for their error messages. It must not raise, whatever the text holds.
"""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 80


def quoted(text: object) -> str:
    """The text in quotes, on one line and at most about 80 characters long."""
    try:
        shown = str(text)
    except ValueError:  # an int of thousands of digits
        return f"a huge {type(text).__name__}"
    return repr(shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…")


def did_you_mean(wrong: str, known: Iterable[str]) -> str | None:
    """A hint that names up to three close spellings, or None when nothing is close."""
    folded = {name.casefold(): name for name in known}
    close = get_close_matches(wrong[:_LONGEST].casefold(), folded, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(folded[name] for name in close)}?" if close else None
