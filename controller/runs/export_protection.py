"""Finds out how exported code can be protected from flows on this machine and as this user.

`app` logs at startup what can't be enforced, and `doctor` shows it. docs/adr/0010 compares the protections.
"""

import os
import subprocess
import sys
import tempfile
from enum import StrEnum
from functools import cache

from controller.runs.executors.local.interpreter import PACKAGE
from controller.runs.executors.local.supervisor.cold_start import IMPORT

_SECONDS = 10.0
_SEAL = (
    IMPORT + "import os; from controller.runs.executors.local.supervisor.export_mount import make_read_only; "
    "works = make_read_only(sys.argv[2] + '/commit') and not os.access(sys.argv[2], os.W_OK); "
    "sys.exit(0 if works else 3)"
)


class Protection(StrEnum):
    """How exported code is protected from flows."""

    MOUNT = "mount"
    """Each run sees the code through a read-only mount, which also binds root."""
    PERMISSIONS = "permissions"
    """Permissions protect the code. A flow of the same user could change them, so it is compared before each run."""
    COMPARISON = "comparison"
    """Nothing keeps a flow that runs as root from changing the code, so it is compared before each run."""


@cache
def find_protection() -> Protection:
    """Find out which protection works, by trying a read-only mount in a separate process, once."""
    with tempfile.TemporaryDirectory(prefix="controller-") as directory:
        os.mkdir(f"{directory}/commit")  # noqa: PTH102
        command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _SEAL, str(PACKAGE), directory]
        try:
            process = subprocess.run(command, env={}, cwd="/", capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            status = -1
        else:
            status = process.returncode
    if status == 0:
        return Protection.MOUNT
    return Protection.COMPARISON if os.geteuid() == 0 else Protection.PERMISSIONS
