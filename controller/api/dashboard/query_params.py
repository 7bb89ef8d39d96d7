"""What a page is asked for in its address. Nothing of it is ignored in silence: what can't be meant is said.

A person who typed it, or kept an old address, gets the page without that part of the filter, and is told so.
"""

from collections.abc import Collection, Iterable

from fastapi import Request


class Filters:
    """The questions of one request; `odd` has a sentence for each that was not understood."""

    def __init__(self, request: Request, known: Collection[str]) -> None:
        self.odd = [
            f"There is no filter {name!r} here." for name in dict.fromkeys(request.query_params) if name not in known
        ]

    def one_of(self, name: str, offered: Iterable[str], asked: str) -> str:
        """What was asked for if it is offered; nothing, if it is not or if nothing was asked."""
        values = list(offered)
        if asked and asked not in values:
            self.odd.append(f"There is no {name} {asked!r}, only {', '.join(values)}.")
            return ""
        return asked

    def page(self, asked: int, pages: int) -> int:
        """The page that was asked for; the last one, if there are fewer."""
        if asked > pages:
            self.odd.append(f"There is no page {asked}: this is the last one.")
        return min(asked, pages)
