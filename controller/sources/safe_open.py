"""Opens files below a directory and nowhere else, component by component.

No component is resolved twice by its name, so that a link swapped in the meantime can't lead outside. FIFOs and devices
are detected before they are opened, so that nothing blocks.
"""

import errno
import os
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path

from controller.sources.source import as_text, native

_MAX_LINKS = 40
_PATH_ONLY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def open_inside(root: Path, path: str, *, follow_links: bool = True) -> int:
    """Open the regular file at `path` (with `/`) below `root`; return a descriptor that the caller must close.

    Raises OSError: EXDEV if the path leads outside `root`, ENXIO if the file is not a regular one, and ELOOP for a link
    that is not followed.
    """
    opened = [os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)]
    try:
        stack = opened.copy()
        steps = deque(path.split("/"))
        links = 0
        while steps:
            step = steps.popleft()
            if step in ("", "."):
                continue
            if step == "..":
                _up(stack)
                continue
            entry = os.open(native(step), _PATH_ONLY, dir_fd=stack[-1])
            opened.append(entry)
            mode = os.fstat(entry).st_mode
            if stat.S_ISLNK(mode):
                links += 1
                if links > (_MAX_LINKS if follow_links else 0):
                    raise OSError(errno.ELOOP, "too many symbolic links" if follow_links else "it is a symbolic link")
                _follow(root, stack, steps, as_text(os.readlink("", dir_fd=entry)))
            elif stat.S_ISDIR(mode):
                stack.append(entry)
            else:
                return _reopen(entry, mode, is_last=not steps)
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    finally:
        for descriptor in opened:
            os.close(descriptor)


class Folder:
    """The folder of the last opened file, kept open: the next file in it is opened directly. For one scan of a source.

    Files behind links are opened by `open_inside`. `close` must be called at the end.
    """

    def __init__(self, root: Path, *, follow_links: bool = True) -> None:
        self._root = root
        self._follow_links = follow_links
        self._path: str | None = None
        self._descriptor: int | None = None

    def open(self, path: str) -> int:
        """Do the same as `open_inside`."""
        folder, _, name = path.rpartition("/")
        if folder != self._path:
            self.close()
            self._path, self._descriptor = folder, _open_folder(self._root, folder)
        if self._descriptor is not None and name not in ("", ".", ".."):
            entry = os.open(native(name), _PATH_ONLY, dir_fd=self._descriptor)
            try:
                mode = os.fstat(entry).st_mode
                if stat.S_ISREG(mode):
                    return _reopen(entry, mode, is_last=True)
            finally:
                os.close(entry)
        return open_inside(self._root, path, follow_links=self._follow_links)

    def close(self) -> None:
        """Close the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._path = self._descriptor = None


def _open_folder(root: Path, path: str) -> int | None:
    """Open a folder below `root`; return None if it can't be opened, or only through a link."""
    descriptor = -1
    try:
        descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        for step in path.split("/") if path else ():
            if step in ("", ".", ".."):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            above = descriptor
            descriptor = os.open(native(step), _PATH_ONLY | os.O_DIRECTORY, dir_fd=above)
            os.close(above)
    except OSError:
        if descriptor != -1:
            os.close(descriptor)
        return None
    return descriptor


def read_inside(root: Path, path: str, check_size: Callable[[str, int], None]) -> bytes | None:
    """Return the content of the file at `path` below `root`; None if there is none, or if it leads outside.

    `check_size` is called before that with the path and the size of the file, and may raise.
    """
    try:
        with os.fdopen(open_inside(root, path), "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            check_size(path, size)
            return stream.read(size)
    except OSError:
        return None


def _reopen(entry: int, mode: int, *, is_last: bool) -> int:
    if not stat.S_ISREG(mode):
        raise OSError(errno.ENXIO, "not a regular file")
    if not is_last:
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    # Through the descriptor of the inode that was checked: its name may belong to another file by now.
    return os.open(f"/proc/self/fd/{entry}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _follow(root: Path, stack: list[int], steps: deque[str], target: str) -> None:
    if target.startswith("/"):
        target = _from_root(root, target)
        del stack[1:]
    steps.extendleft(reversed(target.split("/")))


def _up(stack: list[int]) -> None:
    if len(stack) == 1:
        raise OSError(errno.EXDEV, "it leads outside the directory")
    stack.pop()


def _from_root(root: Path, target: str) -> str:
    """Return the target of an absolute link relative to `root`. Its `..` are resolved later, like all others."""
    for top in (as_text(root), as_text(os.path.realpath(root))):
        if target == top or target.startswith(f"{top}/"):
            return target[len(top) + 1 :]
    raise OSError(errno.EXDEV, "it leads outside the directory")
