"""Limits how much memory the C library keeps after it was freed.

glibc has a heap for each of several threads, and returns to the system only what is free at the end of a heap. A
controller has a dozen threads, but Python lets only one of them compute at a time, so one heap is enough. Other C
libraries have nothing to set. See mallopt(3) and malloc_trim(3).
"""

import ctypes

_M_ARENA_MAX = -8
_LIBC = ctypes.CDLL(None)
_HAS_ARENAS = hasattr(_LIBC, "mallopt") and hasattr(_LIBC, "malloc_trim")


def share_one_heap() -> None:
    """Have all threads of this process allocate from one heap. Call it while there is only one thread."""
    if _HAS_ARENAS:
        _LIBC.mallopt(_M_ARENA_MAX, 1)


def return_free_memory() -> None:
    """Return free memory to the system. It takes less than a millisecond, during which other threads can run."""
    if _HAS_ARENAS:
        _LIBC.malloc_trim(0)
