"""Starts the driver for one file, waits for it so long and no longer, and says what came of it.

Used by `source`. The process has a session of its own, which is killed with everything in it at the end; it gets the
environment that flows get, and nothing of the controller's.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.model.snapshots import RENDERED
from controller.rendering import driver

TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """What became of a file: the content that stands in its place, and the other files that it was made from."""

    content: bytes
    files: tuple[str, ...] = ()
    has_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """How files are executed. `user` and its groups: as whom, None for ourselves.

    `origin`: where the repository is worked on; absolute paths in it are taken for paths of the revision.
    """

    environment: Mapping[str, str]
    timeout: float = TIMEOUT_SECONDS
    origin: Path | None = None
    user: tuple[int, int, Sequence[int]] | None = None

    def render(self, root: Path, path: str) -> Rendering:
        """Execute the file at `path` below `root`. What goes wrong in it is part of the answer. Raises OSError."""
        call = {"root": str(root), "path": path, "origin": self.origin and str(self.origin)}
        with tempfile.TemporaryFile() as result:
            failure = self._run(json.dumps(call).encode(), root, result.fileno())
            result.seek(0)
            said = result.read(driver.MAX_RESULT_BYTES + 1)
        found = _answer(said) if failure is None else {"error": {"line": 1, "message": failure}}
        files = tuple(str(file) for file in found.pop("files", ()))
        return Rendering(content=RENDERED + json.dumps(found).encode(), files=files, has_failed="error" in found)

    def _run(self, call: bytes, root: Path, result: int) -> str | None:
        """Why there is no answer; None if there is one."""
        as_whom: dict[str, Any] = {}
        if self.user is not None:
            as_whom = dict(zip(("user", "group", "extra_groups"), self.user, strict=True))
        process = subprocess.Popen(
            [sys.executable, "-P", "-X", "utf8", driver.__file__, str(result)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=root,
            env=dict(self.environment),
            pass_fds=(result,),
            start_new_session=True,
            **as_whom,
        )
        try:
            process.communicate(call, timeout=self.timeout)
        except subprocess.TimeoutExpired:
            return f"it took longer than {self.timeout:g} seconds"
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return None if process.returncode == 0 else f"its process ended with {process.returncode}"


def _answer(said: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(said)
        if isinstance(found, dict):
            return found
    return {"error": {"line": 1, "message": "its process ended without an answer"}}
