"""Waiting for descriptors, whatever their numbers: select(2) can't tell of those beyond 1,023."""

import errno
import math
import os
import select
from collections.abc import Iterable


def ready(descriptors: Iterable[int], seconds: float | None) -> list[int]:
    """Those from which something, or the end, can be read within so many seconds; None waits until one can.

    Of a process (pidfd_open(2)) it is the end that can be read. Raises OSError for one that is closed.
    """
    waiting = select.poll()
    for descriptor in descriptors:
        waiting.register(descriptor, select.POLLIN)
    found = waiting.poll(None if seconds is None else math.ceil(seconds * 1000))
    if any(what & select.POLLNVAL for _, what in found):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return [descriptor for descriptor, _ in found]
