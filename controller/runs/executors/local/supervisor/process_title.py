"""Sets the title and the run's variables of a forked process, so that `ps` and /proc/PID/environ show them.

Used by the fork server. The kernel shows the memory with the initial arguments and environment (proc_pid_stat(5),
arg_start to env_end), and a process can overwrite it. When a supervisor is lost, the remaining processes of its attempt
are found by the attempt's id in /proc/PID/environ, so the id must be there even without an exec.
"""

import ctypes
import os
from collections.abc import Mapping
from typing import NamedTuple

RESERVED = {"CONTROLLER_RUN_ID": 36, "CONTROLLER_ATTEMPT_ID": 48}
"""The number of bytes reserved for the values of these variables, in the environment of the fork server."""


class Area(NamedTuple):
    """Addresses in this process and its forks: of the arguments, and of the values of the reserved variables."""

    start: int
    size: int
    values: dict[str, int]


def find() -> Area:
    """Return the area of this process."""
    with open("/proc/self/stat", "rb") as stream:
        fields = stream.read().rpartition(b")")[2].split()
    arg_start, arg_end, env_start = (int(fields[index]) for index in (45, 46, 47))
    with open("/proc/self/environ", "rb") as stream:
        initial = b"\0" + stream.read()
    values = {}
    for name in RESERVED:
        at = initial.find(f"\0{name}=".encode())
        if at >= 0 and env_start:
            values[name] = env_start + at + len(name) + 1
    return Area(arg_start, arg_end - arg_start, values)


def environment() -> dict[str, str]:
    """Return the environment that this process was started with, without later changes."""
    with open("/proc/self/environ", "rb") as stream:
        pairs = (pair.partition(b"=") for pair in stream.read().split(b"\0") if pair)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def show(area: Area, title: str, env: Mapping[str, str] | None = None) -> None:
    """Make the kernel show this title, and the values from `env` of the variables in `RESERVED`."""
    if area.start and area.size > 1:
        text = title.encode(errors="replace")[: area.size - 1].ljust(area.size, b"\0")
        ctypes.memmove(area.start, text, area.size)
    for name, address in area.values.items():
        if value := (env or {}).get(name, ""):
            ctypes.memmove(address, value.encode()[: RESERVED[name]].ljust(RESERVED[name], b"\0"), RESERVED[name])
