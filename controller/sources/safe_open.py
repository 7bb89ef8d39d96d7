"""Opening files below a directory and nowhere else, component by component. `source` reads everything through it.

No component is looked at twice by its name, so nothing that is swapped meanwhile leads out; a FIFO or a device is
found out before it is opened, so nothing blocks.
"""

import errno
import os
import stat
from collections import deque
from contextlib import ExitStack
from pathlib import Path

from controller.sources.source import as_text, native

_MAX_LINKS = 40
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def open_inside(root: Path, path: str, *, follow_links: bool = True) -> int:
    """A descriptor to read the regular file at `path` (with `/`) below `root`; to be closed by the caller.

    Raises OSError: EXDEV for what leads out, ENXIO for what is no regular file, ELOOP for a link that is not followed.
    """
    with ExitStack() as held:

        def hold(descriptor: int) -> int:
            held.callback(os.close, descriptor)
            return descriptor

        stack = [hold(os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))]
        steps = deque(path.split("/"))
        links = 0
        while steps:
            step = steps.popleft()
            if step in ("", "."):
                continue
            if step == "..":
                _up(stack)
                continue
            found = hold(os.open(native(step), _LOOK, dir_fd=stack[-1]))
            mode = os.fstat(found).st_mode
            if stat.S_ISLNK(mode):
                links += 1
                if links > (_MAX_LINKS if follow_links else 0):
                    raise OSError(errno.ELOOP, "it is a loop of links" if follow_links else "it is a link")
                _follow(root, stack, steps, as_text(os.readlink("", dir_fd=found)))
            elif stat.S_ISDIR(mode):
                stack.append(found)
            else:
                return _read(found, mode, is_last=not steps)
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))


def _read(found: int, mode: int, *, is_last: bool) -> int:
    if not stat.S_ISREG(mode):
        raise OSError(errno.ENXIO, "not a regular file")
    if not is_last:
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    # The very inode that was looked at: its name may be another's by now.
    return os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _follow(root: Path, stack: list[int], steps: deque[str], target: str) -> None:
    if target.startswith("/"):
        target = _from_root(root, target)
        del stack[1:]
    steps.extendleft(reversed(target.split("/")))


def _up(stack: list[int]) -> None:
    if len(stack) == 1:
        raise OSError(errno.EXDEV, "it leads out")
    stack.pop()


def _from_root(root: Path, target: str) -> str:
    """An absolute link's target, from the root; its `..` are taken component by component like all others."""
    for top in (as_text(root), as_text(os.path.realpath(root))):
        if target == top or target.startswith(f"{top}/"):
            return target[len(top) + 1 :]
    raise OSError(errno.EXDEV, "it leads out")
