"""Reads a watched folder: which files are there, and in which version.

`folder_watch` calls it. Symbolic links are not followed, and only regular files count.
"""

import os
import stat
from collections.abc import Iterator

from controller.model.triggers import FileVersion
from controller.triggers.path_pattern import PathPattern, Positions

MAX_DEPTH = 100
"""How deep subfolders are read."""


class FolderScan:
    """One reading of a folder. `error` is the first reason why a part of it could not be read."""

    def __init__(self, path: str, pattern: PathPattern) -> None:
        self._path = path
        self._pattern = pattern
        self.error: OSError | None = None

    def files(self) -> Iterator[FileVersion]:
        """Yield the files that match, in no order. Memory does not grow with their number."""
        folders: list[tuple[str, Positions, int]] = [(self._path, self._pattern.start, 0)]
        while folders:
            folder, positions, depth = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        following = self._pattern.follow(positions, entry.name)
                        if not following:
                            continue
                        if not entry.is_dir(follow_symlinks=False):
                            if self._pattern.is_match(following) and (version := _version(entry)) is not None:
                                yield version
                        elif depth < MAX_DEPTH and self._pattern.can_contain(following):
                            folders.append((entry.path, following, depth + 1))
            except OSError as error:
                is_gone = isinstance(error, FileNotFoundError | NotADirectoryError) and depth > 0
                if not is_gone:
                    self.error = self.error or error


def _version(entry: "os.DirEntry[str]") -> FileVersion | None:
    """Return the version of a regular file; None for anything else, and for a file that was just removed."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return FileVersion(path=entry.path, inode=status.st_ino, size=status.st_size, modified_ns=status.st_mtime_ns)
