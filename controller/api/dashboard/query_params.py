"""Checks the query parameters of dashboard pages.

An unknown or invalid filter, for example in an old bookmark, is not an error: the page is shown without that filter,
with a message that says so.
"""

from collections.abc import Collection, Iterable

from fastapi import Request


class Filters:
    """The filters of one request; `problems` has a sentence for each filter that was ignored."""

    def __init__(self, request: Request, names: Collection[str]) -> None:
        self.problems = [
            f"Unknown filter {name!r}." for name in dict.fromkeys(request.query_params) if name not in names
        ]

    def one_of(self, name: str, choices: Iterable[str], value: str) -> str:
        """Return the value if it is one of the choices, else an empty string."""
        allowed = list(choices)
        if value and value not in allowed:
            self.problems.append(f"Unknown {name} {value!r}; use one of {', '.join(allowed)}.")
            return ""
        return value

    def page(self, number: int, pages: int) -> int:
        """Return the page number, or that of the last page if there are fewer pages."""
        if number > pages:
            self.problems.append(f"Page {number} does not exist; this is the last page.")
        return min(number, pages)
