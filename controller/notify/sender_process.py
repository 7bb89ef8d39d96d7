"""Starts the process that sends messages, exchanges requests and responses with it, and ends it in time.

`delivery` uses one for each channel to which it sends. A process that does not respond is killed.
"""

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any

from controller.clock import Clock
from controller.notify.redaction import Redactor, redactor_of
from controller.records import dataclass

LIMIT_SECONDS = 60.0
"""The time for one request, including the start of the process."""
_SHUTDOWN_SECONDS = 1.0
_MAX_RESPONSE_BYTES = 1024 * 1024
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


class OutcomeStatus(StrEnum):
    """How an attempt to send ended. `interrupted`: the controller is stopping, and it is unknown how it ended."""

    SENT = "sent"
    FAILED = "failed"
    REJECTED = "rejected"
    GONE = "gone"
    MISCONFIGURED = "misconfigured"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of an attempt. `error` is redacted. `retry_after`: the pause in seconds that the receiver demands."""

    status: OutcomeStatus
    error: str | None = None
    retry_after: float | None = None


INTERRUPTED = Outcome(status=OutcomeStatus.INTERRUPTED)


class SenderProcess:
    """A process that sends messages. It starts with the first one.

    Use it from one thread; only `kill` may be called from others.

    `variables`: the environment of the controller, of which it gets the settings of proxies and certificates. `ca`: a
    file with further certificate authorities.
    """

    def __init__(self, clock: Clock, variables: Mapping[str, str], ca: Path | None) -> None:
        self._clock = clock
        self._ca = ca
        self._lock = threading.Lock()
        self._is_killed = False
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {name: variables[name] for name in _PASSED_ON if name in variables}
        self._environment |= {name: value for name, value in variables.items() if name.lower() in _PROXIES}

    def send(self, request: Mapping[str, Any]) -> Outcome:
        """Send one message, and return the outcome."""
        response = self._exchange(request)
        return _outcome(response, redactor_of(request)) if isinstance(response, dict) else response

    def send_heartbeats(self, heartbeats: Sequence[Mapping[str, Any]]) -> list[Outcome]:
        """Send several heartbeats at the same time, each with `url` and `body`. Return their outcomes in this order."""
        response = self._exchange({"kind": "heartbeats", "heartbeats": list(heartbeats)})
        if not isinstance(response, dict):
            return [response] * len(heartbeats)
        pairs = zip(response["responses"], heartbeats, strict=True)
        return [_outcome(item, Redactor(str(heartbeat["url"]))) for item, heartbeat in pairs]

    def kill(self) -> None:
        """Kill the process. A `send` in progress, and each later one, returns `INTERRUPTED`."""
        with self._lock:
            self._is_killed = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End the process, and wait until it has ended."""
        process = self._process
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):  # it ended before it read everything
                if stream is not None:
                    stream.close()
        try:
            process.wait(_SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> "subprocess.Popen[bytes] | None":
        """Return the process, which is started if necessary; None if it was killed."""
        with self._lock:
            if self._is_killed:
                return None
            if self._process is None or self._process.poll() is not None:
                self._process = subprocess.Popen(
                    # -P: no directory but those of the installation is searched for modules.
                    [sys.executable, "-P", "-m", "controller.notify.sender"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    cwd="/",
                    env=self._environment,
                    start_new_session=True,
                )
            return self._process

    def _exchange(self, request: Mapping[str, Any]) -> dict[str, Any] | Outcome:
        """Return the response to a request, or the outcome without one."""
        process = self._start()
        if process is None:
            return INTERRUPTED
        assert process.stdin is not None, "it was opened as a pipe"
        line = json.dumps({**request, "ca": None if self._ca is None else str(self._ca)}).encode() + b"\n"
        try:
            process.stdin.write(line)
            process.stdin.flush()
            response = json.loads(self._read_line(process) or b"null")
        except (OSError, ValueError):
            response = None
        if isinstance(response, dict):
            return response
        if self._is_killed:
            return INTERRUPTED
        is_late = process.poll() is None
        process.kill()
        process.wait()
        text = f"no result within {LIMIT_SECONDS:.0f} seconds" if is_late else "the process that sends messages crashed"
        return Outcome(status=OutcomeStatus.FAILED, error=text)

    def _read_line(self, process: "subprocess.Popen[bytes]") -> bytes | None:
        """Return the next line of the process; None after the time limit, or if it ends without one."""
        assert process.stdout is not None, "it was opened as a pipe"
        descriptor = process.stdout.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        deadline = self._clock.monotonic() + LIMIT_SECONDS
        content = b""
        while not content.endswith(b"\n") and len(content) < _MAX_RESPONSE_BYTES:
            remaining = deadline - self._clock.monotonic()
            if remaining <= 0 or not poll.poll(remaining * 1000):
                return None
            chunk = os.read(descriptor, 65536)
            if not chunk:
                process.wait()
                return None
            content += chunk
        return content


def _outcome(response: Mapping[str, Any], redactor: Redactor) -> Outcome:
    error = response.get("error")
    return Outcome(
        status=OutcomeStatus(response["status"]),
        error=None if error is None else redactor.redact(str(error)),
        retry_after=response.get("retry_after"),
    )
