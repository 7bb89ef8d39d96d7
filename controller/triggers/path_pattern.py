"""Matches the paths of files with the glob of a file trigger, one name at a time while a folder is being read.

`*`, `?` and `[…]` match within a name, and `**` matches any number of folders. As in a shell, they do not match a name
that begins with a dot: many programs give such a name to a file that is still being written.
"""

import fnmatch
import re

Positions = frozenset[int]
"""How many parts of the pattern may be matched so far."""


class PathPattern:
    """A glob for paths relative to a folder, with `/`."""

    def __init__(self, glob: str) -> None:
        self._parts = [None if part == "**" else _Name(part) for part in glob.split("/")]

    @property
    def is_recursive(self) -> bool:
        """Whether files in subfolders can match."""
        return len(self._parts) > 1 or None in self._parts

    @property
    def start(self) -> Positions:
        """The positions in the folder itself."""
        return self._close([0])

    def follow(self, positions: Positions, name: str) -> Positions:
        """Return the positions after this name of a file or folder; none if nothing below it can match."""
        following: list[int] = []
        for position in positions:
            if position == len(self._parts):
                continue
            part = self._parts[position]
            if part is None:
                following += [] if name.startswith(".") else [position]
            elif part.matches(name):
                following.append(position + 1)
        return self._close(following)

    def can_contain(self, positions: Positions) -> bool:
        """Whether files in a folder with these positions can match."""
        return any(position < len(self._parts) for position in positions)

    def is_match(self, positions: Positions) -> bool:
        """Whether a file with these positions matches."""
        return len(self._parts) in positions

    def _close(self, positions: list[int]) -> Positions:
        """Add the positions after each `**`, which may match no folder."""
        closed = set(positions)
        for position in positions:
            while position < len(self._parts) and self._parts[position] is None:
                position += 1
                closed.add(position)
        return frozenset(closed)


class _Name:
    def __init__(self, glob: str) -> None:
        self._matches_hidden = glob.startswith(".")
        self._expression = re.compile(fnmatch.translate(glob))

    def matches(self, name: str) -> bool:
        is_visible = self._matches_hidden or not name.startswith(".")
        return is_visible and self._expression.match(name) is not None
