"""Runs uv in a process of its own, with limits, and returns what it printed. No other module starts uv.

The compiler of bytecode has the same limits.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from controller.clock import Clock
from controller.errors import StoppingError, shortage
from controller.python_environments import limited_process
from controller.python_environments.failures import PythonBuildError
from controller.python_environments.redaction import Redactor
from controller.records import dataclass

BUILD_SECONDS = 600.0
MEMORY_BYTES = 2 << 30
_MAX_OUTPUT = 32 << 20
_MAX_MESSAGES = 256 << 10
_POLL_SECONDS = 0.2
_HINT = "Install the package `uv` beside the controller, or name the program with --uv."


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """The output of a uv command: its exit status, its result, and its messages without credentials."""

    status: int
    result: str
    messages: str


class Uv:
    """The program uv, with its cache and its environment variables. `program` is None for the installed package.

    One command runs at a time; a build may take `seconds` in total.
    """

    def __init__(
        self,
        program: Path | None,
        *,
        cache: Path,
        variables: Mapping[str, str],
        clock: Clock,
        seconds: float = BUILD_SECONDS,
    ) -> None:
        self._program = program
        self._clock = clock
        self._seconds = seconds
        self._deadline = 0.0
        self._stopping = threading.Event()
        self._redactor = Redactor(variables)
        own = {"UV_CACHE_DIR": str(cache), "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
        if "UV_CONFIG_FILE" not in variables:
            own["UV_NO_CONFIG"] = "1"  # the state may be in the repository, whose uv.toml is not the operator's
        self.variables = {**variables, **own}

    def begin(self) -> None:
        """Start the time of a build."""
        self._deadline = self._clock.monotonic() + self._seconds

    def stop(self) -> None:
        """Kill the running command; `run` then raises StoppingError, as for every later command."""
        self._stopping.set()

    def run(self, arguments: Sequence[str], directory: Path) -> Output:
        """Run uv with these arguments in a directory. Raises PythonBuildError and StoppingError."""
        return self.run_program([str(self._find()), "--color", "never", *arguments], self.variables, directory)

    def run_program(self, command: Sequence[str], variables: Mapping[str, str], directory: Path) -> Output:
        """Run another program with the limits of uv and these environment variables. Raises as `run` does."""
        limited = [sys.executable, "-I", "-S", limited_process.__file__, str(os.getpid()), str(MEMORY_BYTES)]
        try:
            process = subprocess.Popen(
                [*limited, *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=directory,
                env=variables,
                start_new_session=True,
            )
        except OSError as error:
            reason = "BuildFailed" if shortage(error) is None else "ResourceShortage"
            raise PythonBuildError(reason, f"{command[0]} can't be started: {error.strerror}.") from error
        with process:
            try:
                result, messages = self._read(process)
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
        return Output(status=process.returncode, result=result, messages=self._redactor.redact(messages))

    def _find(self) -> Path:
        """Return the path of the program. Raises PythonBuildError."""
        if self._program is not None:
            if not os.access(self._program, os.X_OK):
                raise PythonBuildError("UvNotFound", f"--uv {self._program}: there is no such program.")
            return self._program
        try:
            from uv import find_uv_bin

            return Path(find_uv_bin())
        except (ImportError, FileNotFoundError) as error:
            raise PythonBuildError("UvNotFound", "uv is not installed.", hint=_HINT) from error

    def _read(self, process: "subprocess.Popen[bytes]") -> tuple[str, str]:
        """Read both outputs until the process ends. Raises PythonBuildError and StoppingError."""
        assert process.stdout is not None
        assert process.stderr is not None
        result, messages = bytearray(), bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ, (result, _MAX_OUTPUT))
            selector.register(process.stderr, selectors.EVENT_READ, (messages, _MAX_MESSAGES))
            while selector.get_map():
                if self._stopping.is_set():
                    raise StoppingError
                if self._clock.monotonic() > self._deadline:
                    raise PythonBuildError("BuildFailed", f"The build took longer than {self._seconds:g} seconds.")
                for key, _ in selector.select(_POLL_SECONDS):
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fileobj)
                    text, limit = key.data
                    text += data
                    del text[: max(0, len(text) - limit)]
        process.wait()
        return result.decode(errors="replace"), messages.decode(errors="replace")
