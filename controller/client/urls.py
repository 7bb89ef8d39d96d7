"""Builds the paths and queries of API requests. Used by `client`."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from controller.client.problems import ProblemError


def query(filters: Mapping[str, Any]) -> str:
    """Return the query of a URL with these filters, without those that are None."""
    pairs: list[tuple[str, str]] = []
    for name, value in filters.items():
        values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        pairs += [(name, str(item)) for item in values if item is not None]
    return f"?{urlencode(pairs, errors='surrogatepass')}" if pairs else ""


def part(text: str, kind: str = "deployment", command: str | None = None) -> str:
    """Quote a name or id for use in a path. Raises ProblemError (404) if it cannot be one.

    `command` lists what exists; its default is `list` of the group with the plural of `kind`.
    """
    if "/" in text or text in ("", ".", ".."):
        hint = f"See `controller {command or f'{kind}s list'}`."
        raise ProblemError({"reason": "NotFound", "detail": f"There is no {kind} {text!r}.", "hint": hint}, 404)
    return quote(text, safe="", errors="surrogatepass")
