"""Has one file executed, waits for it so long and no longer, and says what came of it.

Used by `rendered_source`. Nothing of what executes it (`sandbox`, and `driver` below that) is left at the end; it gets
the environment that flows get, and nothing of the controller's.
"""

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.errors import StoppingError
from controller.model.snapshots import RENDERED
from controller.python_specs import driver, sandbox
from controller.sources.source import as_text

TIMEOUT_SECONDS = 30.0
_GUARD_SECONDS = 10.0
"""What `guard` may take beyond that."""
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """What became of a file: the content that stands in its place, and the other files that it was made from.

    `files` is None where nobody knows. `is_passing`: it failed for a reason that may be gone though no file changes.
    """

    content: bytes
    files: tuple[str, ...] | None = ()
    is_passing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """How files are executed. `user` and its groups: as whom, None for ourselves.

    `origin`: where the repository is worked on; absolute paths in it are taken for paths of the revision.
    """

    environment: Mapping[str, str]
    timeout: float = TIMEOUT_SECONDS
    origin: Path | None = None
    user: tuple[int, int, Sequence[int]] | None = None

    def render(self, root: Path, path: str, is_over: Callable[[], bool] = lambda: False) -> Rendering:
        """Execute the file at `path` below `root`. What goes wrong in it is part of the answer.

        Raises OSError, and StoppingError soon after `is_over` says so.
        """
        call = {
            "root": as_text(root),
            "path": path,
            "origin": self.origin and as_text(self.origin),
            "timeout": self.timeout,
        }
        with tempfile.TemporaryFile() as result:
            failure = self._run(json.dumps(call).encode(), root, result.fileno(), is_over)
            result.seek(0)
            said = result.read(driver.MAX_RESULT_BYTES + 1)
        found = _answer(said) if failure is None else {"error": {"line": 1, "message": failure}}
        files = found.pop("files", None)
        is_passing = bool(found.pop("is_passing", False))
        return Rendering(
            content=RENDERED + json.dumps(found).encode(),
            files=None if files is None else tuple(str(file) for file in files),
            is_passing=is_passing,
        )

    def _run(self, call: bytes, root: Path, result: int, is_over: Callable[[], bool]) -> str | None:
        """Why there is no answer; None if there is one."""
        as_whom: dict[str, Any] = {}
        if self.user is not None:
            as_whom = dict(zip(("user", "group", "extra_groups"), self.user, strict=True))
        with subprocess.Popen(
            [sys.executable, "-P", "-X", "utf8", sandbox.__file__, str(result)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=root,
            env=dict(self.environment),
            pass_fds=(result,),
            start_new_session=True,
            bufsize=0,
            **as_whom,
        ) as process:
            try:
                said = _asked(process, call, self.timeout + _GUARD_SECONDS, is_over)
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
        if said == sandbox.LATE:
            return f"it took longer than {self.timeout:g} seconds"
        return None if said == "0" else f"its process ended with {said or 'the one that watches it'}"


def _asked(process: "subprocess.Popen[bytes]", call: bytes, seconds: float, is_over: Callable[[], bool]) -> str:
    """What the guard says of the driver's end. Its standard input stays open: it is how it knows that we live."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(call + b"\n")
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    for _ in range(math.ceil(seconds / _LOOK_SECONDS)):
        if poll.poll(_LOOK_SECONDS * 1000):
            return process.stdout.read(16).decode()
        if is_over():
            raise StoppingError
    return sandbox.LATE


def _answer(said: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(said)
        if isinstance(found, dict):
            return found
    return {"error": {"line": 1, "message": "its process ended without an answer"}}
