"""What keeps flows from changing the code that other runs execute, on this machine and as this user.

`app` says at start what can't be enforced, and `doctor` shows it. docs/adr/0010 says what each protection is worth.
"""

import os
import subprocess
import sys
import tempfile
from enum import StrEnum

from controller.runs.executors.local.fork_server_client import PACKAGE
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
    """Each run has it mounted read-only, which binds root too."""
    PERMISSIONS = "permissions"
    """Its permissions do it; a flow of the same user could change those, so it is compared before each run."""
    COMPARISON = "comparison"
    """Nothing keeps a flow of root from changing it; it is compared before each run."""


def find_protection() -> Protection:
    """Try it, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="controller-") as place:
        os.mkdir(f"{place}/commit")  # noqa: PTH102
        command = [sys.executable, "-I", "-S", "-X", "utf8", "-c", _SEAL, str(PACKAGE), place]
        try:
            done = subprocess.run(command, env={}, cwd="/", capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            status = -1
        else:
            status = done.returncode
    if status == 0:
        return Protection.MOUNT
    return Protection.COMPARISON if os.geteuid() == 0 else Protection.PERMISSIONS
