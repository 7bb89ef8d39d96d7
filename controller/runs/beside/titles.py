"""What `ps` and /proc say of a fork: its own title and run, where otherwise stood what its server was started with.

Used by the fork server. The kernel shows the memory in which the arguments and the environment were handed over
(proc_pid_stat(5), arg_start to env_end), and a process may write there. The run's id is how the rest of a run is found
whose supervisor was lost, so it has to stand in /proc/PID/environ also where no exec has put it.
"""

import ctypes
import os
from typing import NamedTuple

RUN = b"CONTROLLER_RUN_ID="
ROOM = 36


class Area(NamedTuple):
    """Addresses in this process and in all its forks: the arguments, and the value of CONTROLLER_RUN_ID if set."""

    start: int
    size: int
    run: int | None


def find() -> Area:
    """The area of this process."""
    with open("/proc/self/stat", "rb") as stream:
        fields = stream.read().rpartition(b")")[2].split()
    arg_start, arg_end, env_start = (int(fields[index]) for index in (45, 46, 47))
    with open("/proc/self/environ", "rb") as stream:
        at = (b"\0" + stream.read()).find(b"\0" + RUN)
    return Area(arg_start, arg_end - arg_start, env_start + at + len(RUN) if at >= 0 and env_start else None)


def environment() -> dict[str, str]:
    """The environment that was handed over to this process, whatever it has made of it since."""
    with open("/proc/self/environ", "rb") as stream:
        pairs = (pair.partition(b"=") for pair in stream.read().split(b"\0") if pair)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def show(area: Area, title: str, run: str = "") -> None:
    """Have the kernel show this title, and this run's id."""
    if area.start and area.size > 1:
        text = title.encode(errors="replace")[: area.size - 1].ljust(area.size, b"\0")
        ctypes.memmove(area.start, text, area.size)
    if area.run is not None and run:
        ctypes.memmove(area.run, run.encode()[:ROOM].ljust(ROOM, b"\0"), ROOM)
