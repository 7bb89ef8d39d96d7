"""Quotes user input in error messages.

Called by the parsers of this package. Nothing here raises, whatever the input contains.
"""

_MAX_LENGTH = 80


def quote(text: object) -> str:
    """Return the text in quotes, on one line and cut to about 80 characters."""
    try:
        string = str(text)
    except ValueError:  # an int with thousands of digits
        return f"a huge {type(text).__name__}"
    return repr(string if len(string) <= _MAX_LENGTH else f"{string[:_MAX_LENGTH]}…")
