"""Decides which folders deployments may watch: those below the folders of `--watch-root`.

`folder_watch` asks before each scan, because a symbolic link in the path can change at any time.
"""

import os
from collections.abc import Iterable
from pathlib import Path


class WatchRoots:
    """The folders below which deployments may watch, and the state directory, which they may not."""

    def __init__(self, roots: Iterable[Path], state_directory: Path) -> None:
        self._roots = tuple(roots)
        self._state_directory = state_directory

    def find_refusal(self, folder: str, *, is_recursive: bool) -> str | None:
        """Return why this folder may not be watched; None if it may. Symbolic links in paths are resolved."""
        path = Path(os.path.realpath(folder))
        if not any(path.is_relative_to(os.path.realpath(root)) for root in self._roots):
            return f"{folder} is not below a folder of --watch-root, so the operator does not allow to watch it"
        state = Path(os.path.realpath(self._state_directory))
        if path.is_relative_to(state) or (is_recursive and state.is_relative_to(path)):
            return f"{folder} contains the state directory of controller, in which each run writes files"
        return None
