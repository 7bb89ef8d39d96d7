"""The control group (cgroup v2) of one run: kills the whole process tree at once, and limits memory and processes.

Used by the supervisor. The group is created below the controller's own group if that is writable, and removed when the
run ends. It is optional: without it, the process tree is walked, and the limits are those of setrlimit(2).
"""

import errno
import os
import time

REMOVE_SECONDS = 1.0


class ControlGroup:
    """One directory in the cgroup file system. No method raises if the kernel rejects an operation."""

    def __init__(self, base: str, name: str) -> None:
        self.path = f"{base}/{name}"
        self._controlled: set[str] = set()

    @classmethod
    def make(cls, base: str | None, name: str, limits: dict[str, int]) -> "ControlGroup | None":
        """Create a group with these limits, by the kernel's file names; return None if that is not possible."""
        if base is None:
            return None
        group = cls(base, name)
        try:
            os.mkdir(group.path)
        except OSError:
            return None
        for file, value in limits.items():
            if group._write(file, str(value)):
                group._controlled.add(file)
        if "memory.max" in group._controlled:
            # Without these two, the flow would swap, and the kernel would kill one process instead of the whole run.
            group._write("memory.swap.max", "0")
            group._write("memory.oom.group", "1")
        return group

    def controls(self, file: str) -> bool:
        """Return whether this limit is applied."""
        return file in self._controlled

    def enter(self) -> None:
        """Move the calling process into the group."""
        self._write("cgroup.procs", "0")

    def kill(self) -> None:
        """Send SIGKILL to all processes in the group."""
        self._write("cgroup.kill", "1")

    def ran_out_of_memory(self) -> bool:
        """Return whether the kernel killed a process in the group because it was out of memory."""
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in self._lines("memory.events"))

    def remove(self) -> None:
        """Remove the group, once the kernel has released its processes; wait at most `REMOVE_SECONDS`."""
        deadline = time.monotonic() + REMOVE_SECONDS
        while time.monotonic() < deadline:
            try:
                os.rmdir(self.path)
            except OSError as error:
                if error.errno != errno.EBUSY:
                    return
                time.sleep(0.001)
            else:
                return

    def _lines(self, file: str) -> list[str]:
        try:
            with open(f"{self.path}/{file}", encoding="ascii") as stream:
                return stream.read().splitlines()
        except OSError:
            return []

    def _write(self, file: str, text: str) -> bool:
        try:
            descriptor = os.open(f"{self.path}/{file}", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            os.write(descriptor, text.encode())
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True
