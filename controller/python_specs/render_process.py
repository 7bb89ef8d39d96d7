"""Renders one Python spec in a separate process, with a timeout, and returns the resulting documents or the error.

Used by `rendered_source`. No process is left at the end, neither `sandbox` nor `driver` below it. They get the
environment that flows get, and nothing from the controller's own.
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
from pathlib import Path
from typing import Any

from controller.errors import StoppingError
from controller.model.snapshots import RENDERED
from controller.python_specs import driver, sandbox
from controller.records import dataclass
from controller.sources.source import as_text

TIMEOUT_SECONDS = 30.0
_SANDBOX_SECONDS = 10.0
"""The additional time for `sandbox` to stop everything that the spec started."""
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """The result of rendering a file: the content that replaces it, and the other files that it depends on.

    `files` is None if the dependencies are unknown. `is_passing` marks an error that may disappear without any file
    changing.
    """

    content: bytes
    files: tuple[str, ...] | None = ()
    is_passing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Renderer:
    """Renders files. `user` is (uid, gid, groups) of the user who executes them; None for the controller's own.

    `origin` is the working copy of the repository: absolute paths below it are treated as paths of the revision.
    """

    environment: Mapping[str, str]
    timeout: float = TIMEOUT_SECONDS
    origin: Path | None = None
    user: tuple[int, int, Sequence[int]] | None = None

    def render(self, root: Path, path: str, is_over: Callable[[], bool] = lambda: False) -> Rendering:
        """Execute the file at `path` below `root`. Errors of the file are part of the result.

        Raises OSError, and StoppingError soon after `is_over` returns True.
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
            output = result.read(driver.MAX_RESULT_BYTES + 1)
        answer = _parse_answer(output) if failure is None else {"error": {"line": 1, "message": failure}}
        files = answer.pop("files", None)
        is_passing = bool(answer.pop("is_passing", False))
        return Rendering(
            content=RENDERED + json.dumps(answer).encode(),
            files=None if files is None else tuple(str(file) for file in files),
            is_passing=is_passing,
        )

    def _run(self, call: bytes, root: Path, result: int, is_over: Callable[[], bool]) -> str | None:
        """Run the sandbox; return why there is no result, or None if there is one."""
        identity: dict[str, Any] = {}
        if self.user is not None:
            identity = dict(zip(("user", "group", "extra_groups"), self.user, strict=True))
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
            **identity,
        ) as process:
            try:
                status = _wait(process, call, self.timeout + _SANDBOX_SECONDS, is_over)
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
        if status == sandbox.LATE:
            return f"timed out after {self.timeout:g} seconds"
        if not status:
            return "the sandbox process ended unexpectedly"
        return None if status == "0" else f"the process ended with status {status}"


def _wait(process: "subprocess.Popen[bytes]", call: bytes, seconds: float, is_over: Callable[[], bool]) -> str:
    """Return the driver's exit status as the sandbox reports it. The open standard input shows it that we are alive."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(call + b"\n")
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    for _ in range(math.ceil(seconds / _POLL_SECONDS)):
        if poll.poll(_POLL_SECONDS * 1000):
            return process.stdout.read(16).decode()
        if is_over():
            raise StoppingError
    return sandbox.LATE


def _parse_answer(output: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        answer = json.loads(output)
        if isinstance(answer, dict):
            return answer
    return {"error": {"line": 1, "message": "the process ended without a result"}}
