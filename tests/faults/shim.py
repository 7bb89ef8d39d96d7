"""Compiles the shim, and builds the environment that injects file system faults into a controller."""

import errno
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A rule for calls of `call` on files with `path` in their name: they fail with `error`, or are delayed.

    The first `skip` calls succeed; the next `count` calls are affected, -1 for all.
    """

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
    """Compile the library with `cc`, and return its path."""
    library = directory / "shim.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-o", str(library), str(SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return library


def environment(library: Path, faults: Sequence[Fault], gate: Path | None = None) -> dict[str, str]:
    """Return the environment that injects these faults. With `gate`, they happen only while that file exists."""
    variables = {"LD_PRELOAD": os.fspath(library), "FAULT_RULES": ";".join(fault.rule for fault in faults)}
    return variables if gate is None else {**variables, "FAULT_WHILE": os.fspath(gate)}
