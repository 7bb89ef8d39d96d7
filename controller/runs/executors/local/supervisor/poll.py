"""Waits for descriptors with poll(2), because select(2) does not support numbers above 1,023."""

from __future__ import annotations

import errno
import math
import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def ready(descriptors: Iterable[int], seconds: float | None) -> list[int]:
    """Return the descriptors that become readable, or reach end of file, within `seconds`; None waits without limit.

    A descriptor from pidfd_open(2) becomes readable when the process ends. Raises OSError if a descriptor is closed.
    """
    waiting = select.poll()
    for descriptor in descriptors:
        waiting.register(descriptor, select.POLLIN)
    events = waiting.poll(None if seconds is None else math.ceil(seconds * 1000))
    if any(mask & select.POLLNVAL for _, mask in events):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return [descriptor for descriptor, _ in events]
