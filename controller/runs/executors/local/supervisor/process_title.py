"""What `ps` and /proc say of a fork: its own title and attempt, where otherwise stood what its server was started with.

Used by the fork server. The kernel shows the memory in which the arguments and the environment were handed over
(proc_pid_stat(5), arg_start to env_end), and a process may write there. If a supervisor was lost, the rest of its
attempt is found by the attempt's id, so that has to stand in /proc/PID/environ also where no exec has put it.
"""

import ctypes
import os
from collections.abc import Mapping
from typing import NamedTuple

ROOM = {"CONTROLLER_RUN_ID": 36, "CONTROLLER_ATTEMPT_ID": 48}
"""How many bytes the values of these variables have, in the environment that the fork server is started with."""


class Area(NamedTuple):
    """Addresses in this process and in all its forks: the arguments, and the values of the variables of `ROOM`."""

    start: int
    size: int
    values: dict[str, int]


def find() -> Area:
    """The area of this process."""
    with open("/proc/self/stat", "rb") as stream:
        fields = stream.read().rpartition(b")")[2].split()
    arg_start, arg_end, env_start = (int(fields[index]) for index in (45, 46, 47))
    with open("/proc/self/environ", "rb") as stream:
        handed_over = b"\0" + stream.read()
    values = {}
    for name in ROOM:
        at = handed_over.find(f"\0{name}=".encode())
        if at >= 0 and env_start:
            values[name] = env_start + at + len(name) + 1
    return Area(arg_start, arg_end - arg_start, values)


def environment() -> dict[str, str]:
    """The environment that was handed over to this process, whatever it has made of it since."""
    with open("/proc/self/environ", "rb") as stream:
        pairs = (pair.partition(b"=") for pair in stream.read().split(b"\0") if pair)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def show(area: Area, title: str, env: Mapping[str, str] | None = None) -> None:
    """Have the kernel show this title, and what `env` says of the variables of `ROOM`."""
    if area.start and area.size > 1:
        text = title.encode(errors="replace")[: area.size - 1].ljust(area.size, b"\0")
        ctypes.memmove(area.start, text, area.size)
    for name, address in area.values.items():
        if value := (env or {}).get(name, ""):
            ctypes.memmove(address, value.encode()[: ROOM[name]].ljust(ROOM[name], b"\0"), ROOM[name])
