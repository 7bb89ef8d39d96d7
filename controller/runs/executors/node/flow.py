"""The flow of an attempt, below its supervisor: starts the supervisor, sends it GO, stops it, and reads how it ended.

The supervisor dies with the runner, and the flow with the supervisor (`die_with_parent`). So the runner starts it on
its main thread, which lives as long as the process (PR_SET_PDEATHSIG in prctl(2)).
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from controller.runs.executors.local.supervisor import cold_start, process_tree, temporary_directory
from controller.runs.executors.local.supervisor.poll import ready

READY_SECONDS = 60.0
_KILL_SECONDS = 10.0
_MAX_EXIT_BYTES = 1 << 20
_FAILED = re.compile(rb"FAILED ([0-9]{1,4})\n")


class Flow:
    """The supervisor in a directory that has its `run.json`. `package`: the folder that contains our package."""

    def __init__(self, directory: str, package: str, nonce: str) -> None:
        self._directory = directory
        self._nonce = nonce
        self._wire, theirs = socket.socketpair()
        with theirs, open(f"{directory}/supervisor.log", "wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, *cold_start.SUPERVISOR, package, directory],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=errors,
                env={},
                cwd="/",
                start_new_session=True,
            )
        self.handle = os.pidfd_open(self._process.pid)

    def why_not_ready(self) -> "str | None":
        """Wait until the supervisor is ready; return why it is not, or None."""
        received = b""
        self._wire.settimeout(READY_SECONDS)
        try:
            while not received.endswith(b"READY\n"):
                data = self._wire.recv(64)
                received += data
                if not data:
                    return self._failure(received)
        except OSError as error:
            self.kill()
            return f"the supervisor did not start: {error}"
        return None

    def go(self, secrets: "dict[str, str | None]") -> None:
        """Let the flow start."""
        with contextlib.suppress(OSError):
            self._wire.sendall(b"GO " + json.dumps(secrets).encode() + b"\n" if secrets else b"GO\n")
        self._wire.close()

    def request_stop(self) -> None:
        """Have the supervisor stop its flow as cancelled. Idempotent."""
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self.handle, signal.SIGTERM)

    def kill(self) -> None:
        """Kill the supervisor, and so its flow."""
        self._process.kill()

    def has_ended(self) -> bool:
        """Return whether the supervisor has ended."""
        return self._process.poll() is not None

    def finish(self) -> dict[str, Any]:
        """Return how the flow ended, after the supervisor has: the content of `exit`, or that it crashed.

        A supervisor that was killed may leave processes behind: they have become children of this process.
        """
        self._process.wait()
        if (ending := self._read_exit()) is not None:
            return ending
        wake, _ = os.pipe2(os.O_CLOEXEC)
        process_tree.end_all(wake, _KILL_SECONDS, None)
        temporary_directory.remove_left_behind(self._directory)
        return self.crashed("outcome unknown: the supervisor was killed while the flow was running")

    def crashed(self, reason: str) -> dict[str, Any]:
        """Return the ending of a flow whose end was not recorded."""
        return {"nonce": self._nonce, "outcome": "crashed", "reason": reason, "finished_at": time.time()}

    def _read_exit(self) -> "dict[str, Any] | None":
        with contextlib.suppress(OSError, ValueError, RecursionError):
            with open(f"{self._directory}/exit", "rb") as stream:
                ending = json.loads(stream.read(_MAX_EXIT_BYTES))
            if isinstance(ending, dict) and ending.get("nonce") == self._nonce:
                return ending
        return None

    def _failure(self, received: bytes) -> str:
        self._process.wait()
        if (failed := _FAILED.search(received)) is not None:
            return f"the supervisor did not start: {os.strerror(int(failed[1]))}"
        with open(f"{self._directory}/supervisor.log", encoding="utf-8", errors="replace") as stream:
            lines = stream.read().strip().splitlines()
        return f"the supervisor did not start: {lines[-1] if lines else f'exit code {self._process.returncode}'}"


def wait(flow: Flow, seconds: float) -> None:
    """Wait until the supervisor ends, at most this long."""
    ready([flow.handle], max(0.0, seconds))
