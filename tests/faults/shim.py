"""Compiles the shim, and says which environment makes a controller meet with faults of its file system."""

import errno
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Calls of `call` for files with `path` in their name fail with `error`, or sleep, after `skip` that go well."""

    call: str
    path: str = ""
    error: int = errno.EIO
    sleep_ms: int = 0
    skip: int = 0
    count: int = -1

    @property
    def rule(self) -> str:
        what = f"sleep={self.sleep_ms}" if self.sleep_ms else str(self.error)
        return f"{self.call},{self.path},{what},{self.skip},{self.count}"


def build(directory: Path) -> Path:
    """The library, compiled with the machine's `cc`."""
    library = directory / "shim.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", str(library), str(SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return library


def environment(library: Path, faults: Sequence[Fault], gate: Path | None = None) -> dict[str, str]:
    """What a process is started with. With `gate`, faults happen only while that file exists."""
    found = {"LD_PRELOAD": os.fspath(library), "FAULT_RULES": ";".join(fault.rule for fault in faults)}
    return found if gate is None else {**found, "FAULT_WHILE": os.fspath(gate)}
