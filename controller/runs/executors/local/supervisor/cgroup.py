"""The control group (cgroup v2) of one run: ends a whole tree at once, limits memory and processes.

Used by the supervisor. It is made below the controller's own group where that can be written to, and removed when the
run ends. Without it everything works: the tree is walked, and limits are those of setrlimit(2).
"""

import errno
import os
import time

REMOVE_SECONDS = 1.0


class ControlGroup:
    """One directory of the kernel's. No method raises for what the kernel refuses."""

    def __init__(self, base: str, name: str) -> None:
        self.path = f"{base}/{name}"
        self._controlled: set[str] = set()

    @classmethod
    def make(cls, base: str | None, name: str, limits: dict[str, int]) -> "ControlGroup | None":
        """The group with these limits, by the names of the kernel's files; None where there can't be one."""
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
            # Without these two the flow would swap instead, and lose one process of many instead of its run.
            group._write("memory.swap.max", "0")
            group._write("memory.oom.group", "1")
        return group

    def controls(self, file: str) -> bool:
        """Whether this limit is in force."""
        return file in self._controlled

    def enter(self) -> None:
        """Move the calling process into it."""
        self._write("cgroup.procs", "0")

    def kill(self) -> None:
        """SIGKILL to everything in it."""
        self._write("cgroup.kill", "1")

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel killed something in it for want of memory."""
        return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in self._lines("memory.events"))

    def remove(self) -> None:
        """Remove it, once the kernel has let go of what was in it."""
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
