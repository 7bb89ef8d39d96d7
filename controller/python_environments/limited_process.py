"""Lowers the priority and the limits of this process, binds its life to that of the controller, and starts uv in it.

Started by `uv` as a file: `python -I -S limited_process.py PARENT BYTES PROGRAM ARGUMENT…`. It imports only the
standard library. RLIMIT_DATA limits what each process can write in memory; RLIMIT_AS would also count the addresses
that allocators reserve.
"""

import ctypes
import os
import resource
import signal
import sys

NICE = 10
_PR_SET_PDEATHSIG = 1


def main(parent: int, memory: int, command: list[str]) -> None:
    """Replace this process by the command."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(127)
    os.nice(NICE)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
